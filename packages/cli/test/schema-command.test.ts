import { readFile } from 'node:fs/promises'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { nebula } from './harness.ts'

/** What an editor would say of a file. */
async function editor(...args: string[]): Promise<(file: unknown) => string[]> {
  const { code, stdout } = await nebula('schema', ...args)
  expect(code).toBe(0)
  const validate = new Ajv2020({ allErrors: true, strict: true, strictTypes: false, strictTuples: false }).compile(
    JSON.parse(stdout) as object,
  )
  return (file) => {
    validate(file)
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
  }
}

const ends = { source: { connector: 'csv', path: './in' }, destination: { connector: 'csv', path: './out' } }

describe('nebula schema', () => {
  test('takes the examples of the documentation', async () => {
    const check = await editor()
    for (const page of ['README.md', 'packages/connector-csv/README.md', 'packages/connector-postgres/README.md']) {
      const text = await readFile(new URL(`../../../${page}`, import.meta.url), 'utf8')
      const files = [...text.matchAll(/```yaml\n([^]*?)```/g)].map(([, yaml]) => parse(yaml ?? '') as unknown)
      expect(files.length).toBeGreaterThan(0)
      for (const file of files) expect([page, check(file)]).toEqual([page, []])
    }
  })

  test.each([
    ['a variable for a number', { ...ends, parallel: '${N}' }],
    ['a variable in a duration', { ...ends, source: { ...ends.source, timeouts: { request: '${T:-3s}' } } }],
    ['aliases', { ...ends, source: { ...ends.source, reliability: { retry_attempts: 3, circuit_breaker: true } } }],
    ['a stream left out, and one without options', { ...ends, streams: { a: false, b: null, c: {} } }],
    ['a connector that is not installed', { ...ends, source: { connector: 'nebula-connector-odd', odd: 1 } }],
  ])('takes %s', async (_, file) => {
    expect((await editor())(file)).toEqual([])
  })

  test.each([
    ['an unknown key', { ...ends, paralel: 3 }],
    ['an unknown key of an end', { ...ends, source: { ...ends.source, pth: 'x' } }],
    ['an unknown key of a section', { ...ends, source: { ...ends.source, timeouts: { requst: '3s' } } }],
    ['a duration that is none', { ...ends, source: { ...ends.source, timeouts: { request: 'soon' } } }],
    ['a word for a number', { ...ends, parallel: 'many' }],
    ['a mode that there is not', { ...ends, streams: { a: { mode: 'replace' } } }],
    ['a missing end', { source: ends.source }],
    ['a key of another connector', { ...ends, source: { connector: 'postgres', delimiter: ',' } }],
  ])('refuses %s', async (_, file) => {
    expect((await editor())(file)).not.toEqual([])
  })

  test('of a connector is that of its file', async () => {
    const check = await editor('postgres')
    expect(check({ name: 'x', type: 'source', connector: 'postgres', host: 'localhost', table_name: 'users' })).toEqual(
      [],
    )
    expect(check({ type: 'source', connector: 'postgres', port: 'x' })).not.toEqual([])
    expect(check({ connector: 'postgres' })).not.toEqual([])
    expect(check({ type: 'source', connector: 'csv' })).not.toEqual([])
  })

  test('of a connector that there is not says what to install', async () => {
    const { code, stderr } = await nebula('schema', 'oracle')
    expect(code).toBe(2)
    expect(stderr).toContain('npm install @nebula/connector-oracle')
  })
})
