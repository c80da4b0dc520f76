import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { query } from '@nebula/testkit'
import type { Document } from 'mongodb'
import { BSON } from 'mongodb'
import { expect, test } from 'vitest'
import { RoutePlace } from './route-place.ts'

/** Every value as a class of its type. */
const TYPED = { promoteValues: false, promoteBuffers: false } as const

/** Documents by a field, each value as `EJSON` has it. */
async function documents({ client, name }: RoutePlace, collection: string): Promise<Document[]> {
  const found = await client
    .db(name)
    .collection(collection)
    .find({}, { raw: true, sort: { id: 1 } })
    .toArray()
  return (found as unknown as Buffer[]).map((document) => {
    const { _id, ...rest } = BSON.deserialize(document, TYPED)
    return JSON.parse(BSON.EJSON.stringify(rest, { relaxed: false })) as Document
  })
}

test('CSV becomes documents, and what no document holds is a dead letter', async () => {
  const place = await RoutePlace.create()
  const { folder, url, client, name } = place
  const rows = Array.from({ length: 5000 }, (_, id) => `${id},${id / 4},${id % 2 === 0},name ${id},`).join('\n')
  await writeFile(join(folder, 'people.csv'), `id,score,even,name,nothing\n${rows}\n`)
  await writeFile(join(folder, 'keyed.csv'), '_id,j\n1,"{""a"": [1, 2.5]}"\n2,broken\n1,"{}"\n3,\n')
  const report = await place.run({
    source: { connector: 'csv', path: folder },
    destination: { connector: 'mongo', url },
    defaults: { max_errors: 5, mode: 'overwrite' },
    streams: { people: {}, keyed: { types: { j: 'json' } } },
  })
  const counts = report.streams.map(({ stream, read, written, rejected }) => [stream, read, written, rejected])
  expect(counts).toHaveLength(2)
  expect(counts).toContainEqual(['keyed', 4, 2, 2])
  expect(counts).toContainEqual(['people', 5000, 5000, 0])
  const people = await documents(place, 'people')
  expect(people).toHaveLength(5000)
  expect(people[4999]).toEqual({
    id: { $numberLong: '4999' },
    score: { $numberDouble: '1249.75' },
    even: false,
    name: 'name 4999',
  })
  const keyed = await client.db(name).collection('keyed').find().sort({ _id: 1 }).toArray()
  expect(keyed.map(({ _id }) => _id)).toEqual([1, 3])
})

test('every type of PostgreSQL arrives as the plan says', async () => {
  const place = await RoutePlace.create()
  const { url } = place
  const from = await place.postgres()
  await query(
    from,
    `CREATE TABLE t (id int4 PRIMARY KEY, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, d numeric(10,2),
    s text, b bytea, u uuid, da date, ti time, ts timestamp, tz timestamptz, iv interval, j json, bo bool, a int4[])`,
  )
  await query(
    from,
    `INSERT INTO t VALUES (1, -5, 9007199254740993, 0.5, '-0', 1.10, -12345678.90, 'ä', '\\x00ff',
    '00112233-4455-6677-8899-aabbccddeeff', '2024-02-29', '13:14:15.000016', '1969-12-31 23:59:59.999999',
    '2024-01-01 00:00:00+01', '1 mon 2 days 3.5 sec', '{"b": {"$oid": "00112233445566778899aabb"}, "a": 1}', true, '{1,2}'),
    (2, null, null, null, 'NaN', 'NaN', null, '', null, null, null, null, null, null, null, null, null, null)`,
  )
  await place.run({
    source: { connector: 'postgres', url: from },
    destination: { connector: 'mongo', url },
    streams: { 'public.t': { target: 't', allow_loss: ['ts', 'tz'] } },
  })
  expect(await documents(place, 't')).toEqual([
    {
      id: { $numberInt: '1' },
      i2: { $numberInt: '-5' },
      i8: { $numberLong: '9007199254740993' },
      f4: { $numberDouble: '0.5' },
      f8: { $numberDouble: '-0.0' },
      n: { $numberDecimal: '1.10' },
      d: { $numberDecimal: '-12345678.90' },
      s: 'ä',
      b: { $binary: { base64: 'AP8=', subType: '00' } },
      u: { $binary: { base64: 'ABEiM0RVZneImaq7zN3u/w==', subType: '04' } },
      da: { $date: { $numberLong: String(Date.UTC(2024, 1, 29)) } },
      ti: '13:14:15.000016',
      ts: { $date: { $numberLong: '-1' } },
      tz: { $date: { $numberLong: String(Date.UTC(2023, 11, 31, 23)) } },
      iv: 'P1M2DT3.5S',
      j: { b: { $oid: '00112233445566778899aabb' }, a: { $numberInt: '1' } },
      bo: true,
      a: '{1,2}',
    },
    { id: { $numberInt: '2' }, f8: { $numberDouble: 'NaN' }, n: { $numberDecimal: 'NaN' }, s: '' },
  ])
})

test('timestamps need consent, because documents keep milliseconds', async () => {
  const place = await RoutePlace.create()
  const { folder, url } = place
  await writeFile(join(folder, 'times.csv'), 'at\n2024-01-01 00:00:00.000001\n')
  const pipeline = {
    source: { connector: 'csv', path: folder },
    destination: { connector: 'mongo', url },
    streams: { times: { types: { at: 'timestamp' } } },
  }
  await expect(place.run(pipeline)).rejects.toMatchObject({ code: 'loss_refused' })
})

test('MongoDB to MongoDB is byte for byte', async () => {
  const place = await RoutePlace.create()
  const { url, client, name } = place
  const values = [
    1,
    1.5,
    'a',
    null,
    [1, [2]],
    { b: 1, a: 2 },
    new Date(-1),
    BSON.Long.fromNumber(3),
    new BSON.ObjectId(),
  ]
  const made = values.map((v, i) => ({ _id: new BSON.ObjectId(), id: i, v })) as Document[]
  await client.db(name).collection('from').insertMany(made)
  await place.run({
    source: { connector: 'mongo', url },
    destination: { connector: 'mongo', url },
    streams: { from: { target: 'to' } },
  })
  expect(await place.raw('to')).toEqual(await place.raw('from'))
})
