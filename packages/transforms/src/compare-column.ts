import type {
  BoolColumn,
  BytesColumn,
  Column,
  ComparedColumn,
  Fixed128Column,
  Fixed64Column,
  FixedColumn,
  Kind,
  LogicalType,
} from '@nebula/core'
import {
  BufferPool,
  columnBuilder,
  DECIMAL_NAN_WORD,
  HIGH_WORD_MAX,
  HIGH_WORD_MIN,
  NebulaError,
  parseColumn,
  typeName,
  valueAt,
  wrapsAround,
} from '@nebula/core'
import { NumericComparer, thresholdOf } from './compare-number.ts'

/** Writes for every row how its value stands to a literal: 0 below, 1 equal, 2 above. What null rows get has no meaning. */
export type Comparison = (column: Column, out: Uint8Array) => void

/** The comparison of a column of this type with a literal, both chosen here and not in the loop. */
export function comparisonWith(literal: string, { type }: ComparedColumn): Comparison {
  const choose = COMPARISONS[type.kind]
  if (choose) return choose(literal, type)
  const { floor, exact } = thresholdOf(literal, 0)
  return integers(Number(floor), exact)
}

/** Of all but integers of up to 32 bits. */
const COMPARISONS: { readonly [kind in Kind]?: (literal: string, type: LogicalType) => Comparison } = {
  bool: (literal) => bools(literal === 'true' ? 1 : 0),
  float32: (literal) => floats(Math.fround(Number(literal))),
  float64: (literal) => floats(Number(literal)),
  date: (literal, type) => integers(typedValue(literal, type) as number, true),
  int64: (literal) => words(halves(thresholdOf(literal, 0)), signed),
  uint64: (literal) => words(halves(thresholdOf(literal, 0)), unsigned),
  time: (literal, type) => words(halves({ floor: typedValue(literal, type) as bigint, exact: true }), signed),
  timestamp: (literal, type) => timestamps(typedColumn(literal, type) as Fixed64Column),
  decimal: (literal, type) => decimals(literal, type.kind === 'decimal' ? type.scale : 0),
  numeric: numerics,
  uuid: (literal, type) => uuids(typedColumn(literal, type) as Fixed128Column),
  utf8: (literal) => bytes(new TextEncoder().encode(literal)),
  binary: (literal, type) => bytes(typedValue(literal, type) as Uint8Array),
}

function typedColumn(text: string, type: LogicalType): Column {
  const data = new TextEncoder().encode(text)
  const builder = columnBuilder(type, new BufferPool(0))
  const slices = { data, starts: Int32Array.of(0), ends: Int32Array.of(data.length), base: 0, stride: 1, rows: 1 }
  parseColumn(slices, builder, () => {
    throw new NebulaError('internal', { message: `A literal of a condition is no ${typeName(type)}.` })
  })
  return builder.finish()
}

function typedValue(text: string, type: LogicalType): unknown {
  return valueAt(typedColumn(text, type), 0)
}

function bools(literal: number): Comparison {
  return (column, out) => {
    const { bits, length } = column as BoolColumn
    for (let row = 0; row < length; row++) out[row] = (((bits[row >> 3] as number) >> (row & 7)) & 1) - literal + 1
  }
}

/** NaN equals itself and is greater than all else; the two zeros are equal. */
function floats(literal: number): Comparison {
  const whenUnordered = Number.isNaN(literal) ? 0 : 2
  return (column, out) => {
    const { values, length } = column as FixedColumn
    for (let row = 0; row < length; row++) {
      const value = values[row] as number
      if (value === literal) out[row] = 1
      else if (value < literal) out[row] = 0
      else if (value > literal) out[row] = 2
      else out[row] = Number.isNaN(value) === Number.isNaN(literal) ? 1 : whenUnordered
    }
  }
}

/** Integers of up to 32 bits, and days. */
function integers(floor: number, exact: boolean): Comparison {
  const atFloor = exact ? 1 : 0
  return (column, out) => {
    const { values, length } = column as FixedColumn
    for (let row = 0; row < length; row++) {
      const value = values[row] as number
      out[row] = value < floor ? 0 : value > floor ? 2 : atFloor
    }
  }
}

/** A literal in words; the higher one as a number of its sign, beyond every word where the literal is. */
interface Halves {
  readonly high: number
  /** Unsigned. */
  readonly low: number
  readonly exact: boolean
}

function halves({ floor, exact }: { readonly floor: bigint; readonly exact: boolean }): Halves {
  return { high: Number(floor >> 32n), low: Number(BigInt.asUintN(32, floor)), exact }
}

const signed = (word: number): number => word
const unsigned = (word: number): number => word >>> 0

function words({ high, low, exact }: Halves, sign: (word: number) => number): Comparison {
  const atFloor = exact ? 1 : 0
  return (column, out) => {
    const { words: values, length } = column as Fixed64Column
    for (let row = 0; row < length; row++) {
      const upper = sign(values[row * 2 + 1] as number)
      const lower = (values[row * 2] as number) >>> 0
      if (upper !== high) out[row] = upper < high ? 0 : 2
      else out[row] = lower < low ? 0 : lower > low ? 2 : atFloor
    }
  }
}

function timestamps(literal: Fixed64Column): Comparison {
  const low = (literal.words[0] as number) >>> 0
  const high = orderedHigh(literal.words[1] as number, literal.words[0] as number)
  return (column, out) => {
    const { words: values, length } = column as Fixed64Column
    for (let row = 0; row < length; row++) {
      const upper = orderedHigh(values[row * 2 + 1] as number, values[row * 2] as number)
      const lower = (values[row * 2] as number) >>> 0
      if (upper !== high) out[row] = upper < high ? 0 : 2
      else out[row] = lower < low ? 0 : lower > low ? 2 : 1
    }
  }
}

/** Times behind the last of a signed count wrapped to its bottom, and come before infinity. */
function orderedHigh(high: number, low: number): number {
  if (high === HIGH_WORD_MAX && low === -1) return 2 ** 33
  const minusInfinity = high === HIGH_WORD_MIN && low === 0
  return wrapsAround(high) && !minusInfinity ? high + 2 ** 32 : high
}

/** NaN equals itself and is greater than all else. */
function decimals(literal: string, scale: number): Comparison {
  const { floor, exact } = literal === 'NaN' ? { floor: 0n, exact: true } : thresholdOf(literal, scale)
  const atFloor = exact ? 1 : 0
  const limbs = [0n, 1n, 2n].map((limb) => Number(BigInt.asUintN(32, floor >> (limb * 32n))))
  const [first = 0, second = 0, third = 0] = limbs
  const above = Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, Number(floor >> 96n)))
  const top = literal === 'NaN' ? Infinity : above
  return (column, out) => {
    const { words: values, length } = column as Fixed128Column
    for (let row = 0, at = 0; row < length; row++, at += 4) {
      const highest = values[at + 3] as number
      const upper = highest === DECIMAL_NAN_WORD ? Infinity : highest
      if (upper !== top) out[row] = upper < top ? 0 : 2
      else if (upper === Infinity) out[row] = 1
      else {
        let order = ((values[at + 2] as number) >>> 0) - third
        if (order === 0) order = ((values[at + 1] as number) >>> 0) - second
        if (order === 0) order = ((values[at] as number) >>> 0) - first
        out[row] = order < 0 ? 0 : order > 0 ? 2 : atFloor
      }
    }
  }
}

function numerics(literal: string): Comparison {
  const comparer = new NumericComparer(literal)
  return (column, out) => {
    const { data, offsets, length } = column as BytesColumn
    for (let row = 0; row < length; row++) {
      const start = offsets[row] as number
      const end = offsets[row + 1] as number
      out[row] = start === end ? 0 : comparer.compare(data, start, end) + 1
    }
  }
}

function uuids(literal: Fixed128Column): Comparison {
  const wanted = bytesOf(literal).slice(0, 16)
  return (column, out) => {
    const values = bytesOf(column as Fixed128Column)
    for (let row = 0; row < column.length; row++) out[row] = orderOf(values, row * 16, row * 16 + 16, wanted)
  }
}

function bytesOf({ words: values }: Fixed128Column): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

/** Texts by code point, which is the order of their bytes in UTF-8; binary. */
function bytes(literal: Uint8Array): Comparison {
  return (column, out) => {
    const { data, offsets, length } = column as BytesColumn
    for (let row = 0; row < length; row++)
      out[row] = orderOf(data, offsets[row] as number, offsets[row + 1] as number, literal)
  }
}

function orderOf(data: Uint8Array, start: number, end: number, literal: Uint8Array): number {
  const shared = Math.min(end - start, literal.length)
  for (let i = 0; i < shared; i++) {
    const difference = (data[start + i] as number) - (literal[i] as number)
    if (difference !== 0) return difference < 0 ? 0 : 2
  }
  return end - start === literal.length ? 1 : end - start < literal.length ? 0 : 2
}
