import type { Position } from '@nebula/core'
import { BufferPool } from '@nebula/core'
import { FaultProxy } from '@nebula/testkit'
import { BSON, type Document, FindCursor, ObjectId } from 'mongodb'
import { afterEach, describe, expect, inject, test, vi } from 'vitest'
import { Database, failure, ids, Reader } from './harness.ts'

const server = inject('mongo')
afterEach(() => vi.restoreAllMocks())

const SMALL = { rows: 10, bytes: 1e6 }

function numbered(count: number, text = 'x'): never[] {
  return Array.from({ length: count }, (_, _id) => ({ _id, text: `${text}${_id}` })) as never[]
}

async function positions(reader: Reader, name: string): Promise<[Position | undefined, number][]> {
  const stream = await reader.request(name)
  const { partitions } = await reader.plan(stream, 1e9)
  const found: [Position | undefined, number][] = []
  for (const partition of partitions)
    for await (const { position, documents } of reader.read(stream, partition, { batch: SMALL }))
      found.push([position, documents.length])
  return found
}

describe.skipIf(server.kind === 'none')('reading', () => {
  test.each([
    ['int', (i: number) => i],
    ['objectId', () => new ObjectId()],
    ['string', (i: number) => `"${i}"`],
    ['date', (i: number) => new Date(i)],
    ['document', (i: number) => ({ a: i })],
    ['uuid', () => new BSON.UUID()],
  ])('goes on behind every position, with an _id of type %s', async (_, make) => {
    await using database = new Database(server.url)
    const rows = Array.from({ length: 35 }, (_one, i) => ({ _id: make(i), i }))
    await database.db.collection<Document>('rows').insertMany(rows as never[])
    await using reader = new Reader(database.url)
    const stream = await reader.request('rows')
    const partition = await reader.whole(stream)
    const before: Document[] = []
    for await (const { documents, position } of reader.read(stream, partition, { batch: SMALL })) {
      expect(position).toBeTypeOf('string')
      before.push(...documents)
      const behind: Document[] = []
      for await (const read of reader.read(stream, partition, { from: position })) behind.push(...read.documents)
      expect(ids([...before, ...behind])).toEqual(ids(rows))
    }
    expect(before).toHaveLength(35)
  })

  test('gives no position where a query could not go on: other types, and a limit', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('flags').insertMany([{ _id: true }, { _id: false }] as never[])
    await using reader = new Reader(database.url)
    expect(await positions(reader, 'flags')).toEqual([[undefined, 2]])
  })

  test('a cursor that the server forgot is resumed behind the last document', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('rows').insertMany(numbered(200))
    await using reader = new Reader(database.url)
    const stream = await reader.request('rows')
    const partition = await reader.whole(stream)
    const asked = vi.spyOn(FindCursor.prototype, 'hasNext')
    const seen: Document[] = []
    for await (const { documents } of reader.read(stream, partition, { batch: SMALL })) {
      seen.push(...documents)
      if (seen.length !== 50) continue
      const [cursor] = asked.mock.contexts as FindCursor[]
      await database.db.command({ killCursors: 'rows', cursors: [cursor?.id] })
    }
    expect(new Set(asked.mock.contexts).size).toBe(2)
    expect(seen.map(({ _id }) => Number(_id))).toEqual(Array.from({ length: 200 }, (_, i) => i))
  })

  test('a connection that breaks anywhere costs nothing and doubles nothing', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('rows').insertMany(numbered(300, 'y'.repeat(1000)))
    await using proxy = await FaultProxy.before(server.url)
    const through = proxy.url(database.url)
    await using reader = new Reader(through, { reliability: { maxRetries: 5, retryDelay: '10ms' } })
    const stream = await reader.request('rows')
    const partition = await reader.whole(stream)
    for (const bytes of [10, 3000, 50_000, 200_000]) {
      const cut = proxy.toClient.after(bytes, (connection) => connection.cut('reset'))
      const seen: Document[] = []
      for await (const { documents } of reader.read(stream, partition, { batch: { rows: 20, bytes: 1e6 } }))
        seen.push(...documents)
      await cut
      expect(seen.map(({ _id }) => Number(_id))).toEqual(Array.from({ length: 300 }, (_, i) => i))
    }
  })

  test('where there is nothing to go on from, the error says that all may be read again', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('rows').insertMany(numbered(100, 'y'.repeat(1000)))
    await using proxy = await FaultProxy.before(server.url)
    await using reader = new Reader(proxy.url(database.url))
    const stream = await reader.request('rows', { limit: 90 })
    const partition = await reader.whole(stream)
    const cut = proxy.toClient.after(30_000, (connection) => connection.cut('reset'))
    const reading = async (): Promise<void> => {
      for await (const _ of reader.read(stream, partition, { batch: SMALL })) continue
    }
    const error = await failure(reading())
    await cut
    expect(error).toMatchObject({ code: 'connection_lost', retryable: true, stream: 'rows', partition: partition.id })
  })

  test('stops at once when it is told to, also when the server is silent', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('rows').insertMany(numbered(300, 'y'.repeat(1000)))
    await using proxy = await FaultProxy.before(server.url)
    await using reader = new Reader(proxy.url(database.url))
    const stream = await reader.request('rows')
    const partition = await reader.whole(stream)
    const read = reader.read(stream, partition, { batch: SMALL })
    await read.next()
    proxy.blackHole()
    const rest = (async () => {
      for await (const _ of read) continue
    })()
    setTimeout(() => reader.abort(), 50)
    expect((await failure(rest)).code).toBe('aborted')
    await reader.source.close()
    await proxy.heal()
    await expect.poll(() => proxy.connections).toBe(0)
  })

  test('a read that is left early gives everything back', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('rows').insertMany(numbered(100))
    const pool = new BufferPool(10_000_000)
    await using reader = new Reader(database.url, {}, { pool })
    const stream = await reader.request('rows')
    const partition = await reader.whole(stream)
    for await (const { documents } of reader.read(stream, partition, { batch: SMALL })) {
      expect(documents).toHaveLength(10)
      break
    }
    expect(pool.statistics.used).toBe(0)
  })

  test('batches keep to bytes and rows, and a document that is larger is one of its own', async () => {
    await using database = new Database(server.url)
    const sizes = [10, 400_000, 20, 30, 700_000, 800_000, 40, ...Array.from({ length: 500 }, () => 1000)]
    const rows = sizes.map((size, _id) => ({ _id, text: 'z'.repeat(size) }))
    await database.db.collection<Document>('sizes').insertMany(rows as never[])
    await using reader = new Reader(database.url)
    const stream = await reader.request('sizes')
    const partition = await reader.whole(stream)
    const seen: number[] = []
    let batches = 0
    for await (const { documents, bytes } of reader.read(stream, partition, { batch: { rows: 100, bytes: 500_000 } })) {
      expect(documents.length).toBeLessThanOrEqual(100)
      expect(documents.length === 1 || bytes <= 500_000).toBe(true)
      seen.push(...documents.map(({ _id }) => Number(_id)))
      batches++
    }
    expect(seen).toEqual(rows.map(({ _id }) => _id))
    expect(batches).toBeLessThan(40)
  })

  test('documents of many megabytes are read one by one', async () => {
    await using database = new Database(server.url)
    const large = database.db.collection<Document>('large')
    for (let _id = 0; _id < 4; _id++) await large.insertOne({ _id, data: Buffer.alloc(11_000_000, _id) } as never)
    const pool = new BufferPool(16_000_000)
    await using reader = new Reader(database.url, {}, { pool })
    const stream = await reader.request('large')
    const partition = await reader.whole(stream)
    expect(await reader.plan(stream, 1e9)).toMatchObject({ tasks: 1 })
    const rows: number[] = []
    for await (const { documents } of reader.read(stream, partition)) rows.push(documents.length)
    expect(rows).toEqual([1, 1, 1, 1])
    expect(pool.statistics.peak).toBeLessThan(16_000_000)
  })

  test('only the columns that are asked for travel, but all for the overflow column', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('wide').insertMany([
      { _id: 1, a: 1, b: 'b', c: { d: 1 }, 'e.f': 1 },
      { _id: 2, b: 'c', x: 5 },
    ] as never[])
    await using reader = new Reader(database.url)
    const stream = await reader.request('wide')
    const { partitions } = await reader.plan(stream, 1e9)
    const named = async (...names: string[]): Promise<string[][]> => {
      const fields = stream.schema.fields.filter(({ name }) => names.includes(name))
      const documents = await reader.all({ ...stream, schema: { fields } }, partitions)
      return documents.map((document) => Object.keys(document))
    }
    expect(await named('_id', 'b')).toEqual([
      ['_id', 'b'],
      ['_id', 'b'],
    ])
    expect(await named('b')).toEqual([['b'], ['b']])
    expect(await named('_id', 'e.f')).toEqual([
      ['_id', 'a', 'b', 'c', 'e.f'],
      ['_id', 'b', 'x'],
    ])
    expect(await named('_id', '_overflow')).toEqual([
      ['_id', 'a', 'b', 'c', 'e.f'],
      ['_id', 'b', 'x'],
    ])
  })

  test('columns come without a wire format, what they cannot hold in the overflow column', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('odd').insertMany([
      { _id: 1, a: 1 },
      { _id: 2, a: 2, late: true },
      { _id: 3, a: 'text' },
    ] as never[])
    await using reader = new Reader(database.url)
    const { wire: _, ...stream } = await reader.request('odd')
    const partition = await reader.whole(stream)
    const task = { partition, stream, batch: { rows: 10, bytes: 1e6, delayMs: 1000 } }
    const texts: unknown[] = []
    for await (const batch of reader.source.read(task, reader.context)) {
      for (let row = 0; row < batch.rows; row++)
        texts.push(['_id', 'a', 'late', '_overflow'].map((name) => batch.record(row).get(name)))
      batch.release()
    }
    expect(texts).toEqual([
      [1, 1, null, null],
      [2, 2, true, null],
      [3, null, null, '{"a":"text"}'],
    ])
  })

  test('native_filter is applied by the server', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('rows').insertMany(numbered(100))
    await using reader = new Reader(database.url)
    const stream = await reader.request('rows', { nativeFilter: '{"text": {"$in": ["x7", "x70"]}}' })
    const { partitions } = await reader.plan(stream, 500)
    expect(partitions.length).toBeGreaterThan(1)
    expect((await reader.all(stream, partitions)).map(({ _id }) => Number(_id))).toEqual([7, 70])
  })
})
