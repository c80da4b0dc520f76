import { documentQuery } from '@nebula/formats'
import { BSON, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { parseFilter, sendableId } from '../src/queries.ts'

describe('queries', () => {
  test('are sent with values of the types that formats says', () => {
    const fields = [{ name: 'at', type: { kind: 'timestamp', zone: true }, nullable: true, declared: 'date' }] as const
    const filter = '{"_id":{"$type":[1,16,18,19],"$gte":{"$numberInt":"5"},"$lt":{"$numberLong":"7"}}}'
    const request = { stream: 'x', mode: 'append', columns: ['at'], key: [], cursor: 'at' } as const
    const task = {
      partition: { id: 'x', stream: 'x', range: { filter, ordered: true, resumable: true } },
      stream: { request: { ...request, since: '1970-01-01 00:00:01+00' }, schema: { fields }, decode: [] },
      batch: { rows: 1, bytes: 1, delayMs: 1 },
    }
    const types = [1, 16, 18, 19].map((type) => new Int32(type))
    const since = [{ at: { $not: { $lt: new Date(1000) } } }, { at: { $type: ['array'] } }]
    expect(parseFilter(documentQuery(task, '{"$numberDouble":"NaN"}').filter)).toEqual({
      $and: [
        { _id: { $type: types, $gte: new Int32(5), $lt: Long.fromNumber(7) } },
        { _id: { $gte: new Double(-Infinity) } },
        { $or: since },
      ],
    })
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
    const text = sendableId(document)
    expect(text).toBeTypeOf('string')
    expect(BSON.serialize(parseFilter(`{"_id":${text}}`))).toEqual(BSON.serialize({ _id }))
  })

  test('an _id that the driver would send as another one is no place to go on from', () => {
    // A date beyond the language's.
    const date = BSON.serialize({ _id: Long.MAX_VALUE })
    date[4] = 9
    expect(sendableId(date)).toBe(undefined)
    // A document with two fields of one name.
    const twice = BSON.serialize({ _id: { a: new Int32(1), b: new Int32(2) } })
    twice[twice.indexOf('b'.charCodeAt(0))] = 'a'.charCodeAt(0)
    expect(sendableId(twice)).toBe(undefined)
    expect(sendableId(BSON.serialize({ a: 1 }))).toBe(undefined)
  })

  test('a native filter is Extended JSON, and its error does not quote it', () => {
    expect(parseFilter('{"a": {"$gt": 5, "$lt": {"$numberLong": "7"}}}')).toEqual({
      a: { $gt: new Int32(5), $lt: Long.fromNumber(7) },
    })
    for (const wrong of ['{a: "geheim"}', '[]', '"geheim"', 'null'])
      expect(() => parseFilter(wrong)).toThrow(/^native_filter is no document(?!.*geheim)/)
  })
})
