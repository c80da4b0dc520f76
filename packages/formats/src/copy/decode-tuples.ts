import type { BoolBuilder, BytesBuilder, Column, ColumnBuilder, FixedBuilder, WordsBuilder } from '@nebula/core'
import { DATE_INFINITY, DATE_MINUS_INFINITY, NebulaError, viewOf } from '@nebula/core'
import { FRAME_HEAD } from './frame.ts'
import { decodeDecimal, decodeNumericText, shortDecimal } from './numeric.ts'

/**
 * Binary tuples (docs, SQL command COPY, "Tuples") to columns. Each tuple lies in a CopyData message: type, int32
 * length, int16 field count, then per field an int32 length (-1: null) and the value as the type's send function has it.
 */

/** Before the first field: the message's head and the number of fields. */
export const TUPLE_HEAD = FRAME_HEAD + 2
/** Before a value: its length. */
export const FIELD_HEAD = 4
/** Values that are located before they are read: few enough that their bytes stay in the cache. */
const BLOCK_VALUES = 8192

/** Rows `from` to `to` of a batch, and where the values of one of their fields lie: entry `row - from`. */
interface Block {
  readonly data: Uint8Array
  readonly view: DataView
  /** The first byte of each value, behind its length; 0, where no value can be, for null. */
  readonly places: Int32Array
  from: number
  to: number
}

/** Decodes one field of every row of a block. What it makes of a null is never looked at, but a bytes row is empty. */
type Reader<Builder> = (block: Block, builder: Builder, onFault: (row: number) => void) => void

/** A column to be filled; `jsonb` has a version byte before its text. */
export interface DecodedField {
  readonly builder: ColumnBuilder
  readonly jsonb: boolean
}

/** Tuples whose messages begin at `starts[0] .. starts[rows - 1]`. */
export interface Tuples {
  readonly data: Uint8Array
  readonly starts: Int32Array
  readonly rows: number
}

/**
 * Decodes tuples, one column per field that is given. A value that its column cannot hold is reported by row and field,
 * and undefined in the column. Throws `data_invalid` for tuples that are malformed.
 */
export function decodeTuples(
  { data, starts, rows }: Tuples,
  fields: readonly (DecodedField | undefined)[],
  onFault: (row: number, field: number) => void,
): (Column | undefined)[] {
  const steps = fields.flatMap((field, index) => (field ? [stepOf(field, index, rows, onFault)] : []))
  if (steps.length === 0) return fields.map(() => undefined)
  const view = viewOf(data)
  const size = Math.min(rows, Math.ceil(BLOCK_VALUES / (steps.length + 1)))
  // Fields that nobody looks at share the last one.
  const places = fields.map((field, index) => scratch(field ? index : fields.length, size))
  const blocks = steps.map(({ index }): Block => ({ data, view, places: places[index] as Int32Array, from: 0, to: 0 }))
  for (let from = 0; from < rows; from += size) {
    const to = Math.min(rows, from + size)
    locate(view, starts.subarray(from, to), places)
    for (let i = 0; i < steps.length; i++) {
      const { builder, read, report } = steps[i] as Step
      const block = blocks[i] as Block
      block.from = from
      block.to = to
      markNulls(block, builder)
      read(block, builder, report)
    }
  }
  return fields.map((field) => field?.builder.finish())
}

const scratches: Int32Array[] = []

/** Places of one field at a time, kept for the next batch. */
function scratch(index: number, size: number): Int32Array {
  const known = scratches[index]
  return known && known.length >= size ? known : (scratches[index] = new Int32Array(size))
}

type Step = ReturnType<typeof stepOf>

/** How one field is decoded; its builder begins. */
function stepOf(
  { builder, jsonb }: DecodedField,
  index: number,
  rows: number,
  onFault: (row: number, field: number) => void,
) {
  builder.start(rows)
  const report = (row: number): void => onFault(row, index)
  return { index, builder, read: readerOf(builder, jsonb) as Reader<ColumnBuilder>, report }
}

/** Walks every tuple once. Values of fixed width are not measured: a tuple that is not what it says ends elsewhere. */
function locate(view: DataView, starts: Int32Array, places: readonly Int32Array[]): void {
  for (let i = 0; i < starts.length; i++) {
    const start = starts[i] as number
    let at = start + TUPLE_HEAD
    for (let field = 0; field < places.length; field++) {
      const length = view.getInt32(at)
      at += FIELD_HEAD
      ;(places[field] as Int32Array)[i] = length < 0 ? 0 : at
      if (length > 0) at += length
    }
    if (at !== start + 1 + view.getInt32(start + 1)) {
      const message = 'The server sent a row that does not fit its types.'
      throw new NebulaError('data_invalid', { message })
    }
  }
}

function markNulls({ places, from, to }: Block, builder: ColumnBuilder): void {
  for (let row = from; row < to; row++) if (places[row - from] === 0) builder.setNull(row)
}

const FIXED: Readonly<Record<string, Reader<FixedBuilder>>> = {
  int16: readInt16s,
  int32: readInt32s,
  float32: readFloat32s,
  float64: readFloat64s,
  date: readDates,
}

const WORDS: Readonly<Record<string, Reader<WordsBuilder>>> = {
  int64: readInt64s,
  time: readInt64s,
  timestamp: readTimestamps,
  decimal: readDecimals,
  uuid: readUuids,
  interval: readIntervals,
}

function readerOf(builder: ColumnBuilder, jsonb: boolean): unknown {
  if (builder.layout === 'bool') return readBools
  if (builder.layout === 'fixed') return FIXED[builder.type.kind]
  if (builder.layout !== 'bytes') return WORDS[builder.type.kind]
  if (builder.type.kind === 'numeric') return readNumerics
  return jsonb ? readJsonbs : readBytes
}

function readBools({ data, places, from, to }: Block, builder: BoolBuilder): void {
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    if (at !== 0 && data[at] !== 0) builder.setTrue(row)
  }
}

function readInt16s({ view, places, from, to }: Block, builder: FixedBuilder): void {
  const values = builder.values as Int16Array
  for (let row = from; row < to; row++) values[row] = view.getInt16(places[row - from] as number)
}

function readInt32s({ view, places, from, to }: Block, builder: FixedBuilder): void {
  const values = builder.values as Int32Array
  for (let row = from; row < to; row++) values[row] = view.getInt32(places[row - from] as number)
}

/** Bit by bit, so that every NaN stays what it is. */
function readFloat32s({ view, places, from, to }: Block, builder: FixedBuilder): void {
  const { words } = builder
  for (let row = from; row < to; row++) words[row] = view.getInt32(places[row - from] as number)
}

function readFloat64s(block: Block, builder: FixedBuilder): void {
  readPairs(block, builder.words)
}

function readInt64s(block: Block, builder: WordsBuilder): void {
  readPairs(block, builder.words)
}

function readPairs({ view, places, from, to }: Block, words: Int32Array): void {
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    words[row * 2] = view.getInt32(at + 4)
    words[row * 2 + 1] = view.getInt32(at)
  }
}

/** Of dates, and of the high words of timestamps. Constants of this module, which loops read faster than imported ones. */
export const INFINITE = DATE_INFINITY | 0
export const MINUS_INFINITE = DATE_MINUS_INFINITY | 0

export const DAYS_1970_TO_2000 = 10_957

/** Days since 2000; the two infinities are the same numbers in both counts. */
function readDates({ view, places, from, to }: Block, builder: FixedBuilder): void {
  const values = builder.values as Int32Array
  for (let row = from; row < to; row++) {
    const days = view.getInt32(places[row - from] as number)
    values[row] = days === INFINITE || days === MINUS_INFINITE ? days : days + DAYS_1970_TO_2000
  }
}

/** Microseconds from 1970 to 2000, as two words. */
export const EPOCH_HIGH = 220_417
export const EPOCH_LOW = 993_517_568

/** Microseconds since 2000; infinities stay, and the two instants that would look like them are faults. */
function readTimestamps(
  { view, places, from, to }: Block,
  builder: WordsBuilder,
  onFault: (row: number) => void,
): void {
  const { words } = builder
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    const low = view.getUint32(at + 4)
    const high = view.getInt32(at)
    const infinite = (high === INFINITE && low === 0xffffffff) || (high === MINUS_INFINITE && low === 0)
    const sum = low + (infinite ? 0 : EPOCH_LOW)
    const shifted = infinite ? high : (high + EPOCH_HIGH + (sum > 0xffffffff ? 1 : 0)) | 0
    words[row * 2] = sum
    words[row * 2 + 1] = shifted
    if (infinite || at === 0) continue
    if (shifted === INFINITE ? (sum | 0) === -1 : shifted === MINUS_INFINITE && (sum | 0) === 0) onFault(row)
  }
}

function readDecimals({ view, places, from, to }: Block, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { words, type } = builder
  const scale = type.kind === 'decimal' ? type.scale : 0
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    if (at === 0) continue
    const short = shortDecimal(view, at, scale)
    if ((short | 0) === short) {
      words[row * 4] = short
      words[row * 4 + 1] = words[row * 4 + 2] = words[row * 4 + 3] = short >> 31
    } else if (!decodeDecimal(view, at, scale, words.subarray(row * 4, row * 4 + 4))) onFault(row)
  }
}

function readUuids({ data, places, from, to }: Block, builder: WordsBuilder): void {
  const { bytes } = builder
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    for (let i = 0; i < 16; i++) bytes[row * 16 + i] = data[at + i] as number
  }
}

/** int64 microseconds, int32 days, int32 months: the four words in the opposite order. */
function readIntervals({ view, places, from, to }: Block, builder: WordsBuilder): void {
  const { words } = builder
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    for (let i = 0; i < 4; i++) words[row * 4 + i] = view.getInt32(at + 12 - i * 4)
  }
}

function readBytes(block: Block, builder: BytesBuilder): void {
  copyValues(block, builder, 0)
}

function readJsonbs(block: Block, builder: BytesBuilder): void {
  copyValues(block, builder, 1)
}

/** Longer values are copied by the engine's own routine, which costs as much to call as a few dozen bytes. */
const LONG = 96

function copyValues({ data, view, places, from, to }: Block, builder: BytesBuilder, skipped: number): void {
  let total = 0
  for (let i = 0; i < to - from; i++) total += sizeAt(view, places[i] as number)
  builder.ensure(total)
  const { data: out, offsets } = builder
  const outView = viewOf(out)
  let size = builder.size
  for (let row = from; row < to; row++) {
    const place = places[row - from] as number
    const end = place + sizeAt(view, place)
    let start = place + skipped
    if (end - start > LONG) {
      out.set(data.subarray(start, end), size)
      size += end - start
    } else {
      for (; start < end - 3; start += 4, size += 4) outView.setInt32(size, view.getInt32(start))
      for (; start < end; start++, size++) out[size] = data[start] as number
    }
    offsets[row + 1] = size
  }
  builder.size = size
}

function sizeAt(view: DataView, place: number): number {
  return place === 0 ? 0 : view.getInt32(place - FIELD_HEAD)
}

function readNumerics({ view, places, from, to }: Block, builder: BytesBuilder): void {
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    if (at !== 0) decodeNumericText(view, at, builder)
    builder.offsets[row + 1] = builder.size
  }
}
