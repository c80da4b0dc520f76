import type { Plan } from '@nebula/core'
import { BSON, type Document, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'mongodb'
import { describe, expect, inject, test } from 'vitest'
import { Database, failure, ids, Reader } from './harness.ts'

const server = inject('mongo')

/** `_id`s of every type that a driver inserts, many of each where there can be. */
function mixedIds(): unknown[] {
  const numbers = Array.from({ length: 60 }, (_, i) => i - 30)
  return [
    ...numbers.map((i) => new Int32(i * 3)),
    ...numbers.map((i) => i * 3 + 0.5),
    ...numbers.map((i) => Long.fromNumber(i * 3 + 1)),
    ...numbers.map((i) => BSON.Decimal128.fromString(`${i * 3}.25`)),
    ...numbers.map((i) => `text ${i}`),
    ...numbers.map(() => new ObjectId()),
    ...numbers.map((i) => new Date(i * 1e9)),
    ...numbers.map((i) => ({ a: new Int32(i) })),
    ...numbers.map(() => new BSON.UUID()),
    ...numbers.map((i) => new Timestamp({ t: i + 100, i: 1 })),
    true,
    false,
    new MinKey(),
    new MaxKey(),
    '',
    -Infinity,
    Infinity,
  ]
}

function committed(plan: Plan, count = 1): { plan: Plan; committed: { partition: string; read: number }[] } {
  return { plan, committed: plan.partitions.slice(0, count).map(({ id }) => ({ partition: id, read: 1 })) }
}

describe.skipIf(server.kind === 'none')('partitions', () => {
  test('are the collection, each document once, however many there are', async () => {
    await using database = new Database(server.url)
    const rows: Document[] = mixedIds().map((_id, i) => ({ _id, filler: 'x'.repeat(i % 50) }))
    await database.db.collection<Document>('mixed').insertMany(rows as never[])
    const plain: Document[] = Array.from({ length: 640 }, (_, i) => ({ value: i }))
    await database.db.collection<Document>('plain').insertMany(plain)
    await using reader = new Reader(database.url)
    for (const [name, expected, most] of [
      ['mixed', ids(rows), 8],
      ['plain', ids(plain), 0],
    ] as const) {
      const stream = await reader.request(name)
      const { bytes = 0 } = await reader.stream(name)
      expect(await reader.plan(stream, 1e9)).not.toHaveProperty('tasks')
      for (const count of [1, 2, 7, 64]) {
        const { partitions } = await reader.plan(stream, Math.ceil(bytes / count))
        expect(ids(await reader.all(stream, partitions))).toEqual(expected)
        // Of several types each has ranges of its own.
        expect(partitions.length).toBeGreaterThanOrEqual(count)
        expect(partitions.length).toBeLessThanOrEqual(count + most)
        expect(new Set(partitions.map(({ id }) => id)).size).toBe(partitions.length)
      }
    }
  })

  test('are cut at _ids that were drawn to learn the fields', async () => {
    await using database = new Database(server.url)
    const rows: Document[] = Array.from({ length: 640 }, (_, value) => ({ _id: new ObjectId(), value }))
    await database.db.collection<Document>('plain').insertMany(rows)
    await using reader = new Reader(database.url, { sample: 200 })
    const stream = await reader.request('plain')
    const { bytes = 0 } = await reader.stream('plain')
    const { partitions } = await reader.plan(stream, Math.ceil(bytes / 7))
    expect(partitions).toHaveLength(7)
    expect(ids(await reader.all(stream, partitions))).toEqual(ids(rows))
  })

  test('hold what moves by updates and inserts once, too', async () => {
    await using database = new Database(server.url)
    const collection = database.db.collection<Document>('moving')
    await collection.insertMany(Array.from({ length: 100 }, (_, i) => ({ _id: i * 2, text: 'short' })) as Document[])
    await using reader = new Reader(database.url)
    const stream = await reader.request('moving')
    const { partitions } = await reader.plan(stream, 500)
    expect(partitions.length).toBeGreaterThan(3)
    const seen: Document[] = []
    for (const [i, partition] of partitions.entries()) {
      for await (const { documents } of reader.read(stream, partition)) seen.push(...documents)
      await collection.updateMany({}, { $set: { text: 'long '.repeat(10 * (i + 1)) } })
    }
    expect(seen.map(({ _id }) => Number(_id))).toEqual(Array.from({ length: 100 }, (_, i) => i * 2))
  })

  test('of an empty collection, and of other types alone, are one; of several types eight', async () => {
    await using database = new Database(server.url)
    await database.db.createCollection('empty')
    await database.db.collection<Document>('flags').insertMany([{ _id: true }, { _id: false }] as unknown as Document[])
    await database.db
      .collection<Document>('edges')
      .insertMany([{ _id: new MinKey() }, { _id: 5 }, { _id: new MaxKey() }] as unknown as Document[])
    await using reader = new Reader(database.url)
    for (const [name, rows, count] of [
      ['empty', 0, 1],
      ['flags', 2, 1],
      ['edges', 3, 8],
    ] as const) {
      const stream = await reader.request(name)
      const { partitions } = await reader.plan(stream, 1e6)
      expect(await reader.all(stream, partitions)).toHaveLength(rows)
      expect(partitions).toHaveLength(count)
    }
  })

  test('a limit is kept, in one partition and in the order of _id', async () => {
    await using database = new Database(server.url)
    await database.db
      .collection<Document>('many')
      .insertMany(Array.from({ length: 50 }, (_, i) => ({ _id: 50 - i })) as never[])
    await using reader = new Reader(database.url)
    const stream = await reader.request('many', { limit: 7 })
    const { partitions } = await reader.plan(stream, 100)
    expect(partitions).toHaveLength(1)
    const read = await reader.all(stream, partitions)
    expect(read.map(({ _id }) => Number(_id))).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  test('those of an interrupted run stay, with ranges that were never begun', async () => {
    await using database = new Database(server.url)
    const collection = database.db.collection<Document>('again')
    await collection.insertMany(Array.from({ length: 200 }, (_, i) => ({ _id: i })) as never[])
    await using reader = new Reader(database.url)
    const stream = await reader.request('again')
    const plan = await reader.plan(stream, 1000)
    await collection.insertMany(Array.from({ length: 200 }, (_, i) => ({ _id: i + 0.5 })) as never[])
    const again = await reader.plan(stream, 300, committed(plan))
    expect(again).toEqual({ ...plan, restart: [] })
    const unbegun = await reader.plan(stream, 300, committed(plan, 0))
    expect(unbegun.partitions.length).toBeGreaterThan(plan.partitions.length)
    // Another uuid: the collection of that name is another one.
    const foreign = { ...plan, proof: { again: 'another' } }
    const other = await reader.plan(stream, 1e6, committed(foreign))
    expect(other.restart).toEqual([{ stream: 'again', reason: 'the collection was dropped and made anew' }])
    expect(other.partitions).toHaveLength(1)
  })

  test.runIf(server.kind === 'real')(
    'real server: a collection that was dropped and made anew begins again',
    async () => {
      await using database = new Database(server.url)
      await database.db.collection('fresh').insertMany([{ a: 1 }, { a: 2 }])
      await using reader = new Reader(database.url)
      const stream = await reader.request('fresh')
      const plan = await reader.plan(stream, 1e6)
      await database.db.dropCollection('fresh')
      await database.db.collection('fresh').insertMany([{ a: 1 }, { a: 2 }])
      expect((await reader.plan(stream, 1e6, committed(plan))).restart).toHaveLength(1)
    },
  )

  test.runIf(server.kind === 'real')(
    'real server: NaN, two subtypes of binary and strings under a collation are read once',
    async () => {
      await using database = new Database(server.url)
      const collection = await database.db.createCollection<Document>('odd', {
        collation: { locale: 'de', strength: 1 },
      })
      const binary = [0, 4, 128].map((subtype) => new BSON.Binary(Buffer.alloc(16, subtype), subtype))
      const odd = [...binary, Number.NaN, -Infinity, -1, 0, 1, 'a', 'Z', 'b', 'Ä', 'y', 'c', { a: 'B' }, { a: 'a' }]
      await collection.insertMany(odd.map((_id) => ({ _id })) as never[])
      await using reader = new Reader(database.url)
      const stream = await reader.request('odd')
      for (const bytes of [20, 40, 1000]) {
        const { partitions } = await reader.plan(stream, bytes)
        expect(await reader.all(stream, partitions)).toHaveLength(odd.length)
      }
    },
  )

  test.runIf(server.kind === 'real')('real server: a view and a time series are one partition each', async () => {
    await using database = new Database(server.url)
    await database.db.collection('base').insertMany(Array.from({ length: 30 }, (_, i) => ({ i })))
    await database.db.createCollection('seen', { viewOn: 'base', pipeline: [{ $project: { _id: 0 } }] })
    await database.db.createCollection('times', { timeseries: { timeField: 'at' } })
    await database.db.collection('times').insertMany([
      { at: new Date(), v: 1 },
      { at: new Date(), v: 2 },
    ])
    await using reader = new Reader(database.url)
    for (const [name, rows] of [
      ['seen', 30],
      ['times', 2],
    ] as const) {
      const info = await reader.stream(name)
      expect(info.key).toEqual([])
      const stream = await reader.request(name)
      const { partitions } = await reader.plan(stream, 10)
      expect(partitions.map(({ range }) => range)).toEqual([{ filter: '{}', ordered: false, resumable: false }])
      expect(await reader.all(stream, partitions)).toHaveLength(rows)
    }
  })

  test('a collection that is gone, and a filter that cannot be read, are said before the run', async () => {
    await using database = new Database(server.url)
    await database.db.collection('there').insertOne({ a: 1 })
    await using reader = new Reader(database.url)
    const stream = await reader.request('there', { nativeFilter: '{"a": ' })
    expect((await failure(reader.plan(stream, 1e6))).code).toBe('config_invalid')
    const gone = { ...stream, request: { ...stream.request, stream: 'gone', nativeFilter: '{}' } }
    expect((await failure(reader.plan(gone, 1e6))).code).toBe('stream_not_found')
  })
})

describe.skipIf(server.kind === 'none' || server.replicaSet)('a server without snapshots', () => {
  test('refuses to read all documents as of one moment, before any is read', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('plain').insertOne({ value: 1 })
    await using reader = new Reader(database.url, { snapshot: true })
    const refused = await failure(reader.plan(await reader.request('plain'), 1e9))
    expect(refused).toMatchObject({ code: 'unsupported', fix: expect.stringContaining('Leave out `snapshot`') })
  })
})

describe.skipIf(!server.replicaSet)('a replica set', () => {
  test('gives all documents as of one moment', async () => {
    await using database = new Database(server.url)
    const collection = database.db.collection<Document>('plain')
    await collection.insertMany(
      Array.from({ length: 100 }, (_, value) => ({ value })),
      {
        writeConcern: { w: 'majority' },
      },
    )
    await using reader = new Reader(database.url, { snapshot: true })
    const stream = await reader.request('plain')
    const { partitions, snapshot } = await reader.plan(stream, 1000)
    await collection.updateMany({}, { $set: { value: -1 } })
    await collection.deleteMany({ value: { $lt: 50 } })
    const values = (await reader.all(stream, partitions, snapshot)).map(({ value }) => Number(value))
    expect(values.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, value) => value))
  })
})
