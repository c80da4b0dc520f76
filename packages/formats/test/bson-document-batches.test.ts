import type { Field, Value } from '@nebula/core'
import { BufferPool, valueAt } from '@nebula/core'
import { expect, test } from 'vitest'
import { BSON_WIRE } from '../src/bson/document-batches.ts'
import type { RawElement } from '@nebula/testkit/raw-bson'
import { array, binary, decimal128, document, double, element, int32, int64, string } from '@nebula/testkit/raw-bson'
import { SPECIAL_DECIMALS } from './bson-arbitraries.ts'
import { freeReply, joinedReply } from '../src/bson/document-reply.ts'
import { batchesOf, batchOf, fieldsOf, laidOut, rowsOf } from './bson-batches.ts'

const NOTHING = Buffer.alloc(0)
const OBJECT_ID = Buffer.from('00112233445566778899aabb', 'hex')
const UUID = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
const id = (value: number): RawElement => element('_id', 0x10, int32(value))
const none = (name: string): RawElement => element(name, 0x0a, NOTHING)

/** An element, its type's name, and the value in its column. */
const HELD: readonly [alias: string, element: RawElement, value: Value][] = [
  ['int', element('x', 0x10, int32(-(2 ** 31))), -(2 ** 31)],
  ['long', element('x', 0x12, int64(-(2n ** 63n))), -(2n ** 63n)],
  ['double', element('x', 0x01, double(-0)), -0],
  ['double', element('x', 0x01, double(NaN)), NaN],
  ['double', element('x', 0x01, double(-Infinity)), -Infinity],
  ['double', element('x', 0x01, double(5e-324)), 5e-324],
  ['decimal', element('x', 0x13, decimal128(1250n, -2)), '12.50'],
  ['decimal', element('x', 0x13, decimal128(0n, -3)), '0.000'],
  ['decimal', element('x', 0x13, decimal128(10n ** 34n - 1n, 0, true)), `-${'9'.repeat(34)}`],
  ['decimal', element('x', 0x13, decimal128(7n, -6176)), `0.${'0'.repeat(6175)}7`],
  ['decimal', element('x', 0x13, decimal128(10n ** 33n, 27, true)), `-1${'0'.repeat(60)}`],
  ['decimal', element('x', 0x13, SPECIAL_DECIMALS[0] as Buffer), 'NaN'],
  ['decimal', element('x', 0x13, SPECIAL_DECIMALS[1] as Buffer), 'Infinity'],
  ['decimal', element('x', 0x13, SPECIAL_DECIMALS[2] as Buffer), '-Infinity'],
  ['string', element('x', 0x02, string('')), ''],
  ['string', element('x', 0x02, string('ä\0€\u{1f600}')), 'ä\0€\u{1f600}'],
  ['string', element('x', 0x02, string('é'.repeat(1000))), 'é'.repeat(1000)],
  ['bool', element('x', 0x08, Buffer.of(1)), true],
  ['bool', element('x', 0x08, Buffer.of(0)), false],
  ['date', element('x', 0x09, int64(1_356_351_330_501n)), 1_356_351_330_501_000n],
  ['date', element('x', 0x09, int64(-1n)), -1000n],
  ['date', element('x', 0x09, int64(9_223_372_036_854_775n)), 9_223_372_036_854_775_000n],
  ['date', element('x', 0x09, int64(-62_135_596_800_000n)), -62_135_596_800_000_000n],
  ['binData', element('x', 0x05, binary(0, NOTHING)), Uint8Array.of()],
  ['binData', element('x', 0x05, binary(0, Buffer.of(0, 255))), Uint8Array.of(0, 255)],
  ['uuid', element('x', 0x05, binary(4, UUID)), '00010203-0405-0607-0809-0a0b0c0d0e0f'],
  ['objectId', element('x', 0x07, OBJECT_ID), Uint8Array.from(OBJECT_ID)],
  ['object', element('x', 0x03, document([id(1)])), '{"_id":1}'],
  ['array', element('x', 0x04, array([])), '[]'],
  [
    'binData(3)',
    element('x', 0x05, binary(3, UUID)),
    '{"$binary":{"base64":"AAECAwQFBgcICQoLDA0ODw==","subType":"03"}}',
  ],
  ['binData(4)', element('x', 0x05, binary(4, Buffer.of(1))), '{"$binary":{"base64":"AQ==","subType":"04"}}'],
  ['null', none('x'), 'null'],
  ['timestamp', element('x', 0x11, int64(1n)), '{"$timestamp":{"t":0,"i":1}}'],
  ['minKey', element('x', 0xff, NOTHING), '{"$minKey":1}'],
]

test.each(HELD)('a column of %s holds %j', (alias, held, value) => {
  const bytes = document([id(1), held])
  const fields = fieldsOf([bytes])
  expect(fields[1]?.declared).toBe(alias)
  const batch = batchOf([bytes], { fields })
  expect(batch.rejected).toEqual([])
  expect(rowsOf(batch)).toEqual([{ _id: 1, x: value }])
  expect(batch.overflowed).toBeUndefined()
})

/** A value that makes the column, and one of the same type that it cannot hold. */
const MISFITS: readonly [name: string, usual: RawElement, misfit: RawElement, text: string][] = [
  [
    'NaN with other bits',
    element('x', 0x01, double(1)),
    element('x', 0x01, Buffer.from('000000000000f8ff', 'hex')),
    '{"$bson":{"base64":"AQAAAAAAAPj/"}}',
  ],
  [
    'a decimal of an exponent',
    element('x', 0x13, decimal128(1n, 0)),
    element('x', 0x13, decimal128(1n, 3)),
    '{"$numberDecimal":"1E+3"}',
  ],
  [
    'a decimal of -0',
    element('x', 0x13, decimal128(1n, 0)),
    element('x', 0x13, decimal128(0n, 0, true)),
    '{"$numberDecimal":"-0"}',
  ],
  [
    'a string that is no UTF-8',
    element('x', 0x02, string('a')),
    element('x', 0x02, string(Buffer.of(0x61, 0xff))),
    '{"$bson":{"base64":"AgMAAABh/wA="}}',
  ],
  [
    'a long string that is no UTF-8',
    element('x', 0x02, string('a')),
    element('x', 0x02, string(Buffer.alloc(200, 0xff))),
    `{"$bson":{"base64":"${Buffer.concat([Buffer.of(2), string(Buffer.alloc(200, 0xff))]).toString('base64')}"}}`,
  ],
  ['a bool of 2', element('x', 0x08, Buffer.of(1)), element('x', 0x08, Buffer.of(2)), '{"$bson":{"base64":"CAI="}}'],
  [
    'a date past microseconds',
    element('x', 0x09, int64(0n)),
    element('x', 0x09, int64(9_223_372_036_854_776n)),
    '{"$date":{"$numberLong":"9223372036854776"}}',
  ],
  [
    'a date before microseconds',
    element('x', 0x09, int64(0n)),
    element('x', 0x09, int64(-9_223_372_036_854_776n)),
    '{"$date":{"$numberLong":"-9223372036854776"}}',
  ],
  [
    'a date that would wrap',
    element('x', 0x09, int64(0n)),
    element('x', 0x09, int64(-9_223_372_036_854_775n)),
    '{"$date":{"$numberLong":"-9223372036854775"}}',
  ],
  [
    'binary data of another subtype',
    element('x', 0x05, binary(0, UUID)),
    element('x', 0x05, binary(5, NOTHING)),
    '{"$binary":{"base64":"","subType":"05"}}',
  ],
  [
    'a uuid among binary data',
    element('x', 0x05, binary(0, UUID)),
    element('x', 0x05, binary(4, UUID)),
    '{"$binary":{"base64":"AAECAwQFBgcICQoLDA0ODw==","subType":"04"}}',
  ],
  [
    'a uuid of one byte',
    element('x', 0x05, binary(4, UUID)),
    element('x', 0x05, binary(4, Buffer.of(1))),
    '{"$binary":{"base64":"AQ==","subType":"04"}}',
  ],
  ['an int among doubles', element('x', 0x01, double(1)), element('x', 0x10, int32(1)), '1'],
  ['a long among ints', element('x', 0x10, int32(1)), element('x', 0x12, int64(1n)), '{"$numberLong":"1"}'],
  ['an array among objects', element('x', 0x03, document([])), element('x', 0x04, array([])), '[]'],
  ['null', element('x', 0x10, int32(1)), none('x'), 'null'],
  ['undefined among nulls', none('x'), element('x', 0x06, NOTHING), '{"$undefined":true}'],
]

test.each(MISFITS)('%s lies in the overflow column', (_, usual, misfit, text) => {
  const usually = document([id(1), usual])
  const batch = batchOf([usually, document([id(2), misfit]), usually], { fields: fieldsOf([usually]) })
  const [first, second, third] = rowsOf(batch)
  expect(second).toEqual({ _id: 2, _overflow: `{"x":${text}}` })
  expect(third).toEqual(first)
  expect([batch.overflowed, batch.rejected]).toEqual([1, []])
})

test('fields that no sample saw, at any place, lie in the overflow column in their order', () => {
  const fields = fieldsOf([document([id(1), element('a', 0x10, int32(1)), element('b', 0x02, string('x'))])])
  const late = document([
    element('', 0x10, int32(1)),
    element('b', 0x02, string('y')),
    element('__proto__', 0x08, Buffer.of(1)),
    element('a.b', 0x01, double(1)),
    id(7),
    element('$set', 0x03, document([])),
    element('a', 0x10, int32(5)),
    element('_overflow', 0x10, int32(9)),
  ])
  const batch = batchOf([document([]), late, document([id(3)])], { fields })
  expect(rowsOf(batch)).toEqual([
    { _id: 7, a: 5, b: 'y', _overflow: '{"":1,"__proto__":true,"a.b":1.0,"$set":{},"_overflow":9}' },
    { _id: 3 },
  ])
  expect(batch.overflowed).toBe(5)
  expect(batch.rejected.map(({ reason, place }) => [reason, place])).toEqual([
    ['the document has no "_id"', 'a document without an _id'],
  ])
})

test('a field whose type changes half way loses nothing', () => {
  const typed = Array.from({ length: 100 }, (_, i) => document([id(i), element('x', 0x10, int32(i))]))
  const changed = Array.from({ length: 100 }, (_, i) => document([id(100 + i), element('x', 0x02, string(`${i}`))]))
  const batch = batchOf([...typed, ...changed], { fields: fieldsOf(typed) })
  expect(batch.overflowed).toBe(100)
  expect(rowsOf(batch)).toEqual([
    ...typed.map((_, i) => ({ _id: i, x: i })),
    ...changed.map((_, i) => ({ _id: 100 + i, _overflow: `{"x":"${i}"}` })),
  ])
})

test('all values of a name that occurs twice lie in the overflow column, as bytes in their order', () => {
  const fields = fieldsOf([document([id(1), element('a', 0x02, string('x')), element('b', 0x10, int32(1))])])
  const repeated = [
    element('a', 0x02, string('one')),
    none('new'),
    element('a', 0x10, int32(2)),
    element('a', 0x02, string('3')),
  ]
  const [a1, unknown, a2, a3] = repeated as [RawElement, RawElement, RawElement, RawElement]
  const bytes = document([id(2), a1, element('b', 0x10, int32(7)), unknown, a2, a3])
  const batch = batchOf([bytes, document([id(3), a1])], { fields })
  const kept = Buffer.concat([Buffer.of(3), document([a1, unknown, a2, a3])]).toString('base64')
  expect(rowsOf(batch)).toEqual([
    { _id: 2, b: 7, _overflow: `{"$bson":{"base64":"${kept}"}}` },
    { _id: 3, a: 'one' },
  ])
  expect(batch.overflowed).toBe(4)
})

test('a name that first has a value that does not fit, and then one that does, is repeated all the same', () => {
  const fields = fieldsOf([document([id(1), element('a', 0x10, int32(1))])])
  const pair = [none('a'), element('a', 0x10, int32(2))]
  const batch = batchOf([document([id(2), ...pair])], { fields })
  const kept = Buffer.concat([Buffer.of(3), document(pair)]).toString('base64')
  expect(rowsOf(batch)).toEqual([{ _id: 2, _overflow: `{"$bson":{"base64":"${kept}"}}` }])
})

test('an _id that does not fit, or occurs twice, is a rejected row, and all others stay in place', () => {
  const fields = fieldsOf([document([element('_id', 0x07, OBJECT_ID), element('s', 0x02, string(''))])])
  const good = (s: string): Buffer => document([element('_id', 0x07, OBJECT_ID), element('s', 0x02, string(s))])
  const twice = document([element('_id', 0x07, OBJECT_ID), element('_id', 0x07, OBJECT_ID)])
  const other = document([element('s', 0x02, string('lost')), id(5)])
  const batch = batchOf([good('a'), other, twice, good('b')], { fields })
  expect(rowsOf(batch).map(({ s }) => s)).toEqual(['a', 'b'])
  expect(batch.rejected).toEqual([
    {
      code: 'row_rejected',
      column: '_id',
      reason: '"_id": a value of type int, in a column of objectId',
      place: '{"$numberInt":"5"}',
      raw: Uint8Array.from(other),
    },
    {
      code: 'row_rejected',
      column: '_id',
      reason: 'the document has "_id" more than once',
      place: '{"$oid":"00112233445566778899aabb"}',
      raw: Uint8Array.from(twice),
    },
  ])
  expect(batch.place(1)).toBe('{"$oid":"00112233445566778899aabb"}')
})

test('an _id of several types is canonical Extended JSON', () => {
  const ids = [
    id(5),
    element('_id', 0x02, string('5')),
    element('_id', 0x12, int64(5n)),
    element('_id', 0x03, document([element('a', 0x10, int32(1))])),
  ]
  const documents = ids.map((one) => document([one]))
  const fields = fieldsOf(documents)
  expect(fields[0]).toMatchObject({
    name: '_id',
    type: { kind: 'utf8' },
    nullable: false,
    vendor: 'mongo',
    declared: 'extended',
  })
  const texts = ['{"$numberInt":"5"}', '"5"', '{"$numberLong":"5"}', '{"a":{"$numberInt":"1"}}']
  const batch = batchOf(documents, { fields })
  expect(rowsOf(batch)).toEqual(texts.map((_id) => ({ _id })))
  expect(documents.map((_, row) => batch.place(row))).toEqual(texts)
})

test('ObjectIds are hex digits where text was agreed on', () => {
  const bytes = document([element('_id', 0x07, OBJECT_ID)])
  const [field, ...rest] = fieldsOf([bytes]) as [Field, Field]
  expect(field.offers).toEqual([{ kind: 'native', vendor: 'mongo', type: 'objectId' }, { kind: 'utf8' }])
  const batch = batchOf([bytes], { fields: [{ ...field, type: { kind: 'utf8' } }, ...rest] })
  expect(rowsOf(batch)).toEqual([{ _id: OBJECT_ID.toString('hex') }])
})

test('a column of another type than its values have is refused', () => {
  const field: Field = { name: 'x', type: { kind: 'int64' }, nullable: true, vendor: 'mongo', declared: 'int' }
  const make = (fields: Field[]) => () => batchOf([document([])], { fields })
  expect(make([field])).toThrow('"x", whose values are int, is not decoded as int64.')
  expect(make([{ ...field, declared: 'constructor' }])).toThrow('whose values are constructor')
  expect(() => batchesOf({ fields: [], wire: 'mongodb/other' })).toThrow('mongodb/other')
})

test('without an overflow column a value that does not fit is a rejected row, null is NULL, and other fields are left out', () => {
  const sample = document([id(1), element('a', 0x10, int32(1))])
  const fields = fieldsOf([sample]).filter(({ name }) => name !== '_overflow')
  const batch = batchOf(
    [sample, document([id(2), none('a'), none('other')]), document([id(3), element('a', 0x12, int64(1n))])],
    { fields },
  )
  expect(rowsOf(batch)).toEqual([{ _id: 1, a: 1 }, { _id: 2 }])
  expect(batch.overflowed).toBeUndefined()
  expect(batch.rejected.map(({ column, place, reason }) => [column, place, reason])).toEqual([
    ['a', '{"$numberInt":"3"}', '"a": a value of type long, in a column of int'],
  ])
})

test('wire rows are handed over as they are, without those that are no documents', () => {
  const documents = [document([id(1)]), document([element('x', 0x10, int32(1)), element('x', 0x10, int32(1))])]
  const broken = document([id(9)])
  broken[broken.length - 1] = 1
  const short = document([id(8)])
  short.writeInt32LE(short.length - 1)
  const rows = laidOut([documents[0] as Buffer, broken, short, documents[1] as Buffer])
  const batch = batchesOf({ fields: fieldsOf(documents), wire: BSON_WIRE }).make(rows)
  const { data, offsets, format } = batch.wire ?? { data: NOTHING, offsets: [0], format: '' }
  expect(format).toBe(BSON_WIRE)
  expect(Buffer.from(data)).toEqual(Buffer.concat(documents))
  expect([...offsets]).toEqual([0, documents[0]?.length, Buffer.concat(documents).length])
  expect(batch.rejected.map(({ reason, raw }) => [reason, raw])).toEqual([
    ['the document is damaged', Uint8Array.from(broken)],
    ['the document is damaged', Uint8Array.from(short)],
  ])
  expect(batch.rows).toBe(2)
  expect(batch.overflowed).toBeUndefined()
})

test('of wire rows the columns that are looked at are decoded, and the others when somebody asks', () => {
  const documents = [document([id(1), element('a', 0x10, int32(5)), element('b', 0x02, string('x'))])]
  const odd = document([id(2), element('a', 0x02, string('y')), none('b')])
  const fields = fieldsOf(documents)
  const pool = new BufferPool(1e9)
  const batches = batchesOf({ fields, wire: BSON_WIRE, decode: [1] }, pool)
  const batch = batches.make(laidOut([...documents, odd]))
  expect([valueAt(batch.column(1), 0), valueAt(batch.column(1), 1)]).toEqual([5, null])
  expect(batch.overflowed).toBeUndefined()
  expect(rowsOf(batch)).toEqual([
    { _id: 1, a: 5, b: 'x' },
    { _id: 2, _overflow: '{"a":"y","b":null}' },
  ])
  batch.release()
  batches.close()
  expect(pool.statistics.used).toBe(0)
})

test('where the overflow column is looked at, all columns say what does not lie there', () => {
  const documents = [document([id(1), element('a', 0x10, int32(5))])]
  const fields = fieldsOf(documents)
  const batch = batchOf([...documents, document([id(2), none('a')])], { fields, wire: BSON_WIRE, decode: [2] })
  expect([valueAt(batch.column(2), 0), valueAt(batch.column(2), 1)]).toEqual([null, '{"a":null}'])
  expect(batch.overflowed).toBe(1)
})

test('whole documents, of which one has a field that is called as their column', () => {
  const bytes = document([element('document', 0x01, double(2)), id(1), element('document', 0x01, double(2))])
  const fields = fieldsOf([document([id(1)])], { documents: true })
  expect(fields.map(({ name, declared }) => [name, declared])).toEqual([
    ['_id', 'int'],
    ['document', 'object'],
  ])
  const batch = batchOf([document([id(7), element('a', 0x0a, NOTHING)]), bytes], { fields, documents: true })
  expect(rowsOf(batch)).toEqual([
    { _id: 7, document: '{"_id":7,"a":null}' },
    { _id: 1, document: `{"$bson":{"base64":"${Buffer.concat([Buffer.of(3), bytes]).toString('base64')}"}}` },
  ])
})

test('buffers are kept between batches, and all are given back', () => {
  const documents = Array.from({ length: 500 }, (_, i) =>
    document([id(i), element('s', 0x02, string('x'.repeat(i))), none('n')]),
  )
  const pool = new BufferPool(1e9)
  const batches = batchesOf({ fields: fieldsOf(documents) }, pool)
  let released = 0
  for (let i = 0; i < 3; i++) {
    const batch = batches.make({ ...laidOut(documents), release: () => released++ })
    expect(batch.rows).toBe(500)
    batch.release()
  }
  expect(released).toBe(3)
  batches.close()
  expect(pool.statistics.used).toBe(0)
})

test('a document of 16 MB, and one of 20,000 levels', () => {
  const large = element('a', 0x02, string('x'.repeat(16_000_000)))
  let deep = document([])
  const heads: Buffer[] = []
  for (let i = 0; i < 20_000; i++) heads.push(Buffer.concat([int32(8 + deep.length + i * 8), Buffer.from('\x03n\0')]))
  deep = Buffer.concat([...heads.reverse(), deep, Buffer.alloc(20_000)])
  const fields = fieldsOf([document([id(1), element('a', 0x02, string('')), element('d', 0x03, document([]))])])
  const batch = batchOf([document([id(1), large]), document([id(2), element('d', 0x03, deep)])], { fields })
  expect(batch.rejected).toEqual([])
  const [first, second] = rowsOf(batch)
  expect(first?.['a']).toBe('x'.repeat(16_000_000))
  expect(second?.['d']).toBe(`${'{"n":'.repeat(20_000)}{}${'}'.repeat(20_000)}`)
})

test('a large reply is freed, and none that shares its memory', () => {
  const size = 3_000_000
  const [large, shared] = [
    joinedReply([document([id(1), element('b', 0x05, binary(0, Buffer.alloc(size)))])]),
    Buffer.alloc(2 * size + 100),
  ]
  const part = joinedReply([document([id(2)])])
  freeReply(part)
  freeReply({ ...part, data: shared.subarray(0, size) })
  expect([part.data.length > 0, shared.length]).toEqual([true, 2 * size + 100])
  freeReply(large)
  expect(large.data.length).toBe(0)
})
