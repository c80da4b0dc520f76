import { describe, expect, test } from 'vitest'
import type { LogicalType } from '../src/index.ts'
import {
  BoolBuilder,
  BufferPool,
  BytesBuilder,
  columnBuilder,
  FixedBuilder,
  isNull,
  utf8,
  valueAt,
  WordsBuilder,
} from '../src/index.ts'
import { valuesOf } from './columns.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('columnBuilder', () => {
  test.for([
    ['bool', BoolBuilder],
    ['int16', FixedBuilder],
    ['date', FixedBuilder],
    ['timestamp', WordsBuilder],
    ['uuid', WordsBuilder],
    ['json', BytesBuilder],
  ] as const)('%s', ([kind, builder]) => {
    const type = (kind === 'timestamp' ? { kind, zone: true } : { kind }) as LogicalType
    expect(columnBuilder(type, new BufferPool(1e6))).toBeInstanceOf(builder)
  })

  test('lists and structs have none', () => {
    const pool = new BufferPool(1e6)
    for (const type of [
      { kind: 'list', element: utf8 },
      { kind: 'struct', fields: [] },
    ] as const)
      expect(() => columnBuilder(type, pool)).toThrow(expect.objectContaining({ code: 'unsupported' }))
    expect(() => new FixedBuilder(utf8, pool)).toThrow(expect.objectContaining({ code: 'internal' }))
  })
})

describe('every builder', () => {
  const types: LogicalType[] = [{ kind: 'bool' }, { kind: 'int32' }, { kind: 'int64' }, { kind: 'uuid' }, utf8]

  test.for(types.map((type) => [type.kind, type] as const))('%s: without nulls the bitmap is left out', ([, type]) => {
    const builder = columnBuilder(type, new BufferPool(1e6))
    builder.start(9)
    expect(builder.finish()).toMatchObject({ type, length: 9, validity: null })
    builder.start(9)
    builder.setNull(8)
    builder.setNull(0)
    const column = builder.finish()
    expect(Array.from({ length: 9 }, (_, row) => isNull(column, row))).toEqual([
      true,
      ...Array<boolean>(7).fill(false),
      true,
    ])
    builder.start(3)
    expect(builder.finish().validity).toBeNull()
  })

  test.for(types.map((type) => [type.kind, type] as const))('%s: grows, is reused, and gives all back', ([, type]) => {
    const pool = new BufferPool(1e9)
    const builder = columnBuilder(type, pool)
    builder.start(10)
    builder.start(100_000)
    const { misses } = pool.statistics
    for (const rows of [100_000, 5, 99_999]) builder.start(rows)
    expect(pool.statistics.misses).toBe(misses)
    builder.free()
    expect(pool.statistics.used).toBe(0)
    builder.free()
    expect(pool.statistics.used).toBe(0)
    builder.start(4)
    expect(builder.finish().length).toBe(4)
  })
})

test('bool: bits are zero after start', () => {
  const builder = new BoolBuilder({ kind: 'bool' }, new BufferPool(1e6))
  builder.start(12)
  for (let row = 0; row < 12; row += 2) builder.setTrue(row)
  builder.start(12)
  builder.setTrue(11)
  expect(valuesOf(builder.finish())).toEqual([...Array<boolean>(11).fill(false), true])
})

test.for([
  ['int8', Int8Array],
  ['int16', Int16Array],
  ['int32', Int32Array],
  ['uint8', Uint8Array],
  ['uint16', Uint16Array],
  ['uint32', Uint32Array],
  ['float32', Float32Array],
  ['float64', Float64Array],
  ['date', Int32Array],
] as const)('%s has its typed array', ([kind, array]) => {
  const builder = new FixedBuilder({ kind }, new BufferPool(1e6))
  builder.start(3)
  expect(builder.values).toBeInstanceOf(array)
  builder.values[2] = 7
  expect(valueAt(builder.finish(), 2)).toBe(7)
})

test('words and bytes of a wide builder are the same memory', () => {
  const builder = new WordsBuilder({ kind: 'uuid' }, new BufferPool(1e6), 'fixed128')
  builder.start(2)
  builder.bytes.set(
    Uint8Array.from({ length: 16 }, (_, i) => i),
    16,
  )
  expect(valueAt(builder.finish(), 1)).toBe('00010203-0405-0607-0809-0a0b0c0d0e0f')
})

describe('bytes', () => {
  test('rows keep their content while data grows', () => {
    const builder = new BytesBuilder(utf8, new BufferPool(1e9))
    const texts = Array.from({ length: 500 }, (_, row) => 'x'.repeat(row) + row)
    builder.start(texts.length)
    for (const [row, text] of texts.entries()) {
      const source = bytes(`--${text}--`)
      builder.append(row, source, 2, source.length - 2)
    }
    expect(valuesOf(builder.finish())).toEqual(texts)
  })

  test('null rows are empty', () => {
    const builder = new BytesBuilder(utf8, new BufferPool(1e6))
    builder.start(3)
    builder.append(0, bytes('ab'), 0, 2)
    builder.appendNull(1)
    builder.append(2, bytes('c'), 0, 1)
    const column = builder.finish()
    expect([...column.offsets.subarray(0, 4)]).toEqual([0, 2, 2, 3])
    expect(valuesOf(column)).toEqual(['ab', null, 'c'])
  })

  test('more than offsets can count is refused before memory is taken', () => {
    const builder = new BytesBuilder(utf8, new BufferPool(1e6))
    builder.start(1)
    expect(() => builder.ensure(2 ** 31)).toThrow(expect.objectContaining({ code: 'data_invalid' }))
  })
})
