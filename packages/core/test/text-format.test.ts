import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Column, LogicalType, Value } from '../src/index.ts'
import { BytesBuilder, civilFromDays, DAY_MICROS, formatColumn, parseType, utf8 } from '../src/index.ts'
import { columnOf, format, pool } from './columns.ts'
import { DECIMAL_NAN, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY } from '@nebula/testkit/arbitraries'

const typeOf = (name: string): LogicalType => parseType(name) as LogicalType
const formatOne = (type: LogicalType, value: Value): string | null =>
  format(columnOf(type, [value]))[0] as string | null

/** What PostgreSQL prints; that it does is shown against servers in text.it.test.ts. */
const TEXTS: readonly (readonly [string, Value, string])[] = [
  ['bool', true, 'true'],
  ['bool', false, 'false'],
  ['int8', -128, '-128'],
  ['uint32', 4294967295, '4294967295'],
  ['int32', -2147483648, '-2147483648'],
  ['int64', -(2n ** 63n), '-9223372036854775808'],
  ['int64', 10n ** 16n, '10000000000000000'],
  ['uint64', 2n ** 64n - 1n, '18446744073709551615'],
  ['float64', 0, '0'],
  ['float64', -0, '-0'],
  ['float64', 1.5, '1.5'],
  ['float64', -100, '-100'],
  ['float64', 0.0001, '0.0001'],
  ['float64', 0.00001, '1e-05'],
  ['float64', 123456789012345, '123456789012345'],
  ['float64', 1e15, '1e+15'],
  ['float64', 1.5e300, '1.5e+300'],
  ['float64', -1e-300, '-1e-300'],
  ['float64', 5e-324, '5e-324'],
  ['float64', 1e23, '9.999999999999999e+22'],
  ['float64', 0.1 + 0.2, '0.30000000000000004'],
  ['float64', NaN, 'NaN'],
  ['float64', -Infinity, '-Infinity'],
  ['float32', Math.fround(0.1), '0.1'],
  ['float32', 100000, '100000'],
  ['float32', 1e6, '1e+06'],
  ['float32', Math.fround(1e-4), '0.0001'],
  ['float32', Math.fround(1e-5), '1e-05'],
  ['float32', -3715276.25, '-3.7152762e+06'],
  ['float32', 2 ** -12, '0.00024414062'],
  ['float32', 2 ** -149, '1e-45'],
  ['float32', -0, '-0'],
  ['float32', Infinity, 'Infinity'],
  ['decimal(10,2)', 5n, '0.05'],
  ['decimal(10,2)', -12345n, '-123.45'],
  ['decimal(10,2)', DECIMAL_NAN, 'NaN'],
  ['decimal(38,38)', -1n, `-0.${'0'.repeat(37)}1`],
  ['decimal(38,0)', 10n ** 38n - 1n, '9'.repeat(38)],
  ['decimal(18,9)', 2n ** 53n + 1n, '9007199.254740993'],
  ['numeric', '001.500', '001.500'],
  ['date', 0, '1970-01-01'],
  ['date', -719163, '0001-12-31 BC'],
  ['date', -2440588, '4714-11-24 BC'],
  ['date', 2145042905, '5874897-12-31'],
  ['date', 0x7fffffff, 'infinity'],
  ['date', -0x80000000, '-infinity'],
  ['time', 0n, '00:00:00'],
  ['time', 86_400_000_000n, '24:00:00'],
  ['time', 45_296_100_000n, '12:34:56.1'],
  ['timestamp', -1n, '1969-12-31 23:59:59.999999'],
  ['timestamp', 1577882096780000n, '2020-01-01 12:34:56.78'],
  ['timestamp', TIMESTAMP_INFINITY, 'infinity'],
  ['timestamp', BigInt.asIntN(64, 9224318015999999999n), '294276-12-31 23:59:59.999999'],
  ['timestamptz', 0n, '1970-01-01 00:00:00+00'],
  ['timestamptz', -62135596800000001n, '0001-12-31 23:59:59.999999+00 BC'],
  ['timestamptz', TIMESTAMP_MINUS_INFINITY, '-infinity'],
  ['interval', { months: 0, days: 0, micros: 0n }, 'PT0S'],
  ['interval', { months: 14, days: 3, micros: 14_706_789_000n }, 'P1Y2M3DT4H5M6.789S'],
  ['interval', { months: -14, days: 3, micros: -14_706_789_000n }, 'P-1Y-2M3DT-4H-5M-6.789S'],
  ['interval', { months: 0, days: 0, micros: -1n }, 'PT-0.000001S'],
  ['interval', { months: 12, days: 0, micros: 60_000_000n }, 'P1YT1M'],
  ['interval', { months: 0, days: 0, micros: -(2n ** 63n) }, 'PT-2562047788H-54.775808S'],
  ['interval', { months: 0x7fffffff, days: 0x7fffffff, micros: 2n ** 63n - 1n }, 'infinity'],
  ['interval', { months: -0x80000000, days: -0x80000000, micros: -(2n ** 63n) }, '-infinity'],
  ['interval', { months: -0x80000000, days: -0x80000000, micros: 0n }, 'P-178956970Y-8M-2147483648D'],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['binary', Uint8Array.of(0, 255, 171), '\\x00ffab'],
  ['binary', new Uint8Array(0), '\\x'],
  ['utf8', 'añ😀', 'añ😀'],
  ['json', '{"a": 1}', '{"a": 1}'],
]

test.for(TEXTS)('%s %s is %s', ([type, value, text]) => {
  expect(formatOne(typeOf(type), value)).toBe(text)
})

describe('agrees with a naive twin on', () => {
  const dated = (micros: bigint): string => {
    const text = new Date(Number((micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n)).toISOString()
    const fraction = String(((micros % 1_000_000n) + 1_000_000n) % 1_000_000n)
      .padStart(6, '0')
      .replace(/0+$/, '')
    return `${text.slice(0, 19).replace('T', ' ')}${fraction && '.'}${fraction}`
  }
  /** The years 1 to 9999, where a Date and PostgreSQL write the year alike. */
  const micros = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n })

  test('timestamp', () => {
    fc.assert(
      fc.property(fc.array(micros), (rows) => {
        expect(format(columnOf(typeOf('timestamp'), rows))).toEqual(rows.map(dated))
        expect(format(columnOf(typeOf('timestamptz'), rows))).toEqual(rows.map((row) => `${dated(row)}+00`))
      }),
      { numRuns: 500 },
    )
  })

  test('date', () => {
    fc.assert(
      fc.property(fc.array(micros), (rows) => {
        const days = rows.map((row) => Number(row / BigInt(DAY_MICROS)))
        const texts = days.map((day) => dated(BigInt(day) * BigInt(DAY_MICROS)).slice(0, 10))
        expect(format(columnOf(typeOf('date'), days))).toEqual(texts)
      }),
    )
  })

  test('decimal', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }),
        fc.nat(38),
        fc.nat(126),
        (wide, scale, shift) => {
          const value = wide >> BigInt(shift)
          const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
          const split = digits.length - scale
          const text = `${value < 0n ? '-' : ''}${digits.slice(0, split)}${scale > 0 ? '.' : ''}${digits.slice(split)}`
          expect(formatOne({ kind: 'decimal', precision: 38, scale }, value)).toBe(text)
        },
      ),
      { numRuns: 3000 },
    )
  })

  test('float64 in fixed notation', () => {
    const decimals = fc.tuple(fc.integer(), fc.nat(14)).map(([digits, places]) => digits / 10 ** places)
    const doubles = fc.oneof(decimals, fc.double({ min: -1e15, max: 1e15, noNaN: true }))
    fc.assert(
      fc.property(fc.array(doubles), (all) => {
        const rows = all.filter((value) => Math.abs(value) >= 1e-4 && Math.abs(value) < 1e15)
        expect(format(columnOf({ kind: 'float64' }, rows))).toEqual(rows.map(String))
      }),
      { numRuns: 1000 },
    )
  })

  test('float32: no shorter decimal reads as the same float', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const text = formatOne({ kind: 'float32' }, value) as string
        const digits = text
          .replace(/e.*$/, '')
          .replace(/\D/g, '')
          .replace(/^0+|0+$/g, '')
        expect(Math.fround(Number(text))).toBe(value)
        const shorter = digits.length > 1 ? Number(value.toExponential(digits.length - 2)) : NaN
        // A decimal in the very middle of two floats reads as one of them and is not taken: a little further it is another.
        expect(Math.fround(shorter + (shorter - value) * 1e-6)).not.toBe(value)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('layouts', () => {
  test('a dictionary is resolved', () => {
    const dictionary = columnOf(utf8, ['red', 'green', null])
    if (dictionary.layout !== 'bytes') throw new Error('not bytes')
    const indices = Int32Array.of(1, 0, 0, 2, 1)
    const column: Column = {
      layout: 'dictionary',
      type: utf8,
      length: 5,
      validity: Uint8Array.of(0b11011),
      indices,
      dictionary,
    }
    expect(format(column)).toEqual(['green', 'red', null, null, 'green'])
    expect(format(column, 1, 3)).toEqual(['red', null])
  })

  test('bytes under a null are left out', () => {
    const column: Column = {
      layout: 'bytes',
      type: utf8,
      length: 3,
      validity: Uint8Array.of(0b101),
      offsets: Int32Array.of(0, 1, 3, 4),
      data: new TextEncoder().encode('axxb'),
    }
    expect(format(column)).toEqual(['a', null, 'b'])
    expect(format(column, 1, 3)).toEqual([null, 'b'])
  })

  test.for(['native', 'list', 'struct'])('%s has no text', (kind) => {
    const bytes = { length: 0, validity: null, offsets: Int32Array.of(0), data: new Uint8Array(0) }
    const child: Column = { layout: 'bytes', type: utf8, ...bytes }
    const columns: { [kind: string]: Column } = {
      native: { ...child, type: { kind: 'native', vendor: 'v', type: 't' } },
      list: { ...bytes, layout: 'list', type: { kind: 'list', element: utf8 }, child },
      struct: { ...bytes, layout: 'struct', type: { kind: 'struct', fields: [] }, children: [] },
    }
    const out = new BytesBuilder(utf8, pool)
    expect(() => formatColumn(columns[kind] as Column, out)).toThrow(expect.objectContaining({ code: 'unsupported' }))
  })

  test('civilFromDays packs year, month and day', () => {
    const packed = civilFromDays(18_321)
    expect([Math.floor(packed / 512), (packed >> 5) & 15, packed & 31]).toEqual([2020, 2, 29])
  })
})
