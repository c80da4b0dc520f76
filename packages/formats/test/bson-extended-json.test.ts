import { deserialize, EJSON, serialize } from 'bson'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { extendedJson, idAlias, idDocument, idText } from '../src/bson/extended-json.ts'
import type { ExtendedJsonStyle } from '../src/bson/extended-json-writer.ts'
import type { RawElement } from '@nebula/testkit/raw-bson'
import {
  array,
  binary,
  codeWithScope,
  cstring,
  decimal128,
  document,
  double,
  element,
  int32,
  int64,
  string,
} from '@nebula/testkit/raw-bson'
import { rawDocument, SPECIAL_DECIMALS } from './bson-arbitraries.ts'

const NOTHING = Buffer.alloc(0)
const ID = Buffer.from('00112233445566778899aabb', 'hex')

function textOf(type: number, bytes: Buffer, style: ExtendedJsonStyle): string {
  return Buffer.from(extendedJson(bytes, { type, start: 0, end: bytes.length }, style)).toString()
}

/** What a value is as bytes. */
function asBytes(type: number, bytes: Buffer): string {
  return `{"$bson":{"base64":"${Buffer.concat([Buffer.of(type), bytes]).toString('base64')}"}}`
}

/** Type, bytes, canonical text, and the exact one where it is another. */
const VALUES: readonly [name: string, type: number, bytes: Buffer, canonical: string, exact?: string][] = [
  ['int', 0x10, int32(5), '{"$numberInt":"5"}', '5'],
  ['the least int', 0x10, int32(-(2 ** 31)), '{"$numberInt":"-2147483648"}', '-2147483648'],
  ['the largest int', 0x10, int32(2 ** 31 - 1), '{"$numberInt":"2147483647"}', '2147483647'],
  ['a small long', 0x12, int64(-5n), '{"$numberLong":"-5"}'],
  ['the first long behind ints', 0x12, int64(2n ** 31n), '{"$numberLong":"2147483648"}', '2147483648'],
  ['the least long', 0x12, int64(-(2n ** 63n)), '{"$numberLong":"-9223372036854775808"}', '-9223372036854775808'],
  ['a long past doubles', 0x12, int64(2n ** 53n + 1n), '{"$numberLong":"9007199254740993"}', '9007199254740993'],
  ['an integer as double', 0x01, double(5), '{"$numberDouble":"5.0"}', '5.0'],
  ['double', 0x01, double(-0.1), '{"$numberDouble":"-0.1"}', '-0.1'],
  [
    'the largest double',
    0x01,
    double(Number.MAX_VALUE),
    '{"$numberDouble":"1.7976931348623157e+308"}',
    '1.7976931348623157e+308',
  ],
  ['the least double', 0x01, double(5e-324), '{"$numberDouble":"5e-324"}', '5e-324'],
  ['-0', 0x01, double(-0), '{"$numberDouble":"-0.0"}'],
  ['NaN', 0x01, double(NaN), '{"$numberDouble":"NaN"}'],
  ['-Infinity', 0x01, double(-Infinity), '{"$numberDouble":"-Infinity"}'],
  ['string', 0x02, string('a"\\\n\u0001€\u{1f600}\0'), '"a\\"\\\\\\n\\u0001€\u{1f600}\\u0000"'],
  ['objectId', 0x07, ID, '{"$oid":"00112233445566778899aabb"}'],
  ['true', 0x08, Buffer.of(1), 'true'],
  ['null', 0x0a, NOTHING, 'null'],
  [
    'date',
    0x09,
    int64(1_356_351_330_501n),
    '{"$date":{"$numberLong":"1356351330501"}}',
    '{"$date":"2012-12-24T12:15:30.501Z"}',
  ],
  ['1970', 0x09, int64(0n), '{"$date":{"$numberLong":"0"}}', '{"$date":"1970-01-01T00:00:00.000Z"}'],
  [
    'the last day of 9999',
    0x09,
    int64(253_402_300_799_999n),
    '{"$date":{"$numberLong":"253402300799999"}}',
    '{"$date":"9999-12-31T23:59:59.999Z"}',
  ],
  ['a date before 1970', 0x09, int64(-1n), '{"$date":{"$numberLong":"-1"}}'],
  ['the last date', 0x09, int64(2n ** 63n - 1n), '{"$date":{"$numberLong":"9223372036854775807"}}'],
  ['decimal', 0x13, decimal128(1250n, -2), '{"$numberDecimal":"12.50"}'],
  ['decimal with an exponent', 0x13, decimal128(125n, 3, true), '{"$numberDecimal":"-1.25E+5"}'],
  ['a decimal of zero', 0x13, decimal128(0n, 2, true), '{"$numberDecimal":"-0E+2"}'],
  ['the largest decimal', 0x13, decimal128(10n ** 34n - 1n, 6111), `{"$numberDecimal":"9.${'9'.repeat(33)}E+6144"}`],
  ['the least decimal', 0x13, decimal128(1n, -6176), '{"$numberDecimal":"1E-6176"}'],
  ['a decimal near to zero', 0x13, decimal128(123n, -8), '{"$numberDecimal":"0.00000123"}'],
  ['a decimal nearer to zero', 0x13, decimal128(123n, -9), '{"$numberDecimal":"1.23E-7"}'],
  ['decimal NaN', 0x13, SPECIAL_DECIMALS[0] as Buffer, '{"$numberDecimal":"NaN"}'],
  ['decimal -Infinity', 0x13, SPECIAL_DECIMALS[2] as Buffer, '{"$numberDecimal":"-Infinity"}'],
  ['binary', 0x05, binary(0, Buffer.from([0, 255])), '{"$binary":{"base64":"AP8=","subType":"00"}}'],
  ['empty binary', 0x05, binary(0x80, NOTHING), '{"$binary":{"base64":"","subType":"80"}}'],
  [
    'old binary',
    0x05,
    binary(2, Buffer.concat([int32(2), Buffer.from([255, 255])])),
    '{"$binary":{"base64":"//8=","subType":"02"}}',
  ],
  [
    'regex',
    0x0b,
    Buffer.concat([cstring('a/"b'), cstring('im')]),
    '{"$regularExpression":{"pattern":"a/\\"b","options":"im"}}',
  ],
  ['timestamp', 0x11, int64((0xffffffffn << 32n) | 4_294_967_294n), '{"$timestamp":{"t":4294967295,"i":4294967294}}'],
  ['code', 0x0d, string('x()'), '{"$code":"x()"}'],
  [
    'code with scope',
    0x0f,
    codeWithScope('x', document([element('a', 0x10, int32(1))])),
    '{"$code":"x","$scope":{"a":{"$numberInt":"1"}}}',
    '{"$code":"x","$scope":{"a":1}}',
  ],
  ['symbol', 0x0e, string('s'), '{"$symbol":"s"}'],
  [
    'dbPointer',
    0x0c,
    Buffer.concat([string('db.c'), ID]),
    '{"$dbPointer":{"$ref":"db.c","$id":{"$oid":"00112233445566778899aabb"}}}',
  ],
  ['undefined', 0x06, NOTHING, '{"$undefined":true}'],
  ['minKey', 0xff, NOTHING, '{"$minKey":1}'],
  ['maxKey', 0x7f, NOTHING, '{"$maxKey":1}'],
  ['object', 0x03, document([element('', 0x08, Buffer.of(0)), element('a.b', 0x04, array([]))]), '{"":false,"a.b":[]}'],
  [
    'array',
    0x04,
    array([
      { type: 0x0a, bytes: NOTHING },
      { type: 0x03, bytes: document([]) },
    ]),
    '[null,{}]',
  ],
  [
    'dbRef',
    0x03,
    document([element('$ref', 0x02, string('c')), element('$id', 0x07, ID)]),
    '{"$ref":"c","$id":{"$oid":"00112233445566778899aabb"}}',
  ],
]

test.each(VALUES)('%s', (...[, type, bytes, canonical, exact = canonical]) => {
  expect(textOf(type, bytes, 'canonical')).toBe(canonical)
  expect(textOf(type, bytes, 'exact')).toBe(exact)
})

test('every subtype of binary data', () => {
  for (let subtype = 0; subtype < 256; subtype++) {
    const bytes = binary(subtype, subtype === 2 ? int32(0) : Buffer.from('abc'))
    const [base64, hex] = [subtype === 2 ? '' : 'YWJj', Buffer.of(subtype).toString('hex')]
    expect(textOf(0x05, bytes, 'exact')).toBe(`{"$binary":{"base64":"${base64}","subType":"${hex}"}}`)
  }
})

const a = (value: number): RawElement => element('a', 0x10, int32(value))
const INVALID = Buffer.from([0x61, 0xff])

/** What Extended JSON cannot say. */
const UNSAYABLE: readonly [name: string, type: number, bytes: Buffer][] = [
  ['a name that occurs twice', 0x03, document([a(1), element('b', 0x0a, NOTHING), a(1)])],
  [
    'one of many names that occurs twice',
    0x03,
    document([...Array.from({ length: 40 }, (_, i) => element(`n${i}`, 0x0a, NOTHING)), element('n7', 0x0a, NOTHING)]),
  ],
  ['a wrapper', 0x03, document([element('$oid', 0x02, string('00112233445566778899aabb'))])],
  ['a wrapper among others', 0x03, document([a(1), element('$date', 0x12, int64(1n))])],
  ['bytes of our own', 0x03, document([element('$bson', 0x0a, NOTHING)])],
  ['a name that is no UTF-8', 0x03, document([element(INVALID, 0x0a, NOTHING)])],
  ['a string that is no UTF-8', 0x02, string(INVALID)],
  ['a surrogate', 0x02, string(Buffer.from('eda080', 'hex'))],
  ['an overlong NUL', 0x02, string(Buffer.from('c080', 'hex'))],
  ['an array with other names', 0x04, document([element('1', 0x0a, NOTHING)])],
  ['an array with a zero before its name', 0x04, document([element('00', 0x0a, NOTHING)])],
  ['an array with an empty name', 0x04, document([element('', 0x0a, NOTHING)])],
  [
    'an array whose name is only worth its number',
    0x04,
    document([
      ...Array.from({ length: 11 }, (_, i) => element(String(i), 0x0a, NOTHING)),
      element('0;', 0x0a, NOTHING),
    ]),
  ],
  ['old binary whose lengths disagree', 0x05, binary(2, int32(1))],
  ['old binary without its length', 0x05, binary(2, Buffer.of(0, 0))],
  ['a bool of 2', 0x08, Buffer.of(2)],
  ['NaN with other bits', 0x01, Buffer.from('010000000000f87f', 'hex')],
  ['-NaN', 0x01, Buffer.from('000000000000f8ff', 'hex')],
  ['decimal -NaN', 0x13, Buffer.from(`${'00'.repeat(15)}fc`, 'hex')],
  ['a signalling decimal NaN', 0x13, Buffer.from(`${'00'.repeat(15)}7e`, 'hex')],
  ['decimal infinity with other bits', 0x13, Buffer.from(`01${'00'.repeat(14)}78`, 'hex')],
  ['a coefficient of 35 digits', 0x13, decimal128(10n ** 34n, 0)],
  ['a coefficient that begins with binary 100', 0x13, Buffer.from(`${'00'.repeat(15)}6c`, 'hex')],
  ['a pattern that is no UTF-8', 0x0b, Buffer.concat([cstring(INVALID), cstring('i')])],
  ['options that are no UTF-8', 0x0b, Buffer.concat([cstring('a'), cstring(INVALID)])],
  ['code that is no UTF-8', 0x0f, codeWithScope(INVALID, document([]))],
  ['code whose scope repeats a name', 0x0f, codeWithScope('x', document([a(1), a(2)]))],
  ['symbol that is no UTF-8', 0x0e, string(INVALID)],
  ['dbPointer that is no UTF-8', 0x0c, Buffer.concat([string(INVALID), ID])],
]

test.each(UNSAYABLE)('%s is kept as bytes', (_, type, bytes) => {
  expect(textOf(type, bytes, 'exact')).toBe(asBytes(type, bytes))
  expect(textOf(type, bytes, 'canonical')).toBe(asBytes(type, bytes))
})

test('only the innermost document that cannot be said is kept as bytes', () => {
  const inner = document([a(1), a(2)])
  const outer = document([
    element(
      'x',
      0x04,
      array([
        { type: 0x03, bytes: inner },
        { type: 0x10, bytes: int32(3) },
      ]),
    ),
    a(4),
  ])
  expect(textOf(0x03, outer, 'exact')).toBe(`{"x":[${asBytes(0x03, inner)},3],"a":4}`)
})

/** bson does not know these types by itself, and its references are documents of ours. */
const OPTIONS = { promoteValues: false, promoteBuffers: false, promoteLongs: false, bsonRegExp: true } as const

test('bson reads canonical text as the same bytes', () => {
  fc.assert(
    fc.property(rawDocument({ usual: true }), (bytes) => {
      const text = textOf(0x03, bytes, 'canonical')
      const back = serialize(EJSON.parse(text, { relaxed: false }) as object, { ignoreUndefined: false })
      expect(Buffer.from(back).toString('hex')).toBe(bytes.toString('hex'))
    }),
  )
})

test('canonical text is that of bson', () => {
  fc.assert(
    fc.property(rawDocument({ usual: true }), (bytes) => {
      const text = textOf(0x03, bytes, 'canonical')
      const theirs = EJSON.stringify(deserialize(bytes, OPTIONS), { relaxed: false })
      expect(withoutNotation(JSON.parse(text))).toEqual(withoutNotation(JSON.parse(theirs)))
    }),
  )
})

test('exact text is JSON that no depth, repeated name or odd byte breaks', () => {
  fc.assert(
    fc.property(rawDocument({ usual: false }), (bytes) => {
      const text = textOf(0x03, bytes, 'exact')
      expect(() => JSON.parse(text) as unknown).not.toThrow()
      expect(Buffer.from(text).toString()).toBe(text)
    }),
  )
})

/** Doubles have several spellings. */
function withoutNotation(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNotation)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value).map(([key, inner]) => [
    key,
    key === '$numberDouble' ? Number(inner) : withoutNotation(inner),
  ])
}

function nested(depth: number, type: 0x03 | 0x04): Buffer {
  const levels: Buffer[] = []
  for (let size = 4, i = 0; i < depth; i++) {
    // Length, type, name, what is inside, NUL.
    size += 4 + 1 + 2 + 1
    levels.push(Buffer.concat([int32(size), Buffer.of(i === 0 ? 0x10 : type), cstring('0')]))
  }
  return Buffer.concat([...levels.reverse(), int32(1), Buffer.alloc(depth)])
}

test('depth 20,000 is read, and its damage at the bottom is found', () => {
  const objects = nested(20_000, 0x03)
  expect(textOf(0x03, objects, 'exact')).toBe(`${'{"0":'.repeat(20_000)}1${'}'.repeat(20_000)}`)
  expect(textOf(0x04, nested(20_000, 0x04), 'exact')).toBe(`${'['.repeat(20_000)}1${']'.repeat(20_000)}`)
  objects[objects.length - 20_000] = 1
  expect(() => textOf(0x03, objects, 'exact')).toThrow('damaged')
})

test('16 MB of one string, of one binary; and 100,000 names', () => {
  const text = 'ä"'.repeat(5_000_000)
  expect(textOf(0x02, string(text), 'exact')).toBe(JSON.stringify(text))
  const data = Buffer.alloc(16_000_000, 7)
  expect(textOf(0x05, binary(0, data), 'exact')).toBe(
    `{"$binary":{"base64":"${data.toString('base64')}","subType":"00"}}`,
  )
  const names = Array.from({ length: 100_000 }, (_, i) => element(`n${i}`, 0x0a, NOTHING))
  const many = document(names)
  expect(textOf(0x03, many, 'exact').length).toBe(many.length - 5 - names.length + names.length * 7 + 1)
  const repeated = document([...names, element('n5', 0x0a, NOTHING)])
  expect(textOf(0x03, repeated, 'exact')).toBe(asBytes(0x03, repeated))
})

test('a damaged value is no text', () => {
  const cut = document([element('o', 0x03, document([a(1)]))])
  cut.writeInt32LE(200, 7)
  expect(() => textOf(0x03, cut, 'exact')).toThrow('A BSON value is damaged.')
})

test('the _id of a document, wherever it stands', () => {
  const bytes = document([a(1), element('_id', 0x12, int64(7n)), element('_id', 0x10, int32(1))])
  const padded = Buffer.concat([Buffer.of(1, 2, 3), bytes, Buffer.of(9)])
  expect(idText(padded, 3, 3 + bytes.length)).toBe('{"$numberLong":"7"}')
  expect(idAlias(padded, 3, 3 + bytes.length)).toBe('long')
  expect(idText(padded, 3, padded.length)).toBe('')
  const without = document([a(1)])
  expect([idText(without, 0, without.length), idAlias(without, 0, without.length)]).toEqual(['', ''])
  expect(idDocument(bytes)).toEqual(new Uint8Array(document([element('_id', 0x12, int64(7n))])))
  expect(idDocument(without)).toEqual(new Uint8Array(document([])))
  expect(idText(without, 0, 1000)).toBe('')
})
