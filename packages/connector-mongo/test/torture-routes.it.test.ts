import { createHash } from 'node:crypto'
import type { TortureBson, TortureDocument } from '@nebula/testkit/documents'
import { tortureBson, tortureDocuments, tortureIds } from '@nebula/testkit/documents'
import type { RawElement } from '@nebula/testkit/raw-bson'
import { array, binary, document, element, int32, string } from '@nebula/testkit/raw-bson'
import { BSON } from 'mongodb'
import { describe, expect, inject, test } from 'vitest'
import type { Journey } from './back-and-forth.ts'
import { csvStopover, postgresStopover, thereAndBack } from './back-and-forth.ts'
import { RoutePlace } from './route-place.ts'

const isStandIn = inject('mongo').kind === 'stand-in'
const kept = <T extends { readonly standIn?: string }>(all: readonly T[]): T[] =>
  all.filter(({ standIn }) => !isStandIn || standIn === undefined)

/** Bytes of a document, at most. */
const MAX_BYTES = 16_777_216

const why = (text: string): RawElement => element('why', 0x02, string(text))

/** A value in a column of its type, in one of several types, in a document and in an array. */
function around({ alias, why: text, type, bytes }: TortureBson, id: number): Buffer {
  return document([
    element('_id', 0x10, int32(id)),
    why(text),
    element(alias, type, bytes),
    element('mixed', type, bytes),
    element('within', 0x03, document([element('v', type, bytes)])),
    element('list', 0x04, array([{ type, bytes }])),
  ])
}

const fieldsOf = ({ elements }: TortureDocument, id: number): Buffer =>
  document([element('_id', 0x10, int32(id)), ...elements])

const idOf = ({ why: text, type, bytes }: TortureBson): Buffer => document([element('_id', type, bytes), why(text)])

/** As large as a MongoDB takes it, half of it in columns and half of it not; before it small ones that decide on those. */
function large(): Buffer[] {
  const small = Array.from({ length: 20 }, (_, i) => [
    element('_id', 0x10, int32(i)),
    why(`small ${i}`),
    element('text', 0x02, string('')),
    element('data', 0x05, binary(0, Buffer.of(i))),
    element('other', 0x10, int32(i)),
    element('more', 0x08, Buffer.of(i % 2)),
  ])
  const most = [
    element('_id', 0x10, int32(20)),
    why('large'),
    element('text', 0x02, string('ä,"'.repeat(1_000_000))),
    element('data', 0x05, binary(0, Buffer.alloc(4_000_000, 0xab))),
    element('other', 0x02, string('x\n'.repeat(2_000_000))),
  ]
  const rest = MAX_BYTES - document([...most, element('more', 0x02, string(''))]).length
  return [...small, [...most, element('more', 0x02, string('z'.repeat(rest)))]].map(document)
}

/** Whose fields are those of its columns, in their order. */
const regular = (i: number): Buffer =>
  document([
    element('_id', 0x07, Buffer.alloc(12, i)),
    why(`regular ${i}`),
    ...kept(tortureBson).flatMap(({ alias, type, bytes }, place, all) =>
      all.findIndex((one) => one.alias === alias) === place && alias !== 'null' ? [element(alias, type, bytes)] : [],
    ),
  ])

const COLLECTIONS: { readonly [name: string]: readonly Buffer[] } = {
  values: kept(tortureBson).map(around),
  fields: kept(tortureDocuments).map(fieldsOf),
  ids: kept(tortureIds).map(idOf),
  large: large(),
  regular: [1, 2, 3].map(regular),
}
const NAMES = Object.keys(COLLECTIONS)

async function filled(): Promise<RoutePlace> {
  const place = await RoutePlace.create()
  for (const [name, documents] of Object.entries(COLLECTIONS)) {
    await place.insert(name, documents)
    expect(byName(await place.raw(name))).toEqual(byName(documents))
  }
  return place
}

/** The elements of a document in the order of their names, those of one name in their own. */
function elementsOf(bytes: Buffer): { name: string; value: Buffer; whole: string }[] {
  const found = Array.from(BSON.onDemand.parseToElements(bytes), ([type, at, length, start, size]) => {
    const name = bytes.toString('latin1', at, at + length)
    const value = bytes.subarray(start, start + size)
    return { name, value, whole: `${type} ${name} ${digest(value)}` }
  })
  return found.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)))
}

/** Short ones as they are. */
function digest(bytes: Buffer): string {
  return bytes.length < 100 ? bytes.toString('hex') : createHash('sha256').update(bytes).digest('hex')
}

/** Documents by what is hard about them, with the bytes of each element, in the order of their names. */
function byName(documents: readonly Buffer[]): Map<string, string[]> {
  return new Map(
    documents.map((bytes) => {
      const elements = elementsOf(bytes)
      const [id, text] = ['_id', 'why'].map((wanted) => elements.find(({ name }) => name === wanted))
      return [
        text?.value.toString('utf8', 4, text.value.length - 1) ?? String(id?.whole),
        elements.map((one) => one.whole),
      ]
    }),
  )
}

/** The columns that a plan calls lossy, and why. */
function lossy(plan: Journey['there']): string[] {
  const columns = plan.flatMap((stream) => stream.columns.filter(({ fidelity }) => fidelity === 'lossy'))
  return [...new Set(columns.map(({ name, why: reason }) => `${name}: ${reason}`))]
}

function rejectedBy({ reports }: Journey): number[] {
  return reports.map(({ streams: all }) => all.reduce((sum, { rejected }) => sum + rejected, 0))
}

/** Everything that is there, or that came back. */
async function told(place: RoutePlace, suffix: '' | '_back'): Promise<Map<string, unknown>> {
  const all = new Map<string, unknown>()
  for (const name of NAMES) all.set(name, byName(await place.raw(`${name}${suffix}`)))
  // As they are: their fields are those of the columns, in their order.
  all.set('regular', (await place.raw(`regular${suffix}`)).map(digest))
  return all
}

/** What there is from a plan on that writes documents: nothing of it was in these. */
const LOSS = ['date: documents keep milliseconds, in UTC']

const streams = Object.fromEntries(NAMES.map((name) => [name, {}]))

/** How what is nested is read, and what puts it together again. */
const WAYS: readonly (readonly [way: string, source: object, destination: object])[] = [
  ['as json', {}, {}],
  ['as structs and lists', { objects: 'struct', arrays: 'list' }, {}],
  ['flattened', { objects: 'flatten', flatten_depth: 2, arrays: 'list' }, { nested: true }],
]

describe.skipIf(inject('mongo').kind === 'none')('what is hard on documents', () => {
  test('arrives from MongoDB in MongoDB byte by byte', async () => {
    const place = await filled()
    const end = { connector: 'mongo', url: place.url }
    const targets = Object.fromEntries(NAMES.map((name) => [name, { target: `${name}_back` }]))
    await place.run({ source: end, destination: end, streams: targets })
    for (const name of NAMES) {
      const [before, after] = [await place.raw(name), await place.raw(`${name}_back`)]
      expect(byName(after)).toEqual(byName(before))
      expect(after.map(digest)).toEqual(before.map(digest))
    }
  })

  // Its texts cannot hold a NUL.
  test.for(WAYS)('comes back from PostgreSQL in every value but one that is rejected, %s', async ([, from, to]) => {
    const place = await filled()
    const journey = await thereAndBack(place, await postgresStopover(place), streams, { source: from, destination: to })
    expect([lossy(journey.there), lossy(journey.back)]).toEqual([[], LOSS])
    expect(rejectedBy(journey)).toEqual([1, 0])
    const expected = await told(place, '')
    ;(expected.get('values') as Map<string, unknown>).delete('string: NUL inside')
    expect(await told(place, '_back')).toEqual(expected)
  })

  test.for(WAYS)('comes back from CSV in every value, %s', async ([, from, to]) => {
    const place = await filled()
    const journey = await thereAndBack(place, csvStopover(place), streams, { source: from, destination: to })
    expect([lossy(journey.there), lossy(journey.back)]).toEqual([[], LOSS])
    expect(rejectedBy(journey)).toEqual([0, 0])
    expect(await told(place, '_back')).toEqual(await told(place, ''))
  })

  test.for(WAYS)('arrives in MongoDB in every value, written anew, %s', async ([, from, to]) => {
    const place = await filled()
    const mongo = { connector: 'mongo', url: place.url }
    // One more column keeps the documents from passing as they are; the large one has no room for it.
    const small = NAMES.filter((name) => name !== 'large')
    const targets = small.map((name) => [name, { target: `${name}_back`, add: { added: '@stream' } }])
    await place.run({
      source: { ...mongo, ...from },
      destination: { ...mongo, ...to },
      streams: Object.fromEntries(targets),
    })
    for (const name of small) {
      const found = byName(await place.raw(`${name}_back`))
      const isAdded = (element: string): boolean => element.startsWith('2 added ')
      expect([...found.values()].every((elements) => elements.some(isAdded))).toBe(true)
      for (const [key, elements] of found)
        found.set(
          key,
          elements.filter((one) => !isAdded(one)),
        )
      expect(found).toEqual(byName(await place.raw(name)))
    }
  })

  test('comes back as whole documents byte by byte', async () => {
    const place = await filled()
    const { large: _, ...small } = streams
    await thereAndBack(place, csvStopover(place), small, { source: { documents: true } })
    for (const name of Object.keys(small)) {
      const after = (await place.raw(`${name}_back`)).map((bytes) => elementsOf(bytes)[1]?.whole)
      const before = (await place.raw(name)).map((bytes) => `3 document ${digest(bytes)}`)
      expect(after.toSorted()).toEqual(before.toSorted())
    }
  })
})

/** What the stand-in does not keep. */
const EXCLUDED = [
  ...tortureBson.map((one) => ({ ...one, bytes: around(one, 1) })),
  ...tortureDocuments.map((one) => ({ ...one, bytes: fieldsOf(one, 1) })),
  ...tortureIds
    .filter(({ why: name, standIn }) => tortureBson.some((one) => one.why === name && one.standIn !== standIn))
    .map((one) => ({ ...one, why: `_id ${one.why}`, bytes: idOf(one) })),
].filter(({ standIn }) => standIn !== undefined)

/** True when a document is stored as it is, and can be put in an order with another one. */
async function isKept(bytes: Buffer): Promise<boolean> {
  const place = await RoutePlace.create()
  const other = document([element('_id', 0x02, string('other'))])
  try {
    await place.insert('one', [bytes, other])
    const found = await place.client.db(place.name).collection('one').find({}, { raw: true }).sort({ _id: 1 }).toArray()
    return (found as unknown as Buffer[]).some((one) => one.equals(bytes))
  } catch {
    return false
  }
}

test.runIf(isStandIn)('nothing is left out for the stand-in that it keeps', async () => {
  const kepts = await Promise.all(EXCLUDED.map(async ({ why: name, bytes }) => ((await isKept(bytes)) ? [name] : [])))
  expect(kepts.flat()).toEqual([])
})

describe.runIf(inject('mongo').kind === 'real')('a real MongoDB, for the stand-in', () => {
  test.for(EXCLUDED)('$standIn: $why', async ({ bytes }) => {
    expect(await isKept(bytes)).toBe(true)
  })
})
