import { describe, expect, test } from 'vitest'
import type { LogicalType } from '../src/index.ts'
import { BufferPool, BytesBuilder, columnBuilder, parseColumn, parseType, utf8 } from '../src/index.ts'
import { parse, parseOne } from './columns.ts'
import { DECIMAL_NAN } from '@nebula/testkit/arbitraries'
import { ACCEPTED, REFUSED } from './texts.ts'

const typeOf = (name: string): LogicalType => parseType(name) as LogicalType
const decimal = (precision: number, scale: number): LogicalType => ({ kind: 'decimal', precision, scale })

describe('accepts', () => {
  test.for(Object.entries(ACCEPTED))('%s', ([name, texts]) => {
    for (const [text, value] of Object.entries(texts))
      expect([text, parseOne(typeOf(name), text)]).toEqual([text, value])
  })
})

describe('refuses', () => {
  test.for(Object.entries(REFUSED))('%s', ([name, texts]) => {
    for (const text of texts) expect([text, parseOne(typeOf(name), text)]).toEqual([text, 'fault'])
  })
})

describe('decimal', () => {
  test.for([
    ['1.23', 15, 2, 123n],
    ['-1.2', 15, 2, -120n],
    ['12', 15, 2, 1200n],
    ['.5', 15, 2, 50n],
    ['5.', 15, 2, 500n],
    ['+0.07', 15, 2, 7n],
    ['-0.00', 15, 2, 0n],
    ['1.2300000', 15, 2, 123n],
    ['0000000000000000000000000000001.5', 15, 2, 150n],
    ['9999999999999.99', 15, 2, 999999999999999n],
    ['1.5e3', 15, 2, 150000n],
    ['15E-1', 15, 2, 150n],
    ['0e99999999', 15, 2, 0n],
    ['1e-2', 15, 2, 1n],
    ['100e-4', 15, 2, 1n],
    ['NaN', 15, 2, DECIMAL_NAN],
    ['nan', 38, 0, DECIMAL_NAN],
    ['123456789012345.678', 18, 3, 123456789012345678n],
    ['0.123456789012345678', 18, 18, 123456789012345678n],
    ['99999999999999999999999999999999999999', 38, 0, 10n ** 38n - 1n],
    ['-0.99999999999999999999999999999999999999', 38, 38, 1n - 10n ** 38n],
    ['1e37', 38, 0, 10n ** 37n],
    ['4294967296.0000000001', 38, 10, 42949672960000000001n],
  ] as const)('%s as decimal(%i,%i)', ([text, precision, scale, value]) => {
    expect(parseOne(decimal(precision, scale), text)).toBe(value)
  })

  test.for([
    ['', 15, 2],
    ['.', 15, 2],
    ['-', 15, 2],
    ['1.234', 15, 2],
    ['10000000000000', 15, 2],
    ['1e13', 15, 2],
    ['1e-3', 15, 2],
    ['1e', 15, 2],
    ['1e5x', 15, 2],
    ['1.2.3', 15, 2],
    ['1..2', 15, 2],
    ['12a4.00', 15, 2],
    ['1,5', 15, 2],
    ['Infinity', 15, 2],
    [' 1', 15, 2],
    ['--1', 15, 2],
    ['100', 2, 0],
    ['1', 2, 2],
    ['100000000000000000000000000000000000000', 38, 0],
    ['1e38', 38, 0],
    ['1e99999999999999999999', 38, 0],
    ['0.123456789012345678901234567890123456789', 38, 38],
  ] as const)('%s is no decimal(%i,%i)', ([text, precision, scale]) => {
    expect(parseOne(decimal(precision, scale), text)).toBe('fault')
  })
})

test.for([
  ['a lone continuation', 0x80],
  ['an overlong form of two bytes', 0xc1, 0xbf],
  ['an overlong form of three', 0xe0, 0x9f, 0xbf],
  ['an overlong form of four', 0xf0, 0x8f, 0xbf, 0xbf],
  ['a surrogate', 0xed, 0xa0, 0x80],
  ['more than U+10FFFF', 0xf4, 0x90, 0x80, 0x80],
  ['a lead that none begins with', 0xf5, 0x80, 0x80, 0x80],
  ['a cut sequence', 0xf0, 0x9f, 0x98],
  ['a sequence that ends too early', 0xe2, 0x82, 0x41],
] as const)('%s is no utf8', ([, ...bytes]) => {
  expect(parseOne(utf8, Uint8Array.from(bytes))).toBe('fault')
})

describe('slices', () => {
  test('a stride and a base pick one field of a frame; nulls and faults are reported in order', () => {
    const data = new TextEncoder().encode('1,a,22,x,333,c,4444,d')
    const starts = Int32Array.of(0, 2, 4, 7, 9, 13, -1, 20)
    const ends = Int32Array.of(1, 3, 6, 8, 12, 14, -1, 21)
    const builder = columnBuilder({ kind: 'int64' }, new BufferPool(1e6))
    const faults: number[] = []
    parseColumn({ data, starts, ends, base: 0, stride: 2, rows: 4 }, builder, (row) => faults.push(row))
    expect(builder.finish().length).toBe(4)
    expect([...builder.validity.subarray(0, 1)]).toEqual([0b1111_0111])
    parseColumn({ data, starts, ends, base: 1, stride: 2, rows: 4 }, builder, (row) => faults.push(row))
    expect(faults).toEqual([0, 1, 2, 3])
    expect(builder.nulls).toBe(4)
  })

  test('values may end with the data, begin with it, and lie in a part of a buffer', () => {
    const whole = new TextEncoder().encode('xx7,2020-01-02,8')
    const data = whole.subarray(2)
    for (const [type, start, end, words] of [
      [{ kind: 'int32' }, 0, 1, '7'],
      [{ kind: 'int32' }, 13, 14, '8'],
      [{ kind: 'utf8' }, 0, 14, '7,2020-01-02,8'],
      [{ kind: 'date' }, 2, 12, '18263'],
    ] as const) {
      const builder = columnBuilder(type, new BufferPool(1e6))
      const slices = { data, starts: Int32Array.of(start), ends: Int32Array.of(end), base: 0, stride: 1, rows: 1 }
      parseColumn(slices, builder, () => expect.unreachable())
      const { values } = parse(utf8, [words])
      const column = builder.finish()
      expect(
        column.layout === 'bytes'
          ? new TextDecoder().decode(column.data.subarray(0, 14))
          : String(column.layout === 'fixed' && column.values[0]),
      ).toBe(values[0])
    }
  })

  test('a long text and a faulty one between good ones leave no gap', () => {
    const long = 'é'.repeat(5000)
    const { values, column } = parse(utf8, ['a', Uint8Array.of(0x61, 0xff, 0x62), long, null, 'b'])
    expect(values).toEqual(['a', 'fault', long, null, 'b'])
    expect(column.layout === 'bytes' && [...column.offsets.subarray(0, 6)]).toEqual([0, 1, 1, 10_001, 10_001, 10_002])
  })

  test('a builder is used again for more and for fewer rows', () => {
    const builder = new BytesBuilder(utf8, new BufferPool(1e9))
    for (const rows of [10, 10_000, 3]) {
      const data = new TextEncoder().encode('ab'.repeat(rows))
      const starts = Int32Array.from({ length: rows }, (_, i) => i * 2)
      parseColumn({ data, starts, ends: starts.map((at) => at + 2), base: 0, stride: 1, rows }, builder, () =>
        expect.unreachable(),
      )
      expect(builder.size).toBe(rows * 2)
    }
  })

  test('a type without a text form is refused', () => {
    const builder = new BytesBuilder({ kind: 'native', vendor: 'postgres', type: 'tsvector' }, new BufferPool(1e6))
    const slices = {
      data: new Uint8Array(0),
      starts: new Int32Array(0),
      ends: new Int32Array(0),
      base: 0,
      stride: 1,
      rows: 0,
    }
    expect(() => parseColumn(slices, builder, () => {})).toThrow(expect.objectContaining({ code: 'unsupported' }))
  })
})
