import type { Column, LogicalType } from '@nebula/core'
import { NebulaError, typeName, viewOf } from '@nebula/core'
import { columnArray } from '../column-array.ts'
import { DAYS_1970_TO_2000, EPOCH_HIGH, EPOCH_LOW, FIELD_HEAD, INFINITE, MINUS_INFINITE } from './decode-tuples.ts'
import type { Output } from './frame.ts'
import { encodeDecimal, encodeNumericText, MAX_DECIMAL_BYTES, maxNumericBytes } from './numeric.ts'

/** A column to be written; a `jsonb` has a version byte before its text. */
export interface EncodedField {
  readonly type: LogicalType
  readonly jsonb: boolean
}

/** How a field is written, densely numbered for `putField`. */
const BOOL = 0
const INT16 = 1
const INT32 = 2
const DATE = 3
const INT64 = 4
const TIMESTAMP = 5
const UUID = 6
const INTERVAL = 7
const DECIMAL = 8
const NUMERIC = 9
const BYTES = 10
const JSONB = 11
const ENTRY = 12

const CODES: { readonly [name in LogicalType['kind']]?: number } = {
  bool: BOOL,
  int16: INT16,
  int32: INT32,
  float32: INT32,
  date: DATE,
  int64: INT64,
  float64: INT64,
  time: INT64,
  timestamp: TIMESTAMP,
  uuid: UUID,
  interval: INTERVAL,
  decimal: DECIMAL,
  numeric: NUMERIC,
}
/** Bytes of a value at most, by code, beside those of its text. */
const WIDTHS = [1, 2, 4, 4, 8, 8, 16, 16, MAX_DECIMAL_BYTES, maxNumericBytes(0), 0, 1, 0]

/** A column as arrays of the same classes whatever it is, so that the loop sees one shape of everything. */
export interface FieldSource {
  readonly code: number
  readonly scale: number
  readonly validity: Uint8Array | null
  /** Words of the values, offsets of a bytes column, or indices of a dictionary. */
  readonly words: Int32Array
  readonly bytes: Uint8Array
  /** Of `bytes`. */
  readonly view: DataView
  readonly dictionary: FieldSource | undefined
}

/** Columns of one batch after the other, ready to be written as fields of tuples. */
export class TupleFields {
  readonly #codes: readonly number[]
  readonly #fixed: number
  /** One per field; what `putField` writes of. */
  sources: readonly FieldSource[] = []

  constructor(fields: readonly EncodedField[]) {
    this.#codes = fields.map(({ type, jsonb }) => (jsonb ? JSONB : (CODES[type.kind] ?? BYTES)))
    this.#fixed = this.#codes.reduce((sum, code) => sum + FIELD_HEAD + (WIDTHS[code] as number), 0)
  }

  /** Turns to other columns; returns the bytes that their fields in some rows take at most. */
  begin(columns: readonly Column[], from: number, to: number): number {
    this.sources = columns.map((column, i) => sourceOf(column, this.#codes[i] as number))
    return columns.reduce((sum, column) => sum + textBytes(column, from, to), this.#fixed * (to - from))
  }
}

function sourceOf(column: Column, code: number): FieldSource {
  if (column.layout === 'list' || column.layout === 'struct')
    throw new NebulaError('unsupported', { message: `PostgreSQL has no column for ${typeName(column.type)}.` })
  const values = columnArray(column)
  const bytes =
    column.layout === 'bytes' ? column.data : new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const dictionary = column.layout === 'dictionary' ? sourceOf(column.dictionary, BYTES) : undefined
  return {
    code: dictionary ? ENTRY : code,
    scale: column.type.kind === 'decimal' ? column.type.scale : 0,
    validity: column.validity,
    words: new Int32Array(values.buffer, values.byteOffset, values.byteLength >> 2),
    bytes,
    view: viewOf(bytes),
    dictionary,
  }
}

/** Bytes of the texts of some rows; of an entry of a dictionary as much as the longest. */
function textBytes(column: Column, from: number, to: number): number {
  if (column.layout === 'bytes') return (column.offsets[to] as number) - (column.offsets[from] as number)
  if (column.layout !== 'dictionary') return 0
  const { offsets, length } = column.dictionary
  let longest = 0
  for (let i = 0; i < length; i++) longest = Math.max(longest, (offsets[i + 1] as number) - (offsets[i] as number))
  return longest * (to - from)
}

/** Writes a length and a value, or a null, to `at`; returns their end. */
export function putField(source: FieldSource, row: number, out: Output, at: number): number {
  const { validity } = source
  if (validity === null || ((validity[row >> 3] as number) & (1 << (row & 7))) !== 0)
    return putValue(source, row, out, at)
  out.view.setInt32(at, -1)
  return at + FIELD_HEAD
}

function putValue(source: FieldSource, row: number, out: Output, at: number): number {
  const { words } = source
  const { view, bytes } = out
  switch (source.code) {
    case BOOL:
      view.setInt32(at, 1)
      bytes[at + 4] = ((source.bytes[row >> 3] as number) >> (row & 7)) & 1
      return at + 5
    case INT16:
      view.setInt32(at, 2)
      view.setInt16(at + 4, source.view.getInt16(row * 2, true))
      return at + 6
    case INT32:
      view.setInt32(at, 4)
      view.setInt32(at + 4, words[row] as number)
      return at + 8
    case DATE:
      return putDate(view, at, words[row] as number)
    case INT64:
      view.setInt32(at, 8)
      view.setInt32(at + 4, words[row * 2 + 1] as number)
      view.setInt32(at + 8, words[row * 2] as number)
      return at + 12
    case TIMESTAMP:
      return putTimestamp(view, at, words[row * 2] as number, words[row * 2 + 1] as number)
    case UUID:
      view.setInt32(at, 16)
      for (let i = 0; i < 16; i++) bytes[at + 4 + i] = source.bytes[row * 16 + i] as number
      return at + 20
    case INTERVAL:
      // int64 microseconds, int32 days, int32 months: the four words in the opposite order.
      view.setInt32(at, 16)
      for (let i = 0; i < 4; i++) view.setInt32(at + 16 - i * 4, words[row * 4 + i] as number)
      return at + 20
    case BYTES:
      return putText(source, row, out, at)
    case ENTRY:
      return putText(source.dictionary ?? source, words[row] as number, out, at)
    default:
      return putVariable(source, row, out, at)
  }
}

/** Fields whose length is known once they are written. */
function putVariable(source: FieldSource, row: number, out: Output, at: number): number {
  const start = at + FIELD_HEAD
  let end = 0
  if (source.code === DECIMAL) end = encodeDecimal(source, row, out, start)
  else if (source.code === NUMERIC) end = encodeNumericText(source, row, out, start)
  else {
    // The last byte of the text's length is where the version belongs.
    end = putText(source, row, out, at + 1)
    out.bytes[start] = 1
  }
  out.view.setInt32(at, end - start)
  return end
}

/** Longer texts are copied by the engine's own routine, which costs as much to call as a few dozen bytes. */
const LONG = 96

function putText({ words, bytes, view: source }: FieldSource, row: number, out: Output, at: number): number {
  const { view } = out
  let start = words[row] as number
  const end = words[row + 1] as number
  let to = at + FIELD_HEAD
  view.setInt32(at, end - start)
  if (end - start > LONG) {
    out.bytes.set(bytes.subarray(start, end), to)
    return to + end - start
  }
  for (; start < end - 3; start += 4, to += 4) view.setInt32(to, source.getInt32(start))
  for (; start < end; start++, to++) out.bytes[to] = bytes[start] as number
  return to
}

function putDate(view: DataView, at: number, days: number): number {
  view.setInt32(at, 4)
  view.setInt32(at + 4, days === INFINITE || days === MINUS_INFINITE ? days : days - DAYS_1970_TO_2000)
  return at + 8
}

const SIGN = -2_147_483_648

/** Back to microseconds since 2000; what wrapped on the way here wraps back. All in 32-bit integers, which need no heap. */
function putTimestamp(view: DataView, at: number, low: number, high: number): number {
  view.setInt32(at, 8)
  const infinite = (high === INFINITE && low === -1) || (high === MINUS_INFINITE && low === 0)
  // With the sign bit flipped, signed words compare as unsigned ones do.
  const borrow = (low ^ SIGN) < (EPOCH_LOW ^ SIGN) ? 1 : 0
  view.setInt32(at + 4, infinite ? high : (high - EPOCH_HIGH - borrow) | 0)
  view.setInt32(at + 8, infinite ? low : (low - EPOCH_LOW) | 0)
  return at + 12
}
