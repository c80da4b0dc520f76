import { array, assert, bigInt, constantFrom, integer, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Column, LogicalType } from '../src/index.ts'
import {
  bindCondition,
  BufferPool,
  columnBuilder,
  cursorType,
  earlier,
  HighestValue,
  parseColumn,
  rowsSince,
} from '../src/index.ts'

const pool = new BufferPool(Infinity)

/** A column of these texts; null is none. */
function columnOf(type: LogicalType, texts: readonly (string | null)[]): Column {
  const parts = texts.map((text) => Buffer.from(text ?? ''))
  const ends = new Int32Array(parts.length)
  const starts = new Int32Array(parts.length)
  let at = 0
  for (const [i, part] of parts.entries()) {
    starts[i] = texts[i] === null ? -1 : at
    ends[i] = at += part.length
  }
  const builder = columnBuilder(type, pool)
  const slices = { data: new Uint8Array(Buffer.concat(parts)), starts, ends, base: 0, stride: 1, rows: parts.length }
  parseColumn(slices, builder, (row) => {
    throw new Error(`${texts[row]} is no ${type.kind}`)
  })
  return builder.finish()
}

function highestOf(type: LogicalType, ...batches: (string | null)[][]): string | undefined {
  const highest = new HighestValue(type)
  for (const texts of batches) highest.observe(columnOf(type, texts))
  return highest.text
}

const int32: LogicalType = { kind: 'int32' }
const int64: LogicalType = { kind: 'int64' }
const uint64: LogicalType = { kind: 'uint64' }
const utf8: LogicalType = { kind: 'utf8' }
const decimal: LogicalType = { kind: 'decimal', precision: 12, scale: 2 }
const date: LogicalType = { kind: 'date' }
const timestamp: LogicalType = { kind: 'timestamp', zone: true }

describe('the highest value', () => {
  test.each<[string, LogicalType, (string | null)[][], string | undefined]>([
    ['of no rows', int32, [[]], undefined],
    ['of nulls', int32, [[null, null]], undefined],
    ['among nulls', int32, [[null, '-5', null, '-7']], '-5'],
    ['of several batches', int32, [['3'], ['1', '2'], [null]], '3'],
    ['beyond a double', int64, [['9007199254740993', '9007199254740992']], '9007199254740993'],
    ['that is negative', int64, [['-4294967297', '-4294967296', '-9223372036854775808']], '-4294967296'],
    ['of an int64 is its end', int64, [['9223372036854775807', '5']], '9223372036854775807'],
    ['without a sign', uint64, [['18446744073709551615', '1']], '18446744073709551615'],
    ['of decimals, without NaN', decimal, [['1.50', 'NaN', '-2.00']], '1.50'],
    ['of NaN alone', decimal, [['NaN']], undefined],
    ['of dates, without infinities', date, [['2024-05-01', 'infinity', '-infinity', '1999-01-01']], '2024-05-01'],
    [
      'of timestamps, without infinities',
      timestamp,
      [['2024-05-01 10:00:00.000001+00', 'infinity', '-infinity', '2024-05-01 10:00:00+00']],
      '2024-05-01 10:00:00.000001+00',
    ],
    ['of an infinite timestamp alone', timestamp, [['infinity', '-infinity']], undefined],
    ['of texts by code point', utf8, [['\uffff', '😀', 'z', '']], '😀'],
    ['of texts of which one begins another', utf8, [['ab', 'abc', 'a']], 'abc'],
    ['of the empty text', utf8, [['', null]], ''],
  ])('%s', (_, type, batches, expected) => {
    expect(highestOf(type, ...batches)).toBe(expected)
  })

  test('goes on from a text, and ignores a lower one', () => {
    const highest = new HighestValue(int64)
    highest.observeText('9007199254740993')
    highest.observeText(undefined)
    highest.observeText('5')
    highest.observe(columnOf(int64, ['9007199254740992']))
    expect(highest.text).toBe('9007199254740993')
  })

  test('is that of BigInt and of bytes, for any values', () => {
    const signed = array(bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), { minLength: 1 })
    assert(
      property(signed, (values) => {
        const most = values.reduce((a, b) => (a > b ? a : b))
        expect(highestOf(int64, values.map(String))).toBe(String(most))
      }),
    )
    assert(
      property(array(string({ unit: 'binary' }), { minLength: 1 }), (values) => {
        const most = values.reduce((a, b) => (Buffer.compare(Buffer.from(a), Buffer.from(b)) > 0 ? a : b))
        expect(highestOf(utf8, values)).toBe(most)
      }),
    )
    assert(
      property(array(integer(), { minLength: 1 }), constantFrom(1, 3), (values, cut) => {
        const texts = values.map(String)
        expect(highestOf(int32, texts.slice(0, cut), texts.slice(cut))).toBe(String(Math.max(...values)))
      }),
    )
  })
})

test('cursors have one order, which no float, json or free numeric has', () => {
  const kinds = ['int8', 'uint64', 'date', 'utf8', 'numeric', 'float64', 'json', 'bool', 'uuid', 'interval'] as const
  const typeOf = (type: LogicalType, more: object = {}) => cursorType({ name: 'at', nullable: true, type, ...more })
  expect(kinds.filter((kind) => typeOf({ kind }))).toEqual(['int8', 'uint64', 'date', 'utf8'])
  expect([decimal, timestamp].map((type) => typeOf(type))).toEqual([decimal, timestamp])
  const native: LogicalType = { kind: 'native', vendor: 'mongo', type: 'objectId' }
  expect([typeOf(native), typeOf(native, { ordered: true })]).toEqual([undefined, utf8])
})

test.each<[LogicalType, string, string]>([
  [int64, '9007199254740993', '9007199254740993'],
  [decimal, '1.50', '1.5'],
  [timestamp, '2024-05-01 10:00:00.000001+00', '2024-05-01 10:00:00.000001+00'],
  [date, '2024-05-01', '2024-05-01'],
  [utf8, "it's", "it's"],
])('rows since a value of %j are those that have it or more, or none', (type, text, value) => {
  const { bound, problems } = bindCondition(rowsSince('at', type, text), {
    fields: [{ name: 'at', type, nullable: true }],
  })
  expect(problems).toEqual([])
  expect(bound).toEqual({
    kind: 'or',
    terms: [
      { kind: 'compare', column: 'at', type, operator: '>=', value },
      { kind: 'null', column: 'at' },
    ],
  })
})

test.each<[LogicalType, string, number, string | undefined]>([
  [timestamp, '2024-05-01 10:00:00.000001+00', 3_600_000, '2024-05-01 09:00:00.000001+00'],
  [{ kind: 'timestamp', zone: false }, '1970-01-01 00:00:00', 1, '1969-12-31 23:59:59.999'],
  [timestamp, '4714-11-24 00:00:01+00 BC', 5000, '4714-11-24 00:00:00+00 BC'],
  [date, '2024-03-01', 86_400_000, '2024-02-29'],
  [date, '2024-03-01', 3_600_000, '2024-02-29'],
  [date, '4714-11-24 BC', 1, '4714-11-24 BC'],
  [int64, '5', 1, undefined],
])('a %j of %s is %i milliseconds earlier %s', (type, text, ms, expected) => {
  expect(earlier(type, text, ms)).toBe(expected)
})
