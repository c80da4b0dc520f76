import { createHash } from 'node:crypto'
import type { RawElement } from '@nebula/testkit/raw-bson'
import { document, element, int32, int64, string } from '@nebula/testkit/raw-bson'
import { verifyPipeline } from '@nebula/verify'
import { expect, inject, test } from 'vitest'
import type { Journey } from './back-and-forth.ts'
import { csvStopover, postgresStopover, thereAndBack } from './back-and-forth.ts'
import { RoutePlace } from './route-place.ts'

/** Documents; with more of them it takes minutes, most of which the server needs. */
const COUNT = Number(process.env['NEBULA_DOCUMENTS'] ?? 8_000)
const AT_ONCE = 10_000
/** Far behind what a sample looks at, and behind several batches and partitions. */
const SOURCE = {
  performance: { batch_size: 1000 },
  advanced: { partition_bytes: COUNT * 8 },
  // A stand-in sorts all of them again and again.
  timeouts: { request: '10m', query_timeout: '10m' },
}

/** The last one has a field that no other has; behind the middle a number becomes a text. */
function numbered(i: number): Buffer {
  const turn = i < COUNT / 2 ? element('turn', 0x10, int32(i)) : element('turn', 0x02, string(`text ${i}`))
  const late: RawElement[] =
    i === COUNT - 1 ? [element('late', 0x03, document([element('long', 0x12, int64(5n))]))] : []
  return document([element('_id', 0x10, int32(i)), element('n', 0x10, int32(-i)), turn, ...late])
}

async function filled(): Promise<RoutePlace> {
  const place = await RoutePlace.create()
  for (let from = 0; from < COUNT; from += AT_ONCE)
    await place.insert(
      'from',
      Array.from({ length: Math.min(AT_ONCE, COUNT - from) }, (_, i) => numbered(from + i)),
    )
  return place
}

/** Of all bytes of a collection, in order of its `_id`s, and how many documents they are. */
async function checksum({ client, name }: RoutePlace, collection: string): Promise<string> {
  const cursor = client
    .db(name)
    .collection(collection)
    .find({}, { raw: true, sort: { _id: 1 } })
  const hash = createHash('sha256')
  let count = 0
  for await (const bytes of cursor) {
    hash.update(bytes as unknown as Buffer)
    count++
  }
  return `${count} ${hash.digest('hex')}`
}

function told({ reports, there }: Journey): object {
  const [report] = reports
  const counts = report.streams.map(({ read, written, rejected, overflowed }) => ({
    read,
    written,
    rejected,
    overflowed,
  }))
  return { counts, columns: there.map(({ columns }) => columns.map((column) => `${column.name} ${column.from}`)) }
}

const EXPECTED = {
  counts: [{ read: COUNT, written: COUNT, rejected: 0, overflowed: COUNT - Math.ceil(COUNT / 2) + 1 }],
  columns: [['_id int', 'n int', 'turn int', '_overflow overflow']],
}

/** Two milliseconds a document are enough, on any machine. */
const options = { timeout: 60_000 + COUNT * 2, skip: inject('mongo').kind === 'none' }

test(
  'a field that comes late and one that turns lose nothing on any route; the report counts them',
  options,
  async () => {
    const place = await filled()
    const before = await checksum(place, 'from')
    const mongo = { connector: 'mongo', url: place.url }
    const pipeline = { source: { ...mongo, ...SOURCE }, destination: mongo, streams: { from: { target: 'to' } } }
    const [planned] = (await place.plan(pipeline)).streams
    expect(planned?.partitions).toBeGreaterThan(3)
    const { streams } = await place.run(pipeline)
    expect(streams).toMatchObject([{ read: COUNT, written: COUNT }])
    expect(streams[0]).not.toHaveProperty('overflowed')
    expect(await checksum(place, 'to')).toBe(before)
    for (const stopover of [await postgresStopover(place), csvStopover(place)]) {
      const journey = await thereAndBack(place, stopover, { from: {} }, { source: SOURCE })
      expect(told(journey)).toEqual(EXPECTED)
      expect(await checksum(place, 'from_back')).toBe(before)
    }
  },
)

test('a copy of which more is known than of its source has the same values', options, async () => {
  const place = await RoutePlace.create()
  const values = [element('n', 0x10, int32(1)), ...Array.from({ length: 30 }, () => element('n', 0x02, string('x')))]
  const documents = values.map((value, i) => document([element('_id', 0x10, int32(i)), value]))
  await place.insert('from', documents)
  const mongo = { connector: 'mongo', url: place.url }
  const pipeline = { source: { ...mongo, sample: 1 }, destination: mongo, streams: { from: { target: 'to' } } }
  await place.run(pipeline)
  expect(await verifyPipeline(await place.pipeline(pipeline))).toMatchObject({ status: 'equal' })
  await place.client
    .db(place.name)
    .collection<{ _id: number; n: unknown }>('to')
    .updateOne({ _id: 30 }, { $set: { n: 'y' } })
  expect(await verifyPipeline(await place.pipeline(pipeline))).toMatchObject({ status: 'different' })
})
