import { mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { PreviousPlan } from '@nebula/core'
import { BufferPool, typeName } from '@nebula/core'
import type { CsvOptions } from '@nebula/formats'
import { csvFormat } from '@nebula/formats'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FileSource, LocalStore } from '../src/index.ts'
import { folderOf, planOf, readAll, readPartition, readStream, temporaryFolder, testContext } from './harness.ts'

function sourceOf(path: string | undefined, csv: Partial<CsvOptions> = {}): FileSource {
  return new FileSource(new LocalStore(), csvFormat(csv), path)
}

async function namesOf(path: string): Promise<string[]> {
  const { streams } = await sourceOf(path).discover(testContext(), [])
  return streams.map(({ name }) => name)
}

const numbered = (rows: number): string =>
  `id,text\n${Array.from({ length: rows }, (_, i) => `${i},"text, ""${i}""\n${'x'.repeat(i % 50)}"\n`).join('')}`

describe('discover', () => {
  test('finds the file, the files of a folder, or those that match', async () => {
    const folder = await folderOf({ 'public.orders.csv': 'a\n', 'B.CSV': 'a\n', 'x.txt': 'a\n', '.hidden.csv': 'a\n' })
    await mkdir(join(folder, 'deep.csv'))
    expect(await namesOf(folder)).toEqual(['B', 'public.orders'])
    expect(await namesOf(join(folder, 'public.orders.csv'))).toEqual(['public.orders'])
    expect(await namesOf(join(folder, 'x.txt'))).toEqual(['x.txt'])
    expect(await namesOf(join(folder, '*.orders.*'))).toEqual(['public.orders'])
    expect(await namesOf(join(folder, '*'))).toEqual(['B', 'public.orders', 'x.txt'])
    expect(await namesOf(join(folder, 'deep.csv'))).toEqual([])
  })

  test('tells columns, types, and what is known of the size', async () => {
    const folder = await folderOf({ 't.csv': 'id,name\n1,x\n2,\n' })
    const { streams } = await sourceOf(folder).discover(testContext(), [])
    expect(streams).toEqual([
      {
        name: 't',
        schema: {
          fields: [
            { name: 'id', type: { kind: 'int64' }, nullable: true, offers: [{ kind: 'int64' }, { kind: 'utf8' }] },
            { name: 'name', type: { kind: 'utf8' }, nullable: true, offers: [{ kind: 'utf8' }] },
          ],
        },
        key: [],
        wire: [],
        untyped: true,
        bytes: 15,
      },
    ])
  })

  test('says what is missing', async () => {
    const folder = await temporaryFolder()
    await expect(namesOf(join(folder, 'no.csv'))).rejects.toMatchObject({
      code: 'file_not_found',
      message: `There is no file or folder ${folder}/no.csv.`,
    })
    await expect(namesOf(join(folder, '*.csv'))).rejects.toMatchObject({
      code: 'file_not_found',
      message: `No file matches ${folder}/*.csv.`,
    })
    expect(await namesOf(folder)).toEqual([])
  })

  test('refuses two files of one name', async () => {
    const folder = await folderOf({ 'a.csv': 'x\n', 'a.csv.gz': gzipSync('x\n') })
    await expect(namesOf(folder)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('would both be the stream a'),
    })
  })

  test('names the file that cannot be read', async () => {
    const folder = await folderOf({ 'utf16.csv': Buffer.from('\uFEFFa,b\n', 'utf16le') })
    await expect(namesOf(folder)).rejects.toMatchObject({
      code: 'data_invalid',
      message: expect.stringMatching(/utf16\.csv: The file is UTF-16/),
    })
  })

  test('reads a header that is longer than the first look', async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `a_rather_long_name_of_column_${i}`)
    const folder = await folderOf({ 'wide.csv': `${names.join(',')}\n${names.map((_, i) => i).join(',')}\n` })
    const { rows } = await readAll(sourceOf(folder), 'wide', {
      columns: { a_rather_long_name_of_column_9999: 'int32' },
    })
    expect(rows).toEqual([[9999]])
  })
})

describe('a stream that the pipeline defines', () => {
  test('is all files that match, in the order of their names', async () => {
    const folder = await folderOf({
      'p-2.csv': 'id\n3\n',
      'p-1.csv': 'id\n1\n2\n',
      'p-3.csv': 'id\nx\n',
      'other.csv': 'z\n',
    })
    const { rows, plan } = await readAll(sourceOf(undefined), 'p', { path: join(folder, 'p-*.csv') })
    expect(rows).toEqual([['1'], ['2'], ['3'], ['x']])
    expect(plan.partitions.map(({ id, stream }) => [id, stream])).toEqual([
      ['p#00000', 'p'],
      ['p#00001', 'p'],
      ['p#00002', 'p'],
    ])
  })

  test('wins over a file of its name', async () => {
    const folder = await folderOf({ 'p.csv': 'a\n', 'q.csv': 'b\n' })
    const { streams } = await sourceOf(folder).discover(testContext(), [{ stream: 'p', path: join(folder, 'q.csv') }])
    expect(streams.map(({ name, schema }) => [name, schema.fields[0]?.name])).toEqual([
      ['p', 'b'],
      ['q', 'b'],
    ])
  })

  test('has one header', async () => {
    const folder = await folderOf({ 'p-1.csv': 'id,a\n', 'p-2.csv': 'id,b\n' })
    await expect(readAll(sourceOf(undefined), 'p', { path: join(folder, '*') })).rejects.toMatchObject({
      code: 'data_invalid',
      message: `${folder}/p-2.csv has other columns than the first file of its stream: id, b instead of id, a.`,
    })
  })

  test('is typed by all its files', async () => {
    const folder = await folderOf({ 'p-1.csv': 'a,b\n1,1\n', 'p-2.csv': 'a,b\n1.5,1\n', 'p-3.csv': 'a,b\n,1\n' })
    const { streams } = await sourceOf(undefined).discover(testContext(), [{ stream: 'p', path: join(folder, '*') }])
    expect(streams[0]?.schema.fields.map(({ type }) => typeName(type))).toEqual(['float64', 'int64'])
  })
})

describe('compressed files', () => {
  test.each([
    ['gz', (text: string) => gzipSync(text)],
    ['zst', (text: string) => zstdCompressSync(text)],
  ])('are read as what they hold: %s', async (extension, compress) => {
    const text = `${numbered(10_000)}x\n`
    const folder = await folderOf({ 'plain.csv': text, [`packed.csv.${extension}`]: compress(text) })
    const plain = await readAll(sourceOf(folder), 'plain')
    const packed = await readAll(sourceOf(folder), 'packed', { partitionBytes: 1000 })
    expect(packed.plan.partitions).toHaveLength(1)
    expect(packed.rows).toEqual(plain.rows)
    expect(packed.rejected).toMatchObject([
      { reason: '1 field instead of 2', place: `${folder}/packed.csv.${extension} line 20002` },
    ])
    expect(packed.places[1]).toMatch(/ byte \d+$/)
  })

  test('that are cut are an error', async () => {
    const whole = gzipSync(numbered(10_000))
    const folder = await folderOf({ 'cut.csv.gz': whole.subarray(0, whole.length - 100) })
    await expect(readAll(sourceOf(folder), 'cut')).rejects.toMatchObject({
      code: 'data_invalid',
      message: `${folder}/cut.csv.gz is no whole gzip file.`,
    })
  })
})

describe('plan', () => {
  test('leaves small files whole, and cuts large ones between records', async () => {
    const folder = await folderOf({ 't.csv': numbered(1000) })
    expect((await readAll(sourceOf(folder), 't', { partitionBytes: 50_000 })).plan.partitions).toHaveLength(1)
    const cut = await readAll(sourceOf(folder), 't', { partitionBytes: 4000 })
    expect(cut.plan.partitions.length).toBeGreaterThan(8)
    expect(cut.plan.partitions[3]?.id).toBe('t#00003')
    expect(cut.rows.map(([id]) => id)).toEqual(Array.from({ length: 1000 }, (_, i) => BigInt(i)))
    expect(cut.rejected).toEqual([])
  })

  test('gives every record exactly once, however a file is cut', async () => {
    const folder = await temporaryFolder()
    const unit = fc.constantFrom('a', '"', ',', '\n', '\r', ' ')
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit, maxLength: 300 }),
        fc.integer({ min: 1, max: 100 }),
        async (text, partitionBytes) => {
          await writeFile(join(folder, 't.csv'), `a,b\n${text}`)
          const whole = await readAll(sourceOf(folder), 't', { columns: { a: 'utf8', b: 'utf8' } })
          const cut = await readAll(sourceOf(folder), 't', { columns: { a: 'utf8', b: 'utf8' }, partitionBytes })
          expect({ ...cut, plan: 0 }).toEqual({ ...whole, plan: 0 })
        },
      ),
      { numRuns: 200 },
    )
  }, 60_000)

  test('does not cut what cannot be cut', async () => {
    const folder = await folderOf({ 't.csv': numbered(1000) })
    for (const csv of [{ comment: '#' }, { escape: '\\' }]) {
      const { plan } = await readAll(sourceOf(folder, csv), 't', { partitionBytes: 4000 })
      expect(plan.partitions).toHaveLength(1)
    }
  })

  test('of a limited stream is one partition of at most so many rows', async () => {
    const folder = await folderOf({ 't.csv': numbered(1000) })
    const { plan, rows } = await readAll(sourceOf(folder), 't', { partitionBytes: 4000, limit: 250 })
    expect(plan.partitions).toHaveLength(1)
    expect(rows.map(([id]) => id)).toEqual(Array.from({ length: 250 }, (_, i) => BigInt(i)))
    const few = await folderOf({ 't.csv': 'a,b\nx\n1,2\ny\n3,4\nz\n' })
    const limited = await readAll(sourceOf(few), 't', { limit: 1 })
    expect(limited.rows).toEqual([[1n, 2n]])
    expect(limited.rejected.map(({ place }) => place)).toEqual([`${few}/t.csv line 2`, `${few}/t.csv line 4`])
  })

  describe('with an interrupted run', () => {
    async function interrupted(): Promise<{
      folder: string
      source: FileSource
      read: ReturnType<typeof readStream>
      previous: PreviousPlan
    }> {
      const folder = await folderOf({ 'p-1.csv': numbered(1000), 'p-2.csv': numbered(10) })
      const source = sourceOf(undefined)
      const path = join(folder, 'p-*.csv')
      const read = readStream(await source.discover(testContext(), [{ stream: 'p', path }]), 'p', { path })
      const plan = await planOf(source, [read], 4000)
      const previous = {
        plan: structuredClone(plan),
        committed: [{ partition: plan.partitions[0]?.id ?? '', read: 1 }],
      }
      return { folder, source, read, previous }
    }

    test('keeps its partitions while no file changed, also when others would be made now', async () => {
      const { source, read, previous } = await interrupted()
      const plan = await source.plan([read], 8000, previous, testContext())
      expect(plan.restart).toEqual([])
      expect(plan.partitions).toEqual(previous.plan.partitions)
    })

    test.each<[string, (folder: string) => Promise<void>, RegExp]>([
      ['changed', (folder) => utimes(join(folder, 'p-1.csv'), 1, 1), /p-1\.csv changed since the run began/],
      ['is gone', (folder) => rm(join(folder, 'p-2.csv')), /p-2\.csv is gone/],
      ['is new', (folder) => writeFile(join(folder, 'p-3.csv'), 'id,text\n'), /p-3\.csv is new/],
    ])('begins the stream again when a file %s', async (_what, change, reason) => {
      const { folder, source, read, previous } = await interrupted()
      await change(folder)
      const plan = await source.plan([read], 4000, previous, testContext())
      expect(plan.restart).toEqual([{ stream: 'p', reason: expect.stringMatching(reason) }])
      expect(plan.partitions).not.toEqual(previous.plan.partitions)
    })
  })

  test('says when a file is gone', async () => {
    const folder = await folderOf({ 't.csv': 'a\n' })
    const source = sourceOf(folder)
    const read = readStream(await source.discover(testContext(), []), 't')
    await rm(join(folder, 't.csv'))
    await expect(planOf(source, [read])).rejects.toMatchObject({ code: 'source_changed' })
  })
})

describe('read', () => {
  test('gives the columns that are asked for, in their order and types', async () => {
    const folder = await folderOf({ 't.csv': 'a,b,c\n1,2.50,x\n2,,y\n' })
    const { rows } = await readAll(sourceOf(folder), 't', { columns: { c: 'utf8', b: 'decimal(10,2)' } })
    expect(rows).toEqual([
      ['x', 250n],
      ['y', null],
    ])
  })

  test('names the line of faulty rows, also in late partitions and behind fields of several lines', async () => {
    const lines = Array.from({ length: 2000 }, (_, i) =>
      i % 500 === 499 ? 'x,1' : i % 3 === 0 ? `${i},"a\r\nb"` : `${i},a`,
    )
    const folder = await folderOf({ 't.csv': `id,text\r\n${lines.join('\r\n')}\r\n` })
    const { rejected, rows, places } = await readAll(sourceOf(folder), 't', {
      columns: { id: 'int64', text: 'utf8' },
      partitionBytes: 3000,
    })
    const starts = lines
      .map(
        (
          (line) => (text) =>
            (line += text.includes('\n') ? 2 : 1)
        )(2),
      )
      .map((next, i) => next - (lines[i]?.includes('\n') ? 2 : 1))
    const lineOf = (record: number): number => starts[record] as number
    expect(rejected.map(({ place, reason, column }) => [place, reason, column])).toEqual(
      [499, 999, 1499, 1999].map((record) => [
        `${folder}/t.csv line ${lineOf(record)}`,
        '"id" is not a valid int64',
        'id',
      ]),
    )
    expect(places).toEqual(rows.map(([id]) => `${folder}/t.csv line ${lineOf(Number(id))}`))
  })

  test('stops when the file changed since it was planned, and when it changes while it is read', async () => {
    const folder = await folderOf({ 't.csv': numbered(5000) })
    const source = sourceOf(folder)
    const read = readStream(await source.discover(testContext(), []), 't')
    const [partition] = (await planOf(source, [read])).partitions
    if (!partition) throw new Error('no partition')
    const batches = source
      .read({ partition, stream: read, batch: { rows: 10, bytes: 1000, delayMs: 10_000 } }, testContext())
      [Symbol.asyncIterator]()
    const first = await batches.next()
    first.value?.release()
    await utimes(join(folder, 't.csv'), 1, 1)
    const rest = async (): Promise<void> => {
      for (let next = await batches.next(); next.done !== true; next = await batches.next()) next.value.release()
    }
    await expect(rest()).rejects.toMatchObject({ code: 'source_changed', retryable: true })
    await expect(readPartition(source, partition, read)).rejects.toMatchObject({ code: 'source_changed' })
    await rename(join(folder, 't.csv'), join(folder, 'u.csv'))
    await expect(readPartition(source, partition, read)).rejects.toMatchObject({ code: 'file_not_found' })
  })

  test('frees all memory at its end, when it is left early, and when it is stopped', async () => {
    const folder = await folderOf({ 't.csv': numbered(10_000) })
    const source = sourceOf(folder)
    const read = readStream(await source.discover(testContext(), []), 't')
    const [partition] = (await planOf(source, [read])).partitions
    if (!partition) throw new Error('no partition')
    const pool = new BufferPool(2 ** 24)
    await readPartition(source, partition, read, testContext(undefined, pool))
    expect(pool.statistics.used).toBe(0)
    for await (const batch of source.read(
      { partition, stream: read, batch: { rows: 10, bytes: 1000, delayMs: 10_000 } },
      testContext(undefined, pool),
    )) {
      batch.release()
      break
    }
    expect(pool.statistics.used).toBe(0)
    const stopped = AbortSignal.abort()
    await expect(readPartition(source, partition, read, testContext(stopped, pool))).rejects.toMatchObject({
      code: 'aborted',
    })
    expect(pool.statistics.used).toBe(0)
  })

  test('hands over the rows that it has while it waits for the next bytes', async () => {
    const folder = await folderOf({ 't.csv': numbered(20_000) })
    const stalled = Promise.withResolvers<void>()
    const store = new LocalStore()
    const open = store.open.bind(store)
    store.open = async (path) => {
      const file = await open(path)
      const read = async (buffer: Uint8Array, position: number): Promise<number> => {
        if (position > 100_000 && position < 1_000_000) await stalled.promise
        return file.read(buffer, position)
      }
      return { stat: () => file.stat(), close: () => file.close(), read }
    }
    const source = new FileSource(store, csvFormat(), folder)
    const context = testContext()
    const read = readStream(await sourceOf(folder).discover(context, []), 't')
    const [partition] = (await planOf(sourceOf(folder), [read], 1e9)).partitions
    const batch = { rows: 1_000_000, bytes: 100_000_000, delayMs: 10_000 }
    const batches = source.read({ partition: partition as never, stream: read, batch }, context)[Symbol.asyncIterator]()
    const first = await batches.next()
    const rows = first.value?.rows ?? 0
    expect(rows).toBeGreaterThan(0)
    expect(rows).toBeLessThan(20_000)
    first.value?.release()
    stalled.resolve()
    await batches.return?.()
  })

  test('waits for memory before it reads on', async () => {
    const folder = await folderOf({ 't.csv': numbered(10_000) })
    const source = sourceOf(folder)
    const read = readStream(await source.discover(testContext(), []), 't')
    const [partition] = (await planOf(source, [read])).partitions
    if (!partition) throw new Error('no partition')
    const pool = new BufferPool(2 ** 21)
    const other = pool.take(2 ** 21)
    const reading = readPartition(source, partition, read, testContext(undefined, pool))
    await new Promise(setImmediate)
    pool.give(other)
    expect((await reading).rows).toHaveLength(10_000)
    expect(pool.statistics.used).toBe(0)
  })
})
