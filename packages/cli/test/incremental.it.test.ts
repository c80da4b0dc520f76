import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '@nebula/runtime'
import { query } from '@nebula/testkit'
import type { Document } from 'mongodb'
import { Decimal128, Double, Int32, Long, MongoClient, ObjectId } from 'mongodb'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'
import type { Outcome } from './one-stream.ts'
import { runFile, usePostgresEnds, writePipeline } from './one-stream.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
const { urls, SOURCE, TARGET } = usePostgresEnds('INCREMENTAL')

beforeEach(async () => {
  await query(urls.source, 'CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz)')
  await mkdir(at('in'))
})

function pipeline(options: object = {}, source: object = SOURCE, destination: object = TARGET): Promise<string> {
  const stream = { mode: 'incremental', cursor: 'at', key: ['id'], target: 't', ...options }
  const name = 'url' in source && String(source.url).includes('INCREMENTAL') ? 'public.t' : 't'
  return writePipeline(folder(), { source, destination, streams: { [name]: stream } })
}

interface Read extends Omit<Outcome, 'stream'> {
  readonly read: number | undefined
}

async function run(file: string): Promise<Read> {
  const { stream, ...rest } = await runFile(file)
  return { ...rest, read: stream?.read }
}

const done = (read: number): Read => ({ code: 0, read, error: undefined })
const rows = (): Promise<Record<string, unknown>[]> => query(urls.target, `SELECT id, v FROM t ORDER BY id`)
const at0 = '2024-01-01 00:00:00.000001+00'

describe('an incremental stream', () => {
  test('reads all rows once, and then those that are new or have the highest value', async () => {
    await query(urls.source, `INSERT INTO t VALUES (1, 'a', '2023-01-01'), (2, 'b', '${at0}'), (3, 'c', '${at0}')`)
    const file = await pipeline()
    expect(await run(file)).toEqual(done(3))
    // Written later with the same value, and behind it.
    await query(urls.source, `INSERT INTO t VALUES (4, 'd', '${at0}'), (5, 'e', '2024-01-02')`)
    await query(urls.source, `UPDATE t SET v = 'B', at = '2024-01-03' WHERE id = 2`)
    expect((await nebula('plan', file)).stdout).toContain(`merge, incremental by at, from ${at0} on`)
    expect(await run(file)).toEqual(done(4))
    expect(await rows()).toEqual(['a', 'B', 'c', 'd', 'e'].map((v, i) => ({ id: i + 1, v })))
    expect(await run(file)).toEqual(done(1))
    expect(await nebula('verify', file)).toMatchObject({ code: 0 })
  })

  test('of nothing stays where it is', async () => {
    const file = await pipeline()
    expect(await run(file)).toEqual(done(0))
    await query(urls.source, `INSERT INTO t VALUES (1, 'a', '2024-01-01')`)
    expect(await run(file)).toEqual(done(1))
    await query(urls.source, 'DELETE FROM t')
    expect(await run(file)).toEqual(done(0))
    await query(urls.source, `INSERT INTO t VALUES (2, 'b', '2023-01-01'), (3, 'c', '2024-01-02')`)
    expect(await run(file)).toEqual(done(1))
  })

  test('reads rows without a value each time, because nothing tells whether they are new', async () => {
    await query(urls.source, `INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', 'infinity'), (3, 'c', '2024-01-01')`)
    const file = await pipeline()
    expect(await run(file)).toEqual(done(3))
    await query(urls.source, `UPDATE t SET v = 'A' WHERE id = 1; INSERT INTO t VALUES (4, 'd', '2024-01-02')`)
    expect(await run(file)).toEqual(done(4))
    expect((await rows()).map(({ v }) => v)).toEqual(['A', 'b', 'c', 'd'])
  })

  test('begins so much earlier as its lag says, for rows that were committed late', async () => {
    await query(urls.source, `INSERT INTO t VALUES (1, 'a', '2024-01-01 00:00'), (2, 'b', '2024-01-01 12:00')`)
    const file = await pipeline({ lag: '1h' })
    expect(await run(file)).toEqual(done(2))
    await query(urls.source, `INSERT INTO t VALUES (3, 'c', '2024-01-01 11:00'), (4, 'd', '2024-01-01 10:59:59')`)
    expect((await nebula('plan', file)).stdout).toContain('from 2024-01-01 11:00:00+00 on')
    expect(await run(file)).toEqual(done(2))
    expect((await rows()).map(({ v }) => v)).toEqual(['a', 'b', 'c'])
    expect(await run(await pipeline({ lag: '2h' }))).toEqual(done(3))
    expect(await rows()).toHaveLength(4)
  })

  test('keeps to its other conditions', async () => {
    await query(
      urls.source,
      `INSERT INTO t SELECT g, 'v' || g % 2, timestamptz '2024-01-01' + g * interval '1 day' FROM generate_series(1, 10) g`,
    )
    const file = await pipeline({ where: `v = 'v1'` })
    expect(await run(file)).toEqual(done(5))
    await query(urls.source, `INSERT INTO t VALUES (11, 'v1', '2024-02-01'), (12, 'v0', '2024-02-01')`)
    expect(await run(file)).toEqual(done(2))
    expect(await rows()).toHaveLength(6)
  })

  test('begins anew where another target, another column or another mode came between', async () => {
    await query(
      urls.source,
      `ALTER TABLE t ADD n int; INSERT INTO t SELECT g, 'v', '2024-01-01', g FROM generate_series(1, 5) g`,
    )
    expect(await run(await pipeline())).toEqual(done(5))
    expect(await run(await pipeline({ cursor: 'n' }))).toEqual(done(5))
    expect(await run(await pipeline({ cursor: 'n' }))).toEqual(done(1))
    expect(await run(await pipeline({ cursor: 'n', target: 'u' }))).toEqual(done(5))
    expect(await run(await pipeline({ cursor: 'n', target: 'u' }))).toEqual(done(1))
    await query(urls.target, 'DROP TABLE u')
    expect(await run(await pipeline({ cursor: 'n', target: 'u' }))).toEqual(done(5))
    expect(await run(await pipeline({ mode: 'merge', cursor: undefined, target: 'u' }))).toEqual(done(5))
    expect(await run(await pipeline({ cursor: 'n', target: 'u' }))).toEqual(done(5))
  })

  test('begins anew where other rows of the source are asked for, or come in another way', async () => {
    await query(
      urls.source,
      `INSERT INTO t SELECT g, 'v' || g % 2, timestamptz '2024-01-01' + g * interval '1 day' FROM generate_series(1, 10) g`,
    )
    expect(await run(await pipeline({ where: `v = 'v1'` }))).toEqual(done(5))
    expect(await run(await pipeline())).toEqual(done(10))
    expect(await run(await pipeline({ lag: '1m' }))).toEqual(done(1))
    expect(await run(await pipeline({ mask: { v: 'sha256' } }))).toEqual(done(10))
    expect(await run(await pipeline())).toEqual(done(10))
    process.env['INCREMENTAL_OTHER'] = urls.source.replace('127.0.0.1', 'localhost')
    const other = { connector: 'postgres', url: '${INCREMENTAL_OTHER}' }
    expect(await run(await pipeline({}, other))).toEqual(done(10))
  })

  test('begins anew where the cursor has become another type, whose values have another order', async () => {
    await query(urls.source, `ALTER TABLE t ADD c int; INSERT INTO t (id, c) SELECT g, g FROM generate_series(1, 50) g`)
    const file = await pipeline({ cursor: 'c', cast: { c: 'text' } })
    expect(await run(file)).toEqual(done(50))
    await query(urls.source, `ALTER TABLE t ALTER c TYPE text; INSERT INTO t (id, c) VALUES (51, '100')`)
    expect(await run(file)).toEqual(done(51))
  })

  test('goes on from its own value when other streams are run, or fail', async () => {
    await query(
      urls.source,
      `CREATE TABLE o (id int PRIMARY KEY, at int); INSERT INTO o VALUES (1, 1); INSERT INTO t VALUES (1, 'a', '2024-01-01')`,
    )
    const stream = { mode: 'incremental', key: ['id'] }
    const streams = {
      'public.t': { ...stream, cursor: 'at', target: 't' },
      'public.o': { ...stream, cursor: 'at', target: 'o' },
    }
    await writeFile(at('shop.json'), JSON.stringify({ source: SOURCE, destination: TARGET, streams }))
    const both = async (...more: string[]): Promise<unknown> => {
      const { stdout } = await nebula('run', at('shop.json'), '--json', ...more)
      const report = JSON.parse(stdout) as Report
      return Object.fromEntries(report.streams.map(({ stream: name, status, read }) => [name, `${status} ${read}`]))
    }
    expect(await both()).toEqual({ 'public.o': 'done 1', 'public.t': 'done 1' })
    await query(urls.source, `INSERT INTO o VALUES (2, 2); INSERT INTO t VALUES (2, 'b', '2024-01-02')`)
    expect(await both('--streams', 'public.o')).toEqual({ 'public.o': 'done 2' })
    await query(urls.target, 'ALTER TABLE t ADD CHECK (id <> 2)')
    expect(await both()).toEqual({ 'public.o': 'done 1', 'public.t': 'failed 0' })
    await query(urls.target, 'ALTER TABLE t DROP CONSTRAINT t_id_check')
    expect(await both()).toMatchObject({ 'public.t': 'done 2' })
    expect(await both()).toEqual({ 'public.o': 'done 1', 'public.t': 'done 1' })
    expect(await rows()).toHaveLength(2)
  })

  test('of a file reads the file, and writes what is new', async () => {
    const csv = { connector: 'csv', path: './in' }
    const options = { types: { id: 'int64', at: 'date' } }
    await writeFile(at('in', 't.csv'), 'id,v,at\n1,a,2024-01-01\n2,b,2024-01-02\n')
    const file = await pipeline(options, csv)
    expect(await run(file)).toEqual(done(2))
    await writeFile(at('in', 't.csv'), 'id,v,at\n1,x,2024-01-01\n2,b,2024-01-02\n3,c,2024-01-03\n')
    expect(await run(file)).toEqual(done(3))
    expect((await rows()).map(({ v }) => v)).toEqual(['a', 'b', 'c'])
  })

  test('needs a cursor with an order, and a destination that merges', async () => {
    const refused = async (...asked: Parameters<typeof pipeline>): Promise<string> => {
      const { code, error } = await run(await pipeline(...asked))
      expect(code).toBe(2)
      return `${error?.code} ${error?.message}`
    }
    await query(urls.source, 'ALTER TABLE t ADD f float8, ADD n numeric')
    expect(await refused({ cursor: undefined })).toMatch(/config_invalid.*write cursor/)
    expect(await refused({ cursor: 'att' })).toMatch(/column_not_found.*did you mean at/)
    expect(await refused({ cursor: 'f' })).toMatch(/config_invalid.*float64.*no order/)
    expect(await refused({ cursor: 'n' })).toMatch(/config_invalid.*no order/)
    expect(await refused({ mode: 'merge' })).toMatch(/config_invalid.*cursor is for mode incremental/)
    expect(await refused({ mode: 'merge', cursor: undefined, lag: '1h' })).toMatch(/config_invalid.*lag is for mode/)
    expect(await refused({ cursor: 'id', lag: '1h' })).toMatch(/config_invalid.*lag is for dates/)
    expect(await refused({ limit: 5 })).toMatch(/config_invalid.*limit/)
    expect(await refused({}, SOURCE, { connector: 'csv', path: './out' })).toMatch(/unsupported.*no mode merge/)
  })

  test('in one line', async () => {
    await query(urls.source, `INSERT INTO t VALUES (1, 'a', '2024-01-01'), (2, 'b', '2024-01-02')`)
    const ends = ['--from', '${INCREMENTAL_SOURCE}', '--to', '${INCREMENTAL_TARGET}', '--streams', 'public.t']
    const args = ['run', ...ends, '--mode', 'incremental', '--cursor', 'at', '--state', at('state'), '--json']
    const reads = async (): Promise<unknown> => {
      const { stdout } = await nebula(...args)
      return (JSON.parse(stdout) as Report).streams[0]?.read
    }
    expect([await reads(), await reads()]).toEqual([2, 1])
  })
})

describe.skipIf(inject('mongo').kind === 'none')('an incremental stream of documents', () => {
  let from = ''
  let to = ''
  let client: MongoClient

  beforeAll(() => {
    ;[from = '', to = ''] = ['from', 'to'].map((end) => {
      const url = new URL(inject('mongo').url)
      url.pathname = `/nebula_incremental_${end}_${crypto.randomUUID().slice(0, 8)}`
      return url.href
    })
    client = new MongoClient(from)
  })

  afterEach(async () => {
    await client.db().dropDatabase()
    await client.db(new URL(to).pathname.slice(1)).dropDatabase()
  })

  afterAll(() => client.close())

  const mongo = (options: object = {}): Promise<string> =>
    pipeline({ key: ['_id'], ...options }, ...[from, to].map((url) => ({ connector: 'mongo', url })))
  const all = (url: string): Promise<Document[]> =>
    client
      .db(new URL(url).pathname.slice(1))
      .collection('t')
      .find({}, { sort: { _id: 1 } })
      .toArray()
  const day = (date: number): Date => new Date(Date.UTC(2024, 0, date))

  test('replaces documents as they are, and reads those that are new', async () => {
    const documents = client.db().collection<{ _id: number; at: Date; v: string; more?: object }>('t')
    await documents.insertMany([1, 2, 3].map((n) => ({ _id: n, at: day(n), v: 'old', more: { n } })))
    const file = await mongo()
    expect(await run(file)).toEqual(done(3))
    await documents.updateOne({ _id: 1 }, { $set: { at: day(9), v: 'new' }, $unset: { more: 1 } })
    await documents.insertOne({ _id: 4, at: day(4), v: 'new' })
    expect(await run(file)).toEqual(done(3))
    expect(await all(to)).toEqual(await all(from))
    expect(await run(file)).toEqual(done(1))
  })

  test('whose _ids become of several types is refused where they are a key as text, and goes on where they are not', async () => {
    const documents = client.db().collection<{ _id: unknown; v: number }>('t')
    await documents.insertMany([1, 2].map((v) => ({ _id: new ObjectId(), v })) as never[])
    const table = await pipeline({ cursor: undefined, mode: 'merge', key: ['_id'] }, { connector: 'mongo', url: from })
    expect(await run(table)).toEqual(done(2))
    const both = await mongo({ cursor: '_id' })
    expect(await run(both)).toEqual(done(2))
    await documents.insertOne({ _id: 'text', v: 3 } as never)
    const again = await pipeline({ cursor: undefined, mode: 'merge', key: ['_id'] }, { connector: 'mongo', url: from })
    const refused = await run(again)
    expect(refused).toMatchObject({ code: 2, error: { code: 'target_incompatible' } })
    expect(refused.error?.message).toContain('written as objectId in the last run, and would be as extended now')
    expect(await run(await mongo({ cursor: '_id' }))).toEqual(done(3))
    expect(await all(to)).toEqual(await all(from))
  })

  test('of a table is the same for verify, but for a date, which is its midnight there', async () => {
    await query(urls.source, `ALTER TABLE t ADD d date; INSERT INTO t VALUES (1, 'a', '2024-01-01', '2024-01-02')`)
    const file = await pipeline({ rename: { id: '_id' }, allow_loss: ['at'] }, SOURCE, { connector: 'mongo', url: to })
    expect(await run(file)).toEqual(done(1))
    const { code, stdout } = await nebula('verify', file)
    expect([code, stdout]).toEqual([0, expect.stringContaining('the midnight with which a date begins')])
  })

  test('by an ObjectId finds what was inserted since, in its ranges', async () => {
    const id = (n: number): ObjectId => new ObjectId(n.toString(16).padStart(24, '0'))
    const documents = client.db().collection('t')
    const insert = (first: number, last: number): Promise<unknown> =>
      documents.insertMany(
        Array.from({ length: last - first + 1 }, (_, i) => ({ _id: id(first + i), v: 'x'.repeat(1000) })),
      )
    await insert(1, 300)
    const file = await mongo({ cursor: '_id' })
    expect(await run(file)).toEqual(done(300))
    await insert(301, 310)
    expect((await nebula('plan', file)).stdout).toContain(`by _id, from ${id(300).toHexString()} on`)
    expect(await run(file)).toEqual(done(11))
    expect(await all(to)).toEqual(await all(from))
    // Another column is changed on the way, so that no document passes as it is.
    const masked = await mongo({ cursor: '_id', mask: { v: 'redact' } })
    expect(await run(masked)).toEqual(done(310))
    await insert(311, 312)
    expect(await run(masked)).toEqual(done(3))
    expect((await all(to)).slice(-2)).toEqual([311, 312].map((n) => ({ _id: id(n), v: '***' })))
  })

  test.each([
    ['int', (n: number) => new Int32(n)],
    ['long', (n: number) => Long.fromBigInt(2n ** 60n + BigInt(n))],
    ['date', (n: number) => new Date(n * 1000)],
    ['objectId', (n: number) => new ObjectId(n.toString(16).padStart(24, '0'))],
  ])('by a field of type %s reads what is not lower, and all that is no value of its column', async (_, value) => {
    const documents = client.db().collection<{ _id: number; at?: unknown }>('t')
    const others = [new Double(1.5), null, 'text', [value(1)], { a: 1 }, Decimal128.fromString('1')]
    await documents.insertMany([
      ...Array.from({ length: 20 }, (_element, i) => ({ _id: i, at: value(i) })),
      ...others.map((at, i) => ({ _id: 100 + i, at })),
      { _id: 200 },
    ])
    const file = await mongo()
    expect(await run(file)).toEqual(done(27))
    await documents.insertMany([18, 19, 20].map((n) => ({ _id: 300 + n, at: value(n) })))
    expect(await run(file)).toEqual(done(1 + 2 + others.length + 1))
    expect((await all(to)).length).toBe(29)
  })
})
