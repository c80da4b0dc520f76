import { describe, expect, test } from 'vitest'
import type { BytesColumn, Column, LogicalType } from '../src/index.ts'
import { columnBuilder, columnBytes, gatherColumn, isNull, layoutOf, utf8, valueAt } from '../src/index.ts'
import { columnOf, pool, valuesOf } from './columns.ts'

const texts = (...values: (string | null)[]): BytesColumn => columnOf(utf8, values) as BytesColumn
const numbers = (...values: (number | null)[]): Column => columnOf({ kind: 'int32' }, values)

const red: Column = {
  layout: 'dictionary',
  type: utf8,
  length: 3,
  validity: Uint8Array.of(0b101),
  indices: Int32Array.of(1, 0, 0),
  dictionary: texts('red', 'green'),
}
const list: Column = {
  layout: 'list',
  type: { kind: 'list', element: { kind: 'int32' } },
  length: 3,
  validity: Uint8Array.of(0b101),
  offsets: Int32Array.of(0, 2, 2, 3),
  child: numbers(1, null, 3),
}
const struct: Column = {
  layout: 'struct',
  type: {
    kind: 'struct',
    fields: [
      { name: 'a', type: { kind: 'int32' } },
      { name: 'b', type: utf8 },
    ],
  },
  length: 2,
  validity: null,
  children: [numbers(1, null), texts('x', 'y')],
}

describe('valueAt', () => {
  test.for([
    ['bool', [true, false, null]],
    ['int8', [-1, 127]],
    ['uint32', [4294967295]],
    ['float64', [-0, NaN, 1.5, null]],
    ['date', [-1, 0, 0x7fffffff]],
    ['int64', [-1n, 2n ** 63n - 1n, -(2n ** 63n), null]],
    ['uint64', [2n ** 64n - 1n]],
    ['time', [86_400_000_000n]],
    ['utf8', ['', 'añ😀', '\ufeffx', null]],
    ['json', ['{"a":1}']],
    ['numeric', ['1.50', 'NaN']],
    ['binary', [Uint8Array.of(0, 255), new Uint8Array(0)]],
    ['uuid', ['00010203-0405-0607-0809-0a0b0c0d0e0f']],
    ['interval', [{ months: -1, days: 2, micros: -(2n ** 63n) }]],
  ] as const)('%s', ([kind, values]) => {
    expect(valuesOf(columnOf({ kind } as LogicalType, values))).toEqual(values)
  })

  test('decimal is scaled and signed', () => {
    const type: LogicalType = { kind: 'decimal', precision: 38, scale: 2 }
    const values = [-1n, 10n ** 38n - 1n, 1n - 10n ** 38n, 0n]
    expect(valuesOf(columnOf(type, values))).toEqual(values)
  })

  test('dictionary, list, struct', () => {
    expect(valuesOf(red)).toEqual(['green', null, 'red'])
    expect(valuesOf(list)).toEqual([[1, null], null, [3]])
    expect(valuesOf(struct)).toEqual([
      { a: 1, b: 'x' },
      { a: null, b: 'y' },
    ])
  })

  test('bytes are a copy', () => {
    const column = columnOf({ kind: 'binary' }, [Uint8Array.of(1)]) as BytesColumn
    const value = valueAt(column, 0) as Uint8Array
    column.data[0] = 9
    expect(value).toEqual(Uint8Array.of(1))
  })
})

test('isNull reads the bitmap, least significant bit first', () => {
  const column: Column = { ...texts('a', 'b', 'c'), length: 9, validity: Uint8Array.of(0b1111_1101, 0) }
  expect([0, 1, 2, 8].map((row) => isNull(column, row))).toEqual([false, true, false, true])
  expect(isNull({ ...column, validity: null }, 1)).toBe(false)
})

test.for([
  ['bool', 'bool'],
  ['float32', 'fixed'],
  ['date', 'fixed'],
  ['uint64', 'fixed64'],
  ['time', 'fixed64'],
  ['uuid', 'fixed128'],
  ['interval', 'fixed128'],
  ['numeric', 'bytes'],
] as const)('%s lies in %s', ([kind, layout]) => expect(layoutOf({ kind })).toBe(layout))

test('columnBytes counts what the rows occupy', () => {
  expect(columnBytes(numbers(1, 2, 3))).toBe(12)
  expect(columnBytes(numbers(1, null, 3))).toBe(13)
  expect(columnBytes(columnOf({ kind: 'bool' }, Array<boolean>(9).fill(true)))).toBe(2)
  expect(columnBytes(columnOf({ kind: 'int64' }, [1n]))).toBe(8)
  expect(columnBytes(columnOf({ kind: 'uuid' }, ['00010203-0405-0607-0809-0a0b0c0d0e0f']))).toBe(16)
  expect(columnBytes(texts('ab', 'c'))).toBe(12 + 3)
  expect(columnBytes({ ...texts('ab', 'c'), offsets: Int32Array.of(1, 2, 3) })).toBe(12 + 2)
  expect(columnBytes(red)).toBe(1 + 12 + columnBytes(texts('red', 'green')))
  expect(columnBytes(list)).toBe(1 + 16 + 13)
  expect(columnBytes(struct)).toBe(9 + 14)
})

describe('gatherColumn', () => {
  const rows = Int32Array.of(2, 0, 0, 1)

  test.for([
    ['bool', [true, null, false]],
    ['int16', [1, null, 3]],
    ['int64', [1n, null, -3n]],
    ['uuid', ['00010203-0405-0607-0809-0a0b0c0d0e0f', null, 'ffffffff-ffff-ffff-ffff-ffffffffffff']],
    ['utf8', ['one', null, 'three']],
  ] as const)('%s', ([kind, values]) => {
    const type = { kind } as LogicalType
    const gathered = gatherColumn(columnOf(type, values), rows, columnBuilder(type, pool))
    expect(valuesOf(gathered)).toEqual([values[2], values[0], values[0], values[1]])
  })

  test('a dictionary becomes plain', () => {
    const gathered = gatherColumn(red, rows, columnBuilder(utf8, pool))
    expect(gathered.layout).toBe('bytes')
    expect(valuesOf(gathered)).toEqual(['red', 'green', 'green', null])
  })

  test.for(['bool', 'int32', 'int64', 'utf8'] as const)('another layout than %s is an error', (kind) => {
    const other = columnOf({ kind: 'uuid' }, ['00010203-0405-0607-0809-0a0b0c0d0e0f'])
    const gather = () => gatherColumn(other, Int32Array.of(0), columnBuilder({ kind }, pool))
    expect(gather).toThrow(expect.objectContaining({ code: 'internal' }))
  })
})
