import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RecordBatch, RejectedRecord, RowOrigin } from '@nebula/core'
import { csvFormat } from '@nebula/formats'
import { describe, expect, test } from 'vitest'
import { FileSource, LocalStore } from '../src/index.ts'
import { folderOf, readStream, rowOf, testContext } from './harness.ts'

const context = testContext()
const TYPES = { columns: { id: 'int64', note: 'utf8' } }

async function sceneOf(text: string): Promise<{ path: string; source: FileSource }> {
  const folder = await folderOf({ 't.csv': text })
  return { path: join(folder, 't.csv'), source: new FileSource(new LocalStore(), csvFormat({}), folder) }
}

async function reread(source: FileSource, records: readonly RejectedRecord[]): Promise<unknown[]> {
  const stream = readStream(await source.discover(context, []), 't', TYPES)
  const found: unknown[] = []
  for await (const batch of source.reread(stream, records, context)) {
    found.push(batch.rows === 1 ? rowOf(batch, 0) : batch.rejected.map(({ reason }) => reason))
    batch.release()
  }
  return found
}

function at(path: string, record: number): RowOrigin {
  return { path, line: 0, record, byte: 0 }
}

describe('origin', () => {
  test('has line, record and byte of each row and rejection; what is skipped is no record', async () => {
    const { path, source } = await sceneOf('id,note\n1,"two\nlines"\n\n2,ragged,x\n3,plain\nx,no number\n4,last')
    const stream = readStream(await source.discover(context, []), 't', TYPES)
    const plan = await source.plan([stream], 1_000_000, undefined, context)
    const origins: (RowOrigin | undefined)[] = []
    const partition = plan.partitions[0] ?? { id: '', stream: '', range: null }
    const read = source.read({ partition, stream, batch: { rows: 10, bytes: 1000, delayMs: 1 } }, context)
    let last: RecordBatch | undefined
    for await (const batch of read) {
      for (let row = 0; row < batch.rows; row++) origins.push(await batch.origin(row))
      for (const rejection of batch.rejected) origins.push(await rejection.origin?.())
      last?.release()
      last = batch
    }
    expect(origins).toEqual([
      { path, line: 2, record: 1, byte: 8 },
      { path, line: 6, record: 3, byte: 34 },
      { path, line: 5, record: 2, byte: 23 },
      { path, line: 7, record: 4, byte: 42 },
      { path, line: 8, record: 5, byte: 54 },
    ])
    // The file may be closed by then, and may be another one.
    expect(await last?.origin(0)).toEqual(origins[4])
    await writeFile(path, 'id,note\n1,other\n')
    expect(await last?.origin(0)).toBeUndefined()
    last?.release()
  })
})

describe('reread', () => {
  test('gives the row of a text, and hands its origin on', async () => {
    const { path, source } = await sceneOf('note,id\na,1\n')
    const stream = readStream(await source.discover(context, []), 't', TYPES)
    const origin = { ...at(path, 7), line: 9 }
    const raw = Buffer.from('"a ""b""\nc",12')
    for await (const batch of source.reread(stream, [{ origin, raw }], context)) {
      expect(rowOf(batch, 0)).toEqual([12n, 'a "b"\nc'])
      expect(batch.place(0)).toBe(`${path} line 9`)
      expect(await batch.origin(0)).toBe(origin)
      batch.release()
    }
    expect(context.pool.statistics.used).toBe(0)
  })

  test('rejects what is still no row, and what is not one record', async () => {
    const { path, source } = await sceneOf('id,note\n1,a\n')
    const raws = ['x,a', '1', '1,a\n2,b', '', '1,"open', '7,fine']
    const found = await reread(
      source,
      raws.map((raw) => ({ origin: at(path, 1), raw: Buffer.from(raw) })),
    )
    expect(found).toEqual([
      ['"id" is not a valid int64'],
      ['1 field instead of 2'],
      ['there are 2 records instead of one'],
      ['there are 0 records instead of one'],
      ['a quote is not closed'],
      [7n, 'fine'],
    ])
    expect(context.pool.statistics.used).toBe(0)
  })

  test('without a text reads the record of that number, as the file stands now', async () => {
    const rows = Array.from({ length: 70_000 }, (_, i) => `${i + 1},"n\n${i + 1}"`)
    const { path, source } = await sceneOf(`id,note\n${rows.join('\n')}`)
    const records = [69_999, 1, 70_000, 40_000, 70_001].map((record) => ({ origin: at(path, record) }))
    expect(await reread(source, records)).toEqual([
      [69_999n, 'n\n69999'],
      [1n, 'n\n1'],
      [70_000n, 'n\n70000'],
      [40_000n, 'n\n40000'],
      ['there are 0 records instead of one'],
    ])
  })

  test('a file without the columns is an error', async () => {
    const { path, source } = await sceneOf('id,note\n1,a\n')
    const stream = readStream(await source.discover(context, []), 't', TYPES)
    await writeFile(path, 'id,other\n1,a\n')
    const reading = source
      .reread(stream, [{ origin: at(path, 1) }], context)
      [Symbol.asyncIterator]()
      .next()
    await expect(reading).rejects.toMatchObject({ code: 'source_changed' })
  })
})
