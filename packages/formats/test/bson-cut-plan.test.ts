import type { StreamRequest } from '@nebula/core'
import { document, element, int32, string } from '@nebula/testkit/raw-bson'
import { expect, test } from 'vitest'
import type { CollectionFacts } from '../src/bson/collection-facts.ts'
import type { CutPlan } from '../src/bson/cut-plan.ts'
import { cutRanges, planCut } from '../src/bson/cut-plan.ts'
import { idText } from '../src/bson/extended-json.ts'
import { behindId, fromGreatest, sortObjectIds, wholeRange } from '../src/bson/id-ranges.ts'

const FACTS = { type: 'collection', indexed: true, size: undefined }
const WHOLE = wholeRange(FACTS)

const NUMBERS = '"$type":[1,16,18,19]'

const number = (value: number): Buffer => document([element('_id', 0x10, int32(value))])
const text = (value: string): Buffer => document([element('_id', 0x02, string(value))])
const objectId = (first: number): Buffer => document([element('_id', 0x07, Buffer.alloc(12, first))])
const oid = (first: number): string => `{"$oid":"${Buffer.alloc(12, first).toString('hex')}"}`

const spelled = (one: Uint8Array): string => idText(one, 0, one.length)
const PLAN: CutPlan = { whole: WHOLE, count: 1, ends: undefined, sampled: undefined, stages: [], since: undefined }

/** The filters of ranges. */
function cut(plan: Partial<CutPlan>, sendable: (one: Uint8Array) => string | undefined = spelled): string[] {
  return cutRanges({ ...PLAN, ...plan }, sendable).map(({ filter }) => filter)
}

function planned(
  declared: string,
  { drawn = [], ...facts }: Partial<CollectionFacts> & { drawn?: Buffer[] },
  request: Partial<StreamRequest> = {},
): CutPlan {
  const id = { name: '_id', type: { kind: 'utf8' }, nullable: false, declared } as const
  const asked = { stream: 'x', mode: 'append', columns: ['_id'], key: ['_id'], ...request } as const
  const stream = { request: asked, schema: { fields: [id] }, decode: [] }
  return planCut(stream, 1000, { ...FACTS, size: { rows: 1000, bytes: 2000 }, ...facts }, drawn)
}

test('there are as many ranges as make so many bytes each, and no more than documents', () => {
  const counts = [0, 1, 1000, 1001, 5e6].map((bytes) => planned('int', { size: { rows: 30, bytes } }).count)
  expect(counts).toEqual([1, 1, 1, 2, 30])
  expect(planned('int', { size: undefined })).toMatchObject({ count: 1, sampled: [] })
})

test('what a column or the sample says of the _ids is not looked at', () => {
  expect([planned('int', {}).ends, planned('uuid', {}).ends, planned('extended', {}).ends]).toEqual([
    [16],
    [5],
    undefined,
  ])
  const drawn = Array.from({ length: 40 }, (_, i) => objectId(40 - i))
  expect(planned('objectId', { drawn }).sampled).toEqual(drawn.toReversed())
  expect(planned('objectId', { drawn: drawn.slice(1) }).sampled).toBeUndefined()
  // Of other types the order may be that of a collation.
  expect(planned('string', { drawn }).sampled).toBeUndefined()
})

test('_ids are drawn by chance where there are many, and given in order', () => {
  const [draw, ids, order] = [{ $sample: { size: 40 } }, { $project: { _id: 1 } }, { $sort: { _id: 1 } }]
  const stages = (rows: number): object[] => planned('int', { size: { rows, bytes: 2000 } }).stages
  expect(stages(40)).toEqual([ids, order])
  expect(stages(500)).toEqual([ids, draw, order])
  expect(stages(1000)).toEqual([draw, ids, order])
  expect(planned('int', { size: { rows: 1e9, bytes: 1e9 } }).stages[0]).toEqual({ $sample: { size: 10_000 } })
})

test.each([
  ['has a limit', { limit: 5 }, true],
  ['may miss nothing', { complete: true as const }, true],
  ['has no index on _id', {}, false],
])('what %s is read in one piece, and nothing is asked for that', (_, request, indexed) => {
  const plan = planned('int', { indexed }, request)
  expect(plan).toMatchObject({ ends: [], sampled: [] })
  expect(cutRanges(plan, spelled)).toEqual([{ ...plan.whole, ordered: indexed, filter: '{}', resumable: false }])
})

test('ranges begin at an _id that is the cursor and an ObjectId', () => {
  const since = '0'.repeat(24)
  expect(planned('objectId', {}, { cursor: '_id', since }).since).toBe(`{"$oid":"${since}"}`)
  expect(planned('int', {}, { cursor: '_id', since: '5' }).since).toBeUndefined()
})

test('a whole collection has documents of about a size, where that is known', () => {
  const of = (rows: number, bytes: number): unknown => wholeRange({ ...FACTS, size: { rows, bytes } })
  expect(of(3, 100)).toEqual({ filter: '{}', ordered: true, resumable: false, documentBytes: 34 })
  expect(wholeRange({ ...FACTS, indexed: false })).toEqual({ filter: '{}', ordered: false, resumable: false })
  expect(of(0, 0)).not.toHaveProperty('documentBytes')
})

test('a document lies in one of two neighbours, whatever is compared with NaN', () => {
  expect(cut({ count: 3, ends: [16, 1], sampled: [number(1), number(5), number(9)] })).toEqual([
    `{"_id":{${NUMBERS},"$not":{"$gte":{"$numberInt":"5"}}}}`,
    `{"_id":{${NUMBERS},"$gte":{"$numberInt":"5"},"$lt":{"$numberInt":"9"}}}`,
    `{"_id":{${NUMBERS},"$gte":{"$numberInt":"9"}}}`,
  ])
  expect(cut({ count: 2, ends: [1, 1], sampled: [document([element('_id', 1, nan())])] })).toEqual([
    `{"_id":{${NUMBERS}}}`,
  ])
})

function nan(): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(Number.NaN)
  return bytes
}

test('each _id is a boundary once, and only where a query can say it', () => {
  const sampled = [text('a'), text('b'), text('b'), text('c')]
  expect(cut({ count: 4, ends: [2], sampled })).toEqual([
    '{"_id":{"$type":[2],"$not":{"$gte":"b"}}}',
    '{"_id":{"$type":[2],"$gte":"b","$lt":"c"}}',
    '{"_id":{"$type":[2],"$gte":"c"}}',
  ])
  expect(cut({ count: 4, ends: [2], sampled }, () => undefined)).toEqual(['{"_id":{"$type":[2]}}'])
})

test('where ends are of several types, each kind has its ranges, and one is for all others', () => {
  const ranges = cutRanges({ ...PLAN, ends: [16, 2] }, spelled)
  expect(ranges).toHaveLength(8)
  expect(ranges.filter(({ resumable }) => resumable)).toHaveLength(7)
  const others = '{"_id":{"$not":{"$type":[1,16,18,19,2,3,5,7,9,17]}}}'
  expect(ranges.at(-1)).toEqual({ ...WHOLE, filter: others })
  // Boundaries are those of their kind.
  const mixed = cut({ count: 2, ends: [16, 2], sampled: [number(1), text('a')] })
  expect(mixed).toContain('{"_id":{"$type":[2],"$gte":"a"}}')
  expect(mixed).toHaveLength(9)
})

test('an empty collection, and one of a type of which there are few, are one range', () => {
  expect(cut({ count: 5 })).toEqual(['{}'])
  expect(cut({ count: 5, ends: [8, 8] })).toEqual(['{}'])
  expect(cut({ count: 5, ends: [8] })).toEqual(['{}'])
})

test('ranges begin where an incremental stream does', () => {
  const sampled = [1, 2, 3, 4].map(objectId)
  expect(cut({ count: 4, ends: [7], sampled, since: oid(3) })).toEqual([
    `{"_id":{"$type":[7],"$gte":${oid(3)},"$lt":${oid(4)}}}`,
    `{"_id":{"$type":[7],"$gte":${oid(4)}}}`,
  ])
  expect(cut({ ends: [7], since: oid(3) })).toEqual([`{"_id":{"$type":[7],"$gte":${oid(3)}}}`])
})

test('behind NaN lie all other numbers', () => {
  expect(behindId('{"$numberInt":"5"}')).toBe('{"_id":{"$gt":{"$numberInt":"5"}}}')
  expect(behindId('"NaN"')).toBe('{"_id":{"$gt":"NaN"}}')
  for (const type of ['Double', 'Decimal'])
    expect(behindId(`{"$number${type}":"NaN"}`)).toBe('{"_id":{"$gte":{"$numberDouble":"-Infinity"}}}')
})

test('the greatest ObjectId is found among other _ids', () => {
  const documents = [objectId(2), text('z'), objectId(3), objectId(1)]
  expect(sortObjectIds(documents)).toEqual([1, 2, 3].map(objectId))
  expect(fromGreatest(documents)).toBe(`{"_id":{"$not":{"$lt":${oid(3)}}}}`)
  expect(fromGreatest([text('z')])).toBe('{}')
})
