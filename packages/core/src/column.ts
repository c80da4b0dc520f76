import type { Kind, LogicalType } from './types.ts'

/**
 * Columns by physical layout: the buffers of the Apache Arrow columnar format
 * (https://arrow.apache.org/docs/format/Columnar.html), little-endian, each starting on an 8-byte boundary.
 */
interface ColumnBase {
  readonly type: LogicalType
  /** Rows. Buffers may be longer. */
  readonly length: number
  /** Bit `i` (least significant first) is 1 when row `i` has a value. Null: every row has one, the short path. */
  readonly validity: Uint8Array | null
}

/** One bit a row, least significant first. */
export interface BoolColumn extends ColumnBase {
  readonly layout: 'bool'
  readonly bits: Uint8Array
}

export type FixedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array

/** 8 to 32-bit integers, floats, and `date` (days since 1970, Int32Array). */
export interface FixedColumn extends ColumnBase {
  readonly layout: 'fixed'
  readonly values: FixedArray
}

/** int64, uint64, time, timestamp: two 32-bit words a row, low then high. BigInt exists only at the edge. */
export interface Fixed64Column extends ColumnBase {
  readonly layout: 'fixed64'
  readonly words: Int32Array
}

/**
 * 16 bytes a row, as four 32-bit words. decimal: two's complement, lowest word first; interval: months, days, then
 * microseconds low and high; uuid: its 16 bytes in the order in which they are written.
 */
export interface Fixed128Column extends ColumnBase {
  readonly layout: 'fixed128'
  readonly words: Int32Array
}

/** utf8, binary, json, numeric (its exact text), native: row `i` is `data[offsets[i]] .. data[offsets[i + 1]]`. */
export interface BytesColumn extends ColumnBase {
  readonly layout: 'bytes'
  /** `length + 1` entries. */
  readonly offsets: Int32Array
  readonly data: Uint8Array
}

/** utf8 of few distinct values: row `i` is `dictionary` row `indices[i]`. */
export interface DictionaryColumn extends ColumnBase {
  readonly layout: 'dictionary'
  readonly indices: Int32Array
  readonly dictionary: BytesColumn
}

/** Row `i` holds `child` rows `offsets[i] .. offsets[i + 1]`. */
export interface ListColumn extends ColumnBase {
  readonly layout: 'list'
  readonly offsets: Int32Array
  readonly child: Column
}

export interface StructColumn extends ColumnBase {
  readonly layout: 'struct'
  readonly children: readonly Column[]
}

export type Column =
  | BoolColumn
  | FixedColumn
  | Fixed64Column
  | Fixed128Column
  | BytesColumn
  | DictionaryColumn
  | ListColumn
  | StructColumn

export type Layout = Column['layout']

/**
 * Values outside the finite range. Timestamps and dates keep PostgreSQL's two infinities; a decimal keeps NaN, which
 * lies outside its 38 digits: the least 128-bit integer, whose last word is `DECIMAL_NAN_WORD`, which no other decimal
 * has. Timestamps past the last microsecond of a signed 64-bit count since 1970 (year 294247)
 * up to PostgreSQL's last (294276) wrap to the bottom of the range, where no date lies; see `wrapsAround`.
 */
export const DATE_INFINITY = 0x7fffffff
export const DATE_MINUS_INFINITY = -0x80000000
export const HIGH_WORD_MAX = 0x7fffffff
export const HIGH_WORD_MIN = -0x80000000
export const DECIMAL_NAN_WORD = -0x80000000

/** True when row `row` of `column` is null. */
export function isNull(column: Column, row: number): boolean {
  const { validity } = column
  return validity !== null && ((validity[row >> 3] as number) & (1 << (row & 7))) === 0
}

/** The physical layout of a logical type. Dictionaries are chosen per batch, never by type. */
export function layoutOf(type: LogicalType): Exclude<Layout, 'dictionary'> {
  return LAYOUTS[type.kind] ?? 'fixed'
}

const LAYOUTS: { readonly [kind in Kind]?: Exclude<Layout, 'dictionary'> } = {
  bool: 'bool',
  int64: 'fixed64',
  uint64: 'fixed64',
  time: 'fixed64',
  timestamp: 'fixed64',
  decimal: 'fixed128',
  uuid: 'fixed128',
  interval: 'fixed128',
  list: 'list',
  struct: 'struct',
  utf8: 'bytes',
  binary: 'bytes',
  json: 'bytes',
  numeric: 'bytes',
  native: 'bytes',
}

/** Bytes that the rows of a column occupy, without slack. */
export function columnBytes(column: Column): number {
  const bitmap = column.validity ? (column.length + 7) >> 3 : 0
  switch (column.layout) {
    case 'bool':
      return bitmap + ((column.length + 7) >> 3)
    case 'fixed':
      return bitmap + column.length * column.values.BYTES_PER_ELEMENT
    case 'fixed64':
      return bitmap + column.length * 8
    case 'fixed128':
      return bitmap + column.length * 16
    case 'bytes':
      return (
        bitmap + (column.length + 1) * 4 + (column.offsets[column.length] as number) - (column.offsets[0] as number)
      )
    case 'dictionary':
      return bitmap + column.length * 4 + columnBytes(column.dictionary)
    case 'list':
      return bitmap + (column.length + 1) * 4 + columnBytes(column.child)
    case 'struct':
      return column.children.reduce((sum, child) => sum + columnBytes(child), bitmap)
  }
}
