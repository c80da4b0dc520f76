import { BSON, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { idFilter, parseFilter, parseId, sendableId } from '../src/id-range.ts'

const range = { ordered: true, types: [1, 16, 18, 19] }

describe('ranges of _id', () => {
  test('a document lies in one of two neighbours, whatever is compared with NaN', () => {
    const five = '{"$numberInt":"5"}'
    expect(idFilter(BSON, { ...range, to: five })).toEqual({
      _id: { $type: range.types, $not: { $gte: new Int32(5) } },
    })
    expect(idFilter(BSON, { ...range, from: five })).toEqual({ _id: { $type: range.types, $gte: new Int32(5) } })
    expect(idFilter(BSON, { ...range, from: five, to: '{"$numberLong":"7"}' })).toEqual({
      _id: { $type: range.types, $gte: new Int32(5), $lt: Long.fromNumber(7) },
    })
  })

  test('reading goes on behind an _id; behind NaN lie all other numbers', () => {
    const to = '{"$numberDouble":"9.5"}'
    expect(idFilter(BSON, { ...range, from: '{"$numberInt":"1"}', to }, '{"$numberInt":"5"}')).toEqual({
      _id: { $type: range.types, $gt: new Int32(5), $lt: new Double(9.5) },
    })
    expect(idFilter(BSON, { ...range, to }, '{"$numberDouble":"NaN"}')).toEqual({
      _id: { $type: range.types, $gte: -Infinity, $lt: new Double(9.5) },
    })
    expect(idFilter(BSON, range, '{"$numberDecimal":"NaN"}')).toEqual({
      _id: { $type: range.types, $gte: -Infinity },
    })
    expect(idFilter(BSON, { ordered: true, types: [2] }, '"NaN"')).toEqual({ _id: { $type: [2], $gt: 'NaN' } })
  })

  test('all other types together, and a whole collection', () => {
    expect(idFilter(BSON, { ...range, others: true })).toEqual({ _id: { $not: { $type: range.types } } })
    expect(idFilter(BSON, { ordered: false })).toEqual({})
  })

  test.each([
    new ObjectId(),
    'text with "quotes"',
    '',
    new Int32(-1),
    Long.MAX_VALUE,
    new Double(-0),
    new Double(Number.NaN),
    Decimal128.fromString('1.50'),
    new BSON.UUID(),
    new BSON.Binary(new Uint8Array([1, 2]), 128),
    new Date(-1),
    new Timestamp({ t: 4_294_967_295, i: 1 }),
    { b: new Int32(1), a: { c: 'x' } },
    new MinKey(),
    new MaxKey(),
    null,
    true,
  ])('the driver sends %s as it is', (_id) => {
    const document = BSON.serialize({ other: 1, _id })
    const text = sendableId(BSON, document)
    expect(text).toBeTypeOf('string')
    expect(BSON.serialize({ _id: parseId(BSON, text ?? '') })).toEqual(BSON.serialize({ _id }))
  })

  test('an _id that the driver would send as another one is no place to go on from', () => {
    // A date beyond the language's.
    const date = BSON.serialize({ _id: Long.MAX_VALUE })
    date[4] = 9
    expect(sendableId(BSON, date)).toBe(undefined)
    // A document with two fields of one name.
    const twice = BSON.serialize({ _id: { a: new Int32(1), b: new Int32(2) } })
    twice[twice.indexOf('b'.charCodeAt(0))] = 'a'.charCodeAt(0)
    expect(sendableId(BSON, twice)).toBe(undefined)
    expect(sendableId(BSON, BSON.serialize({ a: 1 }))).toBe(undefined)
  })

  test('a native filter is Extended JSON, and its error does not quote it', () => {
    expect(parseFilter(BSON, '{"a": {"$gt": 5, "$lt": {"$numberLong": "7"}}}')).toEqual({
      a: { $gt: new Int32(5), $lt: Long.fromNumber(7) },
    })
    for (const wrong of ['{a: "geheim"}', '[]', '"geheim"', 'null'])
      expect(() => parseFilter(BSON, wrong)).toThrow(/^native_filter is no document(?!.*geheim)/)
  })
})
