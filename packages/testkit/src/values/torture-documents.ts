import type { RawElement, RawValue } from './raw-bson.ts'
import * as raw from './raw-bson.ts'

/** A value of BSON that some tool changed or lost. */
export interface TortureBson extends RawValue {
  /** Its type, as MongoDB's `$type` calls it; of binary data with the subtype, and `uuid` for UUIDs of subtype 4. */
  readonly alias: string
  /** What is hard about it. No two are called the same. */
  readonly why: string
  /** What mongo-java-server makes of it, which is not what a MongoDB does; left out: it keeps it. */
  readonly standIn?: string
}

/** The fields of a document, all but its `_id`. */
export interface TortureDocument {
  readonly why: string
  readonly elements: readonly RawElement[]
  readonly standIn?: string
}

const CLOSES = 'closes the connection'
const REPLACES = 'replaces bytes that are no UTF-8'
const ONCE = 'keeps one of the values'

type Row = readonly [why: string, bytes: Buffer, standIn?: string]

function values(type: number, alias: string, rows: readonly Row[]): TortureBson[] {
  return rows.map(([why, bytes, standIn]) => ({
    type,
    alias,
    why: `${alias}: ${why}`,
    bytes,
    ...(standIn === undefined ? {} : { standIn }),
  }))
}

const hex = (digits: string): Buffer => Buffer.from(digits, 'hex')
const EMPTY = raw.document([])
const NO_UTF8 = hex('61ff62')
const HASH = hex('00112233445566778899aabbccddeeff')
const int = (name: string, value: number): RawElement => raw.element(name, 0x10, raw.int32(value))
const text = (name: string, value: string): RawElement => raw.element(name, 0x02, raw.string(value))

function deep(levels: number): Buffer {
  let inner = EMPTY
  for (let level = 1; level < levels; level++) inner = raw.document([raw.element('d', 0x03, inner)])
  return inner
}

const NUMBERS: readonly TortureBson[] = [
  ...values(0x10, 'int', [
    ['zero', raw.int32(0)],
    ['every bit is set', raw.int32(-1)],
    ['the least', raw.int32(-2_147_483_648)],
    ['the largest', raw.int32(2_147_483_647)],
  ]),
  ...values(0x12, 'long', [
    ['zero, which an int holds', raw.int64(0n)],
    ['minus one, which an int holds', raw.int64(-1n)],
    ['the first that no int holds', raw.int64(2_147_483_648n)],
    ['2^53 + 1: no double holds it', raw.int64(9_007_199_254_740_993n)],
    ['the least', raw.int64(-(2n ** 63n))],
    ['the largest', raw.int64(2n ** 63n - 1n)],
  ]),
  ...values(0x01, 'double', [
    ['zero, which an int holds', raw.double(0)],
    ['-0', raw.double(-0)],
    ['five, which is no int', raw.double(5)],
    ['0.1', raw.double(0.1)],
    ['2^53 + 2', raw.double(9_007_199_254_740_994)],
    ['1e21: the first with an exponent', raw.double(1e21)],
    ['the least above zero', raw.double(5e-324)],
    ['the largest', raw.double(1.797_693_134_862_315_7e308)],
    ['infinity', raw.double(Infinity)],
    ['-infinity', raw.double(-Infinity)],
    ['NaN', hex('000000000000f87f')],
    ['NaN with a sign', hex('000000000000f8ff')],
    ['NaN that says something', hex('010203000000f87f')],
  ]),
  ...values(0x13, 'decimal', [
    ['zero', raw.decimal128(0n, 0)],
    ['-0', raw.decimal128(0n, 0, true)],
    ['0.000: zeros are kept', raw.decimal128(0n, -3)],
    ['0E+3', raw.decimal128(0n, 3)],
    ['1.10: a zero at the end', raw.decimal128(110n, -2)],
    ['1E+3 is not 1000', raw.decimal128(1n, 3)],
    ['1000', raw.decimal128(1000n, 0)],
    ['34 digits', raw.decimal128(10n ** 34n - 1n, 0)],
    ['34 digits and a sign, after the point', raw.decimal128(10n ** 34n - 1n, -34, true)],
    ['the least above zero', raw.decimal128(1n, -6176)],
    ['the largest', raw.decimal128(10n ** 34n - 1n, 6111)],
    ['infinity', hex(`${'00'.repeat(15)}78`)],
    ['-infinity', hex(`${'00'.repeat(15)}f8`)],
    ['NaN', hex(`${'00'.repeat(15)}7c`)],
    ['NaN with a sign', hex(`${'00'.repeat(15)}fc`)],
    ['NaN that signals', hex(`${'00'.repeat(15)}7e`)],
    ['NaN that says something', hex(`01${'00'.repeat(14)}7c`)],
    ['a coefficient that is too large and means zero', hex(`${'ff'.repeat(8)}ffffffffffff0f6c`)],
  ]),
]

const TEXTS: readonly TortureBson[] = [
  ...values(0x02, 'string', [
    ['empty', raw.string('')],
    ['a blank', raw.string(' ')],
    ['NUL inside', raw.string('a\0b')],
    ['delimiters, quotes and line ends', raw.string('a,"b";\r\nc\rd\te\\')],
    ['what COPY writes for null', raw.string('\\N')],
    ['the word null', raw.string('null')],
    ['digits', raw.string('007')],
    ['looks like Extended JSON', raw.string('{"$oid":"00112233445566778899aabb"}')],
    ['a byte order mark first', raw.string('\ufeffx')],
    ['one to four bytes a character', raw.string('aä€😀')],
    ['the last code point', raw.string('\u{10ffff}')],
    ['a character of two code points', raw.string('e\u0301')],
    ['longer than a buffer begins', raw.string('long ä '.repeat(20_000))],
    ['bytes that are no UTF-8', raw.string(NO_UTF8), REPLACES],
    ['half of a surrogate pair', raw.string(hex('eda080')), REPLACES],
    ['more bytes than the character needs', raw.string(hex('c080')), REPLACES],
  ]),
  ...values(0x0e, 'symbol', [
    ['deprecated', raw.string('symbol ä'), CLOSES],
    ['bytes that are no UTF-8', raw.string(NO_UTF8), CLOSES],
  ]),
  ...values(0x0d, 'javascript', [
    ['empty', raw.string('')],
    ['quotes and line ends', raw.string('function () {\n  return "ä"\n}')],
  ]),
  ...values(0x0f, 'javascriptWithScope', [
    ['an empty scope', raw.codeWithScope('f()', EMPTY), CLOSES],
    ['a scope with values', raw.codeWithScope('', raw.document([int('a', 1), text('b', 'x')])), CLOSES],
  ]),
  ...values(0x0b, 'regex', [
    ['empty', Buffer.concat([raw.cstring(''), raw.cstring('')])],
    ['a slash, and all options', Buffer.concat([raw.cstring('a/b\\d"'), raw.cstring('ilmsux')])],
    ['options out of order', Buffer.concat([raw.cstring('^a'), raw.cstring('xi')])],
  ]),
]

const BINARIES: readonly TortureBson[] = [
  ...values(0x05, 'binData', [
    ['empty', raw.binary(0, Buffer.alloc(0))],
    ['NUL and 0xff', raw.binary(0, hex('00ff00'))],
    ['16 bytes, which are no UUID', raw.binary(0, HASH)],
  ]),
  ...values(0x05, 'binData(1)', [['a function', raw.binary(1, hex('0102')), CLOSES]]),
  ...values(0x05, 'binData(2)', [
    ['old, with a length inside', raw.binary(2, Buffer.concat([raw.int32(3), hex('010203')])), CLOSES],
  ]),
  ...values(0x05, 'binData(3)', [['a UUID of old', raw.binary(3, HASH)]]),
  ...values(0x05, 'uuid', [
    ['a UUID', raw.binary(4, HASH)],
    ['all zeros', raw.binary(4, Buffer.alloc(16))],
  ]),
  ...values(0x05, 'binData(5)', [['a MD5', raw.binary(5, HASH), CLOSES]]),
  ...values(0x05, 'binData(6)', [['encrypted', raw.binary(6, HASH), CLOSES]]),
  ...values(0x05, 'binData(7)', [['a compressed column', raw.binary(7, HASH), CLOSES]]),
  ...values(0x05, 'binData(8)', [['sensitive', raw.binary(8, HASH), CLOSES]]),
  ...values(0x05, 'binData(9)', [['a vector of float32', raw.binary(9, hex('27000000803f')), CLOSES]]),
  ...values(0x05, 'binData(128)', [['the first that users define', raw.binary(128, hex('00')), CLOSES]]),
  ...values(0x05, 'binData(255)', [['the last that users define', raw.binary(255, Buffer.alloc(0)), CLOSES]]),
]

const OTHERS: readonly TortureBson[] = [
  ...values(0x07, 'objectId', [
    ['all zeros', Buffer.alloc(12)],
    ['every bit is set', Buffer.alloc(12, 0xff)],
    ['any', hex('00112233445566778899aabb')],
  ]),
  ...values(0x08, 'bool', [
    ['false', Buffer.of(0)],
    ['true', Buffer.of(1)],
  ]),
  ...values(0x09, 'date', [
    ['1970', raw.int64(0n)],
    ['a millisecond before 1970', raw.int64(-1n)],
    ['the first of year 1', raw.int64(-62_135_596_800_000n)],
    ['before the Gregorian calendar, and year 0', raw.int64(-62_200_000_000_000n)],
    ['before 4714 BC, where PostgreSQL begins', raw.int64(-211_813_488_000_001n)],
    ['the last millisecond of 9999', raw.int64(253_402_300_799_999n)],
    ['year 10000', raw.int64(253_402_300_800_000n)],
    ['the last of PostgreSQL', raw.int64(9_224_318_015_999_999n)],
    ['the last in microseconds of 64 bits', raw.int64(9_223_372_036_854_775n)],
    ['beyond microseconds of 64 bits', raw.int64(9_223_372_036_854_776n)],
    ['the last that JavaScript has', raw.int64(8_640_000_000_000_000n)],
    ['beyond what JavaScript has', raw.int64(8_640_000_000_000_001n)],
    ['the least', raw.int64(-(2n ** 63n))],
    ['the largest', raw.int64(2n ** 63n - 1n)],
  ]),
  ...values(0x11, 'timestamp', [
    ['one second, one', raw.int64(0x1_0000_0001n)],
    ['every bit is set', raw.int64(-1n)],
  ]),
  ...values(0x0a, 'null', [['which is not missing', Buffer.alloc(0)]]),
  ...values(0x06, 'undefined', [['deprecated', Buffer.alloc(0), 'makes it a null']]),
  ...values(0xff, 'minKey', [['less than all else', Buffer.alloc(0)]]),
  ...values(0x7f, 'maxKey', [['greater than all else', Buffer.alloc(0)]]),
  ...values(0x0c, 'dbPointer', [['deprecated', Buffer.concat([raw.string('shop.ä'), Buffer.alloc(12, 7)]), CLOSES]]),
]

const NESTED: readonly TortureBson[] = [
  ...values(0x03, 'object', [
    ['empty', EMPTY],
    ['an empty name', raw.document([int('', 1)])],
    ['names with dots and dollars', raw.document([int('a.b', 1), int('.', 2), int('$set', 3), int('$', 4)])],
    ['names that a program may stumble over', raw.document([int('__proto__', 1), int('constructor', 2)])],
    ['names that are numbers, out of order', raw.document([int('2', 1), int('1', 2)])],
    ['what looks like Extended JSON', raw.document([text('$oid', '00112233445566778899aabb')])],
    ['what looks like a number of Extended JSON', raw.document([text('$numberInt', '5')])],
    ['a DBRef', raw.document([text('$ref', 'c'), int('$id', 1), text('$db', 'd'), int('more', 2)])],
    ['a timestamp of zeros', raw.document([raw.element('t', 0x11, raw.int64(0n))])],
    ['a name twice', raw.document([int('a', 1), text('a', 'x'), int('a', 1)]), ONCE],
    ['a name that is no UTF-8', raw.document([raw.element(NO_UTF8, 0x10, raw.int32(1))]), REPLACES],
    ['95 documents, one in the other', deep(95)],
  ]),
  ...values(0x04, 'array', [
    ['empty', raw.array([])],
    ['null in it', raw.array([{ type: 0x0a, bytes: Buffer.alloc(0) }])],
    [
      'numbers of four types',
      raw.array([
        { type: 0x10, bytes: raw.int32(1) },
        { type: 0x12, bytes: raw.int64(1n) },
        { type: 0x01, bytes: raw.double(1) },
        { type: 0x13, bytes: raw.decimal128(1n, 0) },
      ]),
    ],
    ['an array in it', raw.array([{ type: 0x04, bytes: raw.array([{ type: 0x03, bytes: EMPTY }]) }])],
    ['names that are no indexes', raw.document([int('1', 1), int('a', 2)]), 'numbers its values anew'],
  ]),
]

/** Every type of BSON, the deprecated ones too, with its extreme values. */
export const tortureBson: readonly TortureBson[] = [...NUMBERS, ...TEXTS, ...BINARIES, ...OTHERS, ...NESTED]

/** What is hard about the fields of a document, whatever their values are. */
export const tortureDocuments: readonly TortureDocument[] = [
  { why: 'nothing but an _id', elements: [] },
  { why: 'a field that is null', elements: [raw.element('a', 0x0a, Buffer.alloc(0))] },
  { why: 'an empty name', elements: [int('', 1), int('a', 2)] },
  { why: 'names with dots', elements: [int('a.b', 1), int('.', 2), int('c.', 3), int('.d', 4)] },
  { why: 'names with dollars', elements: [int('$a', 1), int('a$', 2), text('$ref', 'c'), text('$id', 'd')] },
  { why: 'names that a program may stumble over', elements: [text('__proto__', 'x'), int('toString', 2)] },
  { why: 'names that differ by case and by a blank', elements: [int('A', 1), int('a', 2), int('a ', 3)] },
  { why: 'names of several bytes a character', elements: [int('ä€😀', 1)] },
  { why: 'fields in another order', elements: [text('z', 'z'), int('b', 1), int('a', 2)] },
  { why: 'a name twice', elements: [int('a', 1), int('b', 2), text('a', 'x'), int('a', 1)], standIn: ONCE },
  { why: 'a name that is no UTF-8', elements: [raw.element(NO_UTF8, 0x10, raw.int32(1))], standIn: REPLACES },
  {
    why: 'as many fields as a table has columns',
    elements: Array.from({ length: 1500 }, (_, i) => int(`field ${i}`, i)),
  },
]

/** Types of which any value can be an `_id`. */
const ID_TYPES: ReadonlySet<number> = new Set([0x05, 0x07, 0x08, 0x09, 0x0a, 0x0d, 0x0e, 0x11, 0x7f, 0xff])
const UNSORTED: ReadonlySet<number> = new Set([0x0d])
/** Of the others those that compare with no other as equal, that an index takes, and whose names an `_id` may have. */
const IDS =
  /^(int: [^z]|long: [^zm]|double: (-0|0.1|2|-?inf|NaN$)|decimal: (1.10|1E|34 digits$)|string: [^l]|object: (empty|an empty|names that are))/

/** What an `_id` can be, all in one collection. */
export const tortureIds: readonly TortureBson[] = tortureBson
  .filter(({ type, why }) => ID_TYPES.has(type) || IDS.test(why))
  .map((id) => (UNSORTED.has(id.type) ? { ...id, standIn: id.standIn ?? 'cannot sort it' } : id))
