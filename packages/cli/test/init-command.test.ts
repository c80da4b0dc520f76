import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadPipeline } from '@nebula/runtime'
import { describe, expect, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
const environment = { SOURCE_URL: 'postgres://localhost/a', TARGET_URL: 'postgres://localhost/b' }

describe('nebula init', () => {
  test.each([
    ['postgres', 'csv'],
    ['csv', 'postgres'],
    ['postgres', 'postgres'],
    ['csv', 'csv'],
  ])('%s %s writes a file that can be loaded', async (from, to) => {
    const { code, stdout } = await nebula('init', from, to, '--output', at('new.yaml'))
    expect(code).toBe(0)
    expect(stdout).toContain(`wrote ${at('new.yaml')}: `)
    const pipeline = await loadPipeline(at('new.yaml'), { environment })
    expect([pipeline.source.connector.name, pipeline.destination.connector.name]).toEqual([from, to])
    const uncommented = (await readFile(at('new.yaml'), 'utf8')).replace(/^ {2}# (delimiter|schema): /gm, '  $1: ')
    await writeFile(at('new.yaml'), uncommented)
    expect(await loadPipeline(at('new.yaml'), { environment })).toMatchObject({ name: 'new' })
  })

  test('looks at a path, and lists its streams; the file can be planned at once', async () => {
    await mkdir(at('in'))
    await writeFile(at('in', 'orders.csv'), 'id,paid\n1,true\n')
    expect((await nebula('init', `csv:${at('in')}`, `csv:${at('out')}`, '--output', at('new.yaml'))).code).toBe(0)
    const text = await readFile(at('new.yaml'), 'utf8')
    expect(text).toContain('#   orders: {}   # 2 columns\n')
    await writeFile(at('new.yaml'), text.replaceAll(/^# streams:\n# {3}/gm, 'streams:\n  '))
    const { code, stdout } = await nebula('plan', at('new.yaml'))
    expect([code, stdout]).toEqual([0, expect.stringContaining('orders -> orders (overwrite')])
  })

  test('writes paths as they are meant from the folder of the file', async () => {
    await mkdir(at('in'))
    await writeFile(at('in', 'orders.csv'), 'id\n1\n')
    await mkdir(at('sub'))
    await nebula(
      'init',
      `csv:${at('sub', '..', 'in')}`.replace(at('sub', '..', 'in'), at('in')),
      'csv',
      '--output',
      at('sub', 'x.yaml'),
    )
    const pipeline = await loadPipeline(at('sub', 'x.yaml'))
    expect(pipeline.source.config).toMatchObject({ path: at('in') })
  })

  test('leaves a file that is there alone', async () => {
    await writeFile(at('new.yaml'), 'mine')
    const { code, stderr } = await nebula('init', 'postgres', 'csv', '--output', at('new.yaml'))
    expect(code).toBe(2)
    expect(stderr).toContain('is there already, and is left as it is')
    expect(await readFile(at('new.yaml'), 'utf8')).toBe('mine')
  })

  test('does not write a password, and says which variable to set', async () => {
    const url = 'postgres://me:marked-password@localhost/shop'
    const { stdout } = await nebula('init', 'csv', url, '--output', at('new.yaml'), '--json')
    expect(JSON.parse(stdout)).toEqual({ file: at('new.yaml'), variables: ['TARGET_URL'] })
    expect(await readFile(at('new.yaml'), 'utf8')).not.toContain('marked-password')
  })

  test('asks for what to read from', async () => {
    const { code, stderr } = await nebula('init')
    expect(code).toBe(2)
    expect(stderr).toContain('nebula init postgres csv')
  })
})
