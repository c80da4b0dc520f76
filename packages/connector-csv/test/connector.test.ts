import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StreamOptions } from '@nebula/runtime'
import { oneLinePipeline, registered, runPipeline } from '@nebula/runtime'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { csv, CsvConfig } from '../src/index.ts'

async function folderOf(files: { [name: string]: string }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nebula-csv-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

/** Copies the CSV files of a folder into `out` inside it. */
async function copy(folder: string, defaults: StreamOptions = { mode: 'overwrite' }): ReturnType<typeof runPipeline> {
  const pipeline = await oneLinePipeline({ from: `csv:${folder}`, to: `csv:${join(folder, 'out')}`, folder, defaults })
  return runPipeline({ ...pipeline, parallel: 3 })
}

async function outputOf(folder: string): Promise<{ [name: string]: string }> {
  const names = (await readdir(join(folder, 'out'))).filter((name) => name.endsWith('.csv')).sort()
  const contents = await Promise.all(names.map((name) => readFile(join(folder, 'out', name), 'utf8')))
  return Object.fromEntries(names.map((name, i) => [name, contents[i] ?? '']))
}

describe('the csv connector', () => {
  test('is registered when it is imported', () => {
    expect(registered('csv')).toBe(csv)
    expect(csv.fromLocator?.('./in')).toEqual({ path: './in' })
  })

  test('copies files byte for byte, whatever types are inferred', async () => {
    const files = {
      'public.orders.csv':
        'id,price,day,ok,note\n1,1.50,2024-01-31,true,"a, ""b""\nc"\n2,,,,\n3,007,2024-02-01,false,""\n',
      'empty.csv': 'a,b\n',
      'nothing.csv': '',
      'numbers.csv': `n,f\n${Array.from({ length: 5000 }, (_, i) => `${i},${i / 4}\n`).join('')}`,
    }
    const folder = await folderOf(files)
    const report = await copy(folder)
    expect(report.streams.map(({ stream, status, written }) => [stream, status, written])).toEqual([
      ['empty', 'done', 0],
      ['nothing', 'done', 0],
      ['numbers', 'done', 5000],
      ['public.orders', 'done', 3],
    ])
    expect(await outputOf(folder)).toEqual(files)
  })

  test('appends files of their own', async () => {
    const folder = await folderOf({ 'a.csv': 'x\n1\n' })
    await copy(folder)
    await copy(folder, { mode: 'append' })
    const output = await outputOf(folder)
    expect(Object.keys(output).filter((name) => /^a\.[0-9a-f]{8}\.csv$/.test(name))).toHaveLength(1)
    expect(output['a.csv']).toBe('x\n1\n')
    expect(Object.values(output)).toEqual(['x\n1\n', 'x\n1\n'])
  })

  test('does not replace a file that it did not write, unless it is told to', async () => {
    const folder = await folderOf({ 'a.csv': 'x\n1\n' })
    await copy(folder, {})
    await copy(folder, {})
    await writeFile(join(folder, 'out', 'a.csv'), 'theirs\n1\n')
    await expect(copy(folder, {})).rejects.toMatchObject({ code: 'target_not_ours' })
    await copy(folder)
    expect(await outputOf(folder)).toEqual({ 'a.csv': 'x\n1\n' })
  })

  test('keeps rejected rows with their line', async () => {
    const folder = await folderOf({ 'a.csv': 'x,y\n1,2\n3\n4,5\n' })
    const report = await copy(folder, { mode: 'overwrite', maxErrors: 1 })
    expect(report.streams).toMatchObject([{ read: 3, written: 2, rejected: 1 }])
    expect(await outputOf(folder)).toEqual({ 'a.csv': 'x,y\n1,2\n4,5\n' })
    const failed = await copy(folder)
    expect(failed.streams[0]?.error).toMatchObject({
      code: 'row_rejected',
      message: `${folder}/a.csv line 3: 1 field instead of 2.`,
    })
  })

  test('writes compressed files that it reads back, in as many partitions as it is told to', async () => {
    const text = `n\n${Array.from({ length: 20_000 }, (_, i) => `${i}\n`).join('')}`
    const folder = await folderOf({ 'a.csv': text })
    const moved = async (from: string, to: string, advanced: object): Promise<number> => {
      const pipeline = await oneLinePipeline({ from: `csv:${from}`, to: `csv:${to}`, folder })
      const [source, destination] = [pipeline.source, pipeline.destination].map((endpoint) => ({
        ...endpoint,
        config: CsvConfig.parse({ path: endpoint === pipeline.source ? from : to, advanced }),
      }))
      if (!source || !destination) throw new Error('no pipeline')
      let partitions = 0
      const report = await runPipeline(
        { ...pipeline, source, destination, parallel: 3 },
        { onEvent: (event) => event.kind === 'stream' && (partitions = event.progress.partitions) },
      )
      expect(report.streams[0]).toMatchObject({ status: 'done', written: 20_000 })
      return partitions
    }
    const [packed, out] = [join(folder, 'packed'), join(folder, 'out')]
    expect(await moved(folder, packed, { compression: { algorithm: 'zstd' }, partitionBytes: '10kB' })).toBe(11)
    expect((await readdir(packed)).filter((name) => !name.startsWith('.'))).toEqual(['a.csv.zst'])
    expect(await moved(packed, out, {})).toBe(1)
    expect(await outputOf(folder)).toEqual({ 'a.csv': text })
    expect(await moved(folder, join(folder, 'whole'), { partitionBytes: '1MB' })).toBe(1)
  })

  test('needs a path to write to', () => {
    expect(() => csv.destination?.(CsvConfig.parse({}))).toThrow('needs a path')
    expect(() => csv.source?.(CsvConfig.parse({}))).not.toThrow()
  })

  test('refuses options that it does not know, or that cannot be', () => {
    expect(CsvConfig.safeParse({ path: '.', delimeter: ';' }).success).toBe(false)
    expect(CsvConfig.safeParse({ path: '.', delimiter: '::' }).success).toBe(false)
    expect(CsvConfig.safeParse({ path: '.', delimiter: '\t', nulls: ['NULL'] }).success).toBe(true)
  })
})

test("the README's options are those of the schema", async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const { properties = {} } = z.toJSONSchema(CsvConfig, { io: 'input', unrepresentable: 'any' })
  const shared = ['name', 'performance', 'timeouts', 'reliability', 'security', 'observability', 'memory', 'advanced']
  const rows = Object.entries(properties).flatMap(([key, property]) => {
    if (shared.includes(key) || typeof property === 'boolean') return []
    const initial = property.default === undefined ? '' : `\`${JSON.stringify(property.default)}\``
    return [`| \`${key}\` | ${initial === '' ? '' : `${initial} `}| ${property.description} |\n`]
  })
  const [, table] = /<!-- options -->\n([^]*)<!-- \/options -->/.exec(readme) ?? []
  expect(table).toBe(`| key | default | |\n|---|---|---|\n${rows.join('')}`)
})
