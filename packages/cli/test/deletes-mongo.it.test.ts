import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { query } from '@nebula/testkit'
import { MongoClient } from 'mongodb'
import { beforeEach, describe, expect, inject, test } from 'vitest'
import { done, runDeleting as run, useDeleting } from './deleting.ts'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
const { urls, SOURCE, pipeline } = useDeleting(folder)

describe.skipIf(inject('mongo').kind === 'none')('with MongoDB', () => {
  let clients: MongoClient[] = []
  let ends: { connector: string; url: string }[] = []

  beforeEach(async () => {
    ends = ['from', 'to'].map((end) => {
      const url = new URL(inject('mongo').url)
      url.pathname = `/nebula_deletes_${end}_${crypto.randomUUID().slice(0, 8)}`
      return { connector: 'mongo', url: url.href }
    })
    clients = ends.map(({ url }) => new MongoClient(url))
    return async () => {
      for (const client of clients) {
        await client.db().dropDatabase()
        await client.close()
      }
    }
  })

  const collection = (end: 0 | 1): ReturnType<ReturnType<MongoClient['db']>['collection']> =>
    (clients[end] as MongoClient).db().collection('t')
  const between = (options: object): Promise<string> => pipeline({ key: ['_id'], ...options }, ...ends)

  test('documents are compared by the very _id that they have', async () => {
    const { Decimal128, Double, Long, ObjectId } = await import('mongodb')
    const ids = [1, Long.fromNumber(2), new Double(3), Decimal128.fromString('4'), 'one', '1', new ObjectId(), { a: 1 }]
    const gone = [5, 'two', new ObjectId(), { b: 1 }, new Date(0), null]
    const documents = [...ids, ...gone].map((_id, n) => ({ _id, n, even: n % 2 === 0 }))
    for (const options of [{}, { mask: { even: 'redact' } }, { where: 'n >= 0' }]) {
      await collection(0).deleteMany({})
      await collection(0).insertMany(documents as never)
      const file = await between(options)
      expect(await run(file)).toMatchObject({ code: 0, written: documents.length })
      await collection(0).deleteMany({ n: { $gte: ids.length } })
      expect(await run(file)).toEqual(done(ids.length, gone.length))
      const left = await collection(1).find({}).toArray()
      expect(left.map(({ n }) => Number(n)).sort((a, b) => a - b)).toEqual(ids.map((_, n) => n))
    }
    const names = (await clients[1]?.db().listCollections().toArray())?.map(({ name }) => name)
    expect(names?.sort()).toEqual(['nebula_checkpoints', 't'])
  })

  test('more documents than one command takes, under a native_filter', async () => {
    await collection(0).insertMany(Array.from({ length: 2600 }, (_, n) => ({ _id: n as never, n: n % 2 })))
    const file = await between({ native_filter: '{"n": 1}', mode: 'incremental', cursor: '_id' })
    expect(await run(file)).toMatchObject(done(1300, 0))
    await collection(0).deleteMany({ _id: { $gt: 100 } } as never)
    expect(await run(file)).toEqual(done(0, 1250))
    expect(await collection(1).countDocuments()).toBe(50)
    expect(await nebula('verify', file)).toMatchObject({ code: 0 })
    await collection(0).deleteMany({})
    expect((await run(await between({}))).error).toMatchObject({ code: 'deletes_refused' })
    expect(await collection(1).countDocuments()).toBe(50)
  })

  test('to PostgreSQL, and back', async () => {
    const { ObjectId } = await import('mongodb')
    const ids = Array.from({ length: 5 }, () => new ObjectId())
    await collection(0).insertMany(ids.map((_id, n) => ({ _id, n })))
    const there = await pipeline({ key: ['_id'] }, ends[0])
    expect(await run(there)).toEqual(done(5, 0))
    await collection(0).deleteMany({ _id: { $in: ids.slice(3) } })
    expect(await run(there)).toEqual(done(3, 2))
    expect(await query(urls.target, 'SELECT n::int FROM t ORDER BY n')).toEqual([0, 1, 2].map((n) => ({ n })))

    await query(
      urls.source,
      'CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t SELECT g FROM generate_series(1, 9) g',
    )
    const back = await pipeline({ rename: { id: '_id' } }, SOURCE, ends[1])
    expect(await run(back)).toEqual(done(9, 0))
    await query(urls.source, 'DELETE FROM t WHERE id > 4')
    expect(await run(back)).toEqual(done(4, 5))
    expect(
      await collection(1)
        .find({}, { sort: { _id: 1 } })
        .toArray(),
    ).toMatchObject([1, 2, 3, 4].map((_id) => ({ _id })))
  })

  test('from a CSV file, of which a row has no key', async () => {
    await mkdir(at('in'))
    const lines = (...rows: string[]): Promise<void> => writeFile(at('in', 't.csv'), ['id,v', ...rows, ''].join('\n'))
    const options = { types: { id: 'int64' }, rename: { id: '_id' }, max_errors: 5 }
    const file = await pipeline(options, { connector: 'csv', path: './in' }, ends[1])
    await lines('1,a', '2,b', '3,c')
    expect(await run(file)).toEqual(done(3, 0))
    await lines('1,a', ',b', '3,x')
    expect((await run(file)).error).toMatchObject({ code: 'deletes_refused' })
    expect(await collection(1).countDocuments()).toBe(4)
    await lines('1,a', 'two,b')
    expect((await run(file)).error).toMatchObject({ code: 'deletes_refused' })
  })
})
