import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { previewStreams } from '@nebula/inspect'
import { createSource, runPipeline } from '@nebula/runtime'
import { query } from '@nebula/testkit'
import { verifyPipeline } from '@nebula/verify'
import type { Column, RecordBatch, Value } from '@nebula/core'
import { valueAt } from '@nebula/core'
import { toArrow } from '@nebula/core/arrow'
import type { Document } from 'mongodb'
import { BSON } from 'mongodb'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { postgresStopover, thereAndBack } from './back-and-forth.ts'
import { replayLetters } from '../../operations/src/index.ts'
import { RoutePlace } from './route-place.ts'

const COUNT = 500

/** Regular but for some: an address in another order, one of text, an empty one, one with a field that no other has. */
function people(): Document[] {
  return Array.from({ length: COUNT }, (_, i) => {
    const address = { street: `street ${i}`, zip: new BSON.Int32(i), geo: { at: [i, i / 2], exact: i % 2 === 0 } }
    const odd = [{ zip: new BSON.Int32(i), street: 'x' }, 'nowhere', { ...address, floor: BSON.Long.fromNumber(3) }, {}]
    return {
      _id: new BSON.Int32(i) as never,
      name: `name ${i}`,
      address: i >= COUNT - odd.length ? odd[i - COUNT + odd.length] : address,
      tags: i % 10 === 0 ? [] : i % 10 === 1 ? ['a', 1] : ['a', 'b'].slice(0, i % 3),
      orders: [{ total: new BSON.Int32(i), by: new BSON.ObjectId() }, { total: new BSON.Int32(0) }],
    } as Document
  })
}

async function filled(): Promise<RoutePlace> {
  const place = await RoutePlace.create()
  await place.client.db(place.name).collection('people').insertMany(people())
  return place
}

const mongo = ({ url }: RoutePlace, options: object = {}): object => ({ connector: 'mongo', url, ...options })
const FLAT = { objects: 'flatten', flatten_depth: 2 }

/** Documents with their fields in the order of their names: what overflows stands behind the rest. */
async function sorted(place: RoutePlace, collection: string): Promise<string[]> {
  const found = await place.raw(collection)
  const told = found.map((bytes) => {
    const elements = Object.entries(BSON.deserialize(bytes, { promoteValues: false }))
    return BSON.EJSON.stringify(
      elements.sort(([a], [b]) => (a < b ? -1 : 1)),
      { relaxed: false },
    )
  })
  return told.sort()
}

describe.skipIf(inject('mongo').kind === 'none')('nested documents and arrays', () => {
  test('are flattened into columns of PostgreSQL, and come back as they were', async () => {
    const place = await filled()
    const stopover = await postgresStopover(place)
    const { reports } = await thereAndBack(
      place,
      stopover,
      { people: {} },
      { source: FLAT, destination: { nested: true } },
    )
    expect(reports.map(({ streams }) => streams[0])).toMatchObject([
      { read: COUNT, written: COUNT, rejected: 0, overflowed: 3 },
      { read: COUNT, written: COUNT, rejected: 0 },
    ])
    expect(await sorted(place, 'people_back')).toEqual(await sorted(place, 'people'))
    const { url } = stopover.destination as { readonly url: string }
    const sql = `SELECT "address.zip" AS zip, "address.geo.exact" AS exact, "address.geo.at" AS at, _overflow AS rest
      FROM people WHERE _id IN (3, ${COUNT - 3}) ORDER BY _id`
    expect(await query(url, sql)).toMatchObject([
      { zip: 3, exact: false, at: [3, 1.5], rest: null },
      { zip: null, exact: null, at: null, rest: { address: 'nowhere' } },
    ])
  })

  test('are json in CSV and PostgreSQL where they are structs and lists', async () => {
    const place = await filled()
    const source = mongo(place, { objects: 'struct', arrays: 'list' })
    await place.run({ source, destination: { connector: 'csv', path: place.folder }, streams: { people: {} } })
    const lines = (await readFile(join(place.folder, 'people.csv'), 'utf8')).split('\n')
    expect(lines[0]).toBe('_id,name,address,tags,orders,_overflow')
    expect(lines[4]).toContain(
      '"{""street"":""street 3"",""zip"":3,""geo"":{""at"":[3,1.5],""exact"":false}}",[],"[{""total"":3,""by"":{""$oid"":',
    )
    const url = await place.postgres()
    await place.run({ source, destination: { connector: 'postgres', url }, streams: { people: {} } })
    const [row] = await query(url, `SELECT address->'geo' AS geo, tags FROM people WHERE _id = 5`)
    expect(row).toEqual({ geo: { at: [5, 2.5], exact: false }, tags: ['a', 'b'] })
  })

  test('pass MongoDB as they are where nothing looks at them, and else arrive the same', async () => {
    const place = await filled()
    const routes: [string, object, object, object][] = [
      ['passing', FLAT, { nested: true }, {}],
      ['flat', FLAT, { nested: true }, { where: "name != 'name 7'" }],
      ['struct', { objects: 'struct' }, {}, { where: '_id != 7', add: { x: '@stream' } }],
    ]
    for (const [target, from, to, options] of routes)
      await place.run({
        source: mongo(place, from),
        destination: mongo(place, to),
        streams: { people: { target, ...options } },
      })
    expect(await place.raw('passing')).toEqual(await place.raw('people'))
    const rest = (await sorted(place, 'people')).filter((text) => !text.includes('"name 7"'))
    expect(await sorted(place, 'flat')).toEqual(rest)
    const found = await sorted(place, 'struct')
    expect(found.map((text) => text.replace(/,\["x",[^\]]*\]/, ''))).toEqual(rest)
  })

  test('become fields with dots where the destination does not nest them', async () => {
    const place = await filled()
    await place.run({
      source: mongo(place, FLAT),
      destination: mongo(place),
      streams: {
        people: { target: 'dotted', columns: ['_id', 'address.zip', 'address.geo.exact'], native_filter: '{"_id": 4}' },
      },
    })
    const [bytes] = await place.raw('dotted')
    expect(BSON.deserialize(bytes as Buffer)).toEqual({ _id: 4, 'address.zip': 4, 'address.geo.exact': true })
  })

  test('are asked for by the field that they lie in, and no other field comes along', async () => {
    const place = await filled()
    await place.run({
      source: mongo(place, FLAT),
      destination: mongo(place, { nested: true }),
      streams: { people: { target: 'some', columns: ['_id', 'address.zip'], native_filter: '{"_id": {"$lt": 2}}' } },
    })
    expect((await place.raw('some')).map((bytes) => BSON.deserialize(bytes))).toEqual(
      [0, 1].map((i) => ({ _id: i, address: { zip: i } })),
    )
  })

  test('are flattened into a cursor, too, of which those that have none are new each time', async () => {
    const place = await filled()
    const pipeline = await place.pipeline({
      source: mongo(place, FLAT),
      destination: { connector: 'postgres', url: await place.postgres() },
      defaults: { mode: 'incremental' },
      streams: { people: { cursor: 'address.zip' } },
    })
    const written = async (): Promise<number | undefined> => (await runPipeline(pipeline)).streams[0]?.written
    expect(await written()).toBe(COUNT)
    const [first] = people()
    const later = { ...first, _id: new BSON.Int32(COUNT), address: { street: 'new', zip: new BSON.Int32(COUNT) } }
    await place.client
      .db(place.name)
      .collection('people')
      .insertOne(later as Document)
    // The new one, the last one of before, and three whose address overflows.
    expect(await written()).toBe(1 + 1 + 3)
  })

  test('are objects and lists for a program, however its batches are cut', async () => {
    const place = await filled()
    const source = await createSource('mongo', { url: place.url, objects: 'struct', arrays: 'list' })
    onTestFinished(() => source.close())
    await source.initialize()
    const found: Value[] = []
    const arrows: unknown[] = []
    for (let batch = await source.readBatch(7, 'people'); batch; batch = await source.readBatch(7, 'people')) {
      const [address, orders] = [2, 4].map((index) => (batch as RecordBatch).column(index))
      for (let row = 0; row < batch.rows; row++)
        found.push([valueAt(address as Column, row), valueAt(orders as Column, row)])
      arrows.push(toArrow(batch).getChild('orders').at(0)[1])
      batch.release()
    }
    expect(found).toHaveLength(COUNT)
    expect(new Set(arrows.map((order) => JSON.stringify(order)))).toEqual(new Set(['{"total":0,"by":null}']))
    expect(found[3]).toEqual([
      { street: 'street 3', zip: 3, geo: { at: '[3,1.5]', exact: false }, floor: null },
      [
        { total: 3, by: expect.any(Uint8Array) },
        { total: 0, by: null },
      ],
    ])
  })

  test('are whole in dead letters, and arrive by sending these again', async () => {
    const place = await filled()
    const database = place.client.db(place.name)
    const [, , , twin] = people()
    await database.collection('people').insertOne({ ...twin, _id: new BSON.Int32(COUNT) as never })
    await database.collection('more').createIndex({ name: 1 }, { unique: true, name: 'one name' })
    const pipeline = await place.pipeline({
      source: mongo(place, { objects: 'struct', arrays: 'list' }),
      destination: mongo(place),
      streams: { people: { target: 'more', mode: 'append', max_errors: 1, add: { x: '@stream' } } },
    })
    const report = await runPipeline(pipeline)
    expect(report.streams[0]).toMatchObject({ written: COUNT, rejected: 1 })
    await database.collection('more').dropIndex('one name')
    expect(await replayLetters(pipeline)).toMatchObject({ sent: 1, arrived: 1, failed: [] })
    const found = (await sorted(place, 'more')).map((text) => text.replace(',["x","people"]', ''))
    expect(found).toEqual(await sorted(place, 'people'))
  })

  test('are verified and previewed', async () => {
    const place = await filled()
    const struct = { objects: 'struct', arrays: 'list' }
    const url = await place.postgres()
    const pipelines = [
      [mongo(place, struct), mongo(place), 'structs'],
      [mongo(place, struct), mongo(place, struct), 'both'],
      [mongo(place, FLAT), mongo(place, { ...FLAT, nested: true }), 'flat'],
      [mongo(place, FLAT), { connector: 'postgres', url }, 'flat'],
    ] as const
    for (const [source, destination, target] of pipelines) {
      const pipeline = { source, destination, streams: { people: { target } } }
      await place.run(pipeline)
      const report = await verifyPipeline(await place.pipeline(pipeline))
      expect(report).toMatchObject({ status: 'equal', streams: [{ status: 'equal' }] })
      const [preview] = await previewStreams((await place.pipeline(pipeline)).source, {
        rows: 2,
        streams: { people: {} },
      })
      expect(JSON.stringify(preview)).toContain('street 1')
    }
    // A value within a document is seen.
    await place.client
      .db(place.name)
      .collection<{ _id: number }>('both')
      .updateOne({ _id: 3 }, { $set: { 'address.geo.exact': true } })
    const changed = {
      source: mongo(place, struct),
      destination: mongo(place, struct),
      streams: { people: { target: 'both' } },
    }
    expect(await verifyPipeline(await place.pipeline(changed))).toMatchObject({ status: 'different' })
  })
})
