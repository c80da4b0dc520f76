import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Catalog } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)

async function input(): Promise<void> {
  await mkdir(at('in'))
  await writeFile(at('in', 'orders.csv'), 'id,paid\n1,true\n2,false\n')
  await writeFile(at('in', 'notes.csv'), 'text\nhello\n')
}

describe('nebula discover', () => {
  test('shows streams and columns', async () => {
    await input()
    const { code, stdout, stderr } = await nebula('discover', '--from', `csv:${at('in')}`)
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(stdout).toBe('notes (1 column)\n  text  utf8\n\norders (2 columns)\n  id    int64\n  paid  bool\n')
  })

  test('--json prints the catalog', async () => {
    await input()
    const { stdout } = await nebula('discover', '--from', `csv:${at('in')}`, '--json')
    const { streams } = JSON.parse(stdout) as Catalog
    expect(streams.map(({ name }) => name)).toEqual(['notes', 'orders'])
    expect(streams[1]?.schema.fields[0]).toMatchObject({ name: 'id', type: { kind: 'int64' } })
  })

  test('shows the source of a pipeline file, with the streams that it defines', async () => {
    await input()
    await writeFile(
      at('shop.yaml'),
      'source: { connector: csv }\ndestination: { connector: csv, path: ./out }\nstreams: { all: { path: "./in/o*.csv" } }\n',
    )
    const { code, stdout } = await nebula('discover', at('shop.yaml'))
    expect(code).toBe(0)
    expect(stdout).toMatch(/^all \(2 columns\)\n/)
  })

  test('says where there is nothing', async () => {
    const { code, stderr } = await nebula('discover', '--from', `csv:${at('none')}`)
    expect(code).toBe(3)
    expect(stderr).toContain('error file_not_found')
    expect(stderr).toContain(at('none'))
  })
})
