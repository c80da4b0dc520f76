import { document, element, int32, string } from '@nebula/testkit/raw-bson'
import { expect, test } from 'vitest'
import { idText } from '../src/bson/extended-json.ts'
import type { IdSample } from '../src/bson/id-ranges.ts'
import { behindId, cutRanges, fromGreatest, sortObjectIds, wholeRange } from '../src/bson/id-ranges.ts'

const SIZE = { rows: 3, bytes: 100 }
const WHOLE = wholeRange(true, SIZE)
const NUMBERS = '"$type":[1,16,18,19]'

const number = (value: number): Buffer => document([element('_id', 0x10, int32(value))])
const text = (value: string): Buffer => document([element('_id', 0x02, string(value))])
const objectId = (first: number): Buffer => document([element('_id', 0x07, Buffer.alloc(12, first))])
const oid = (first: number): string => `{"$oid":"${Buffer.alloc(12, first).toString('hex')}"}`

function cut(sample: Partial<IdSample>, sendable = (one: Uint8Array): string => idText(one, 0, one.length)): string[] {
  const question = { count: 1, ends: [], sampled: [], since: undefined, ...sample }
  return cutRanges(WHOLE, question, sendable).map(({ filter }) => filter)
}

test('a whole collection has documents of about a size, where that is known', () => {
  expect(WHOLE).toEqual({ filter: '{}', ordered: true, resumable: false, documentBytes: 34 })
  expect(wholeRange(false, undefined)).toEqual({ filter: '{}', ordered: false, resumable: false })
  expect(wholeRange(true, { rows: 0, bytes: 0 })).not.toHaveProperty('documentBytes')
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
  const filters = (sendable?: () => undefined): string[] => {
    return cutRanges(
      WHOLE,
      { count: 4, ends: [2], sampled, since: undefined },
      sendable ?? ((one) => idText(one, 0, one.length)),
    ).map((range) => range.filter)
  }
  expect(filters()).toEqual([
    '{"_id":{"$type":[2],"$not":{"$gte":"b"}}}',
    '{"_id":{"$type":[2],"$gte":"b","$lt":"c"}}',
    '{"_id":{"$type":[2],"$gte":"c"}}',
  ])
  expect(filters(() => undefined)).toEqual(['{"_id":{"$type":[2]}}'])
})

test('where ends are of several types, each kind has its ranges, and one is for all others', () => {
  const ranges = cutRanges(WHOLE, { count: 1, ends: [16, 2], sampled: [], since: undefined }, () => undefined)
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
