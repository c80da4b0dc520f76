import type { BoolBuilder, BytesBuilder, Column, ColumnBuilder, FixedBuilder, WordsBuilder } from '@nebula/core'
import { HIGH_WORD_MAX, HIGH_WORD_MIN, NebulaError } from '@nebula/core'
import { FRAME_HEAD, readInt32 } from './copy.ts'
import { decodeDecimal, decodeNumericText, numericTextBytes } from './numeric.ts'

/**
 * Binary tuples (docs, SQL command COPY, "Tuples") to columns. Each tuple lies in a CopyData message: type, int32
 * length, int16 field count, then per field an int32 length (-1: null) and the value as the type's send function has it.
 */

/** Rows that go through all columns together: few enough that their bytes stay in the cache. */
const BLOCK_ROWS = 1024
const TUPLE_HEAD = FRAME_HEAD + 2
const FIELD_HEAD = 4

/** Some rows of a batch, and where the values of one of their fields lie. Entry `row - from` of each array. */
interface Block {
  readonly data: Uint8Array
  readonly view: DataView
  /** The length of the next field. */
  readonly cursor: Int32Array
  /** The value of this field; 0, where no value can be, for null: what is read there is never looked at. */
  readonly places: Int32Array
  readonly sizes: Int32Array
  readonly from: number
  readonly to: number
}

/** Decodes one field of every row of a block. */
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
 * Decodes tuples, one column per field. A value that its column cannot hold is reported by row and field, and
 * undefined in the column. Throws `data_invalid` for tuples that are malformed.
 */
export function decodeTuples(
  { data, starts, rows }: Tuples,
  fields: readonly DecodedField[],
  onFault: (row: number, field: number) => void,
): Column[] {
  const steps = fields.map(({ builder, jsonb }, field) => {
    builder.start(rows)
    const report = (row: number): void => onFault(row, field)
    return { builder, read: readerOf(builder, jsonb) as Reader<ColumnBuilder>, report }
  })
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const [cursor, places, sizes] = [new Int32Array(BLOCK_ROWS), new Int32Array(BLOCK_ROWS), new Int32Array(BLOCK_ROWS)]
  for (let from = 0; from < rows; from += BLOCK_ROWS) {
    const block = { data, view, cursor, places, sizes, from, to: Math.min(rows, from + BLOCK_ROWS) }
    for (let row = from; row < block.to; row++) cursor[row - from] = (starts[row] as number) + TUPLE_HEAD
    for (const { builder, read, report } of steps) {
      locate(block, builder)
      read(block, builder, report)
    }
    checkEnds(block, starts)
  }
  return steps.map(({ builder }) => builder.finish())
}

function locate({ view, cursor, places, sizes, from, to }: Block, builder: ColumnBuilder): void {
  for (let i = 0; i < to - from; i++) {
    const at = cursor[i] as number
    const length = view.getInt32(at)
    if (length < 0) {
      builder.setNull(from + i)
      places[i] = 0
      sizes[i] = 0
      cursor[i] = at + FIELD_HEAD
    } else {
      places[i] = at + FIELD_HEAD
      sizes[i] = length
      cursor[i] = at + FIELD_HEAD + length
    }
  }
}

/** Values of fixed width are not measured one by one: a tuple that is not what it says ends elsewhere. */
function checkEnds({ data, cursor, from, to }: Block, starts: Int32Array): void {
  for (let row = from; row < to; row++) {
    const start = starts[row] as number
    if (cursor[row - from] === start + 1 + readInt32(data, start + 1)) continue
    throw new NebulaError('data_invalid', {
      message: 'The server sent a row that does not fit its types.',
      connector: 'postgres',
    })
  }
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

function readBools({ data, places, sizes, from, to }: Block, builder: BoolBuilder): void {
  for (let row = from; row < to; row++) {
    if (sizes[row - from] === 1 && data[places[row - from] as number] !== 0) builder.setTrue(row)
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
  const words = new Int32Array(builder.values.buffer)
  for (let row = from; row < to; row++) words[row] = view.getInt32(places[row - from] as number)
}

function readFloat64s(block: Block, builder: FixedBuilder): void {
  readPairs(block, new Int32Array(builder.values.buffer))
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

export const DAYS_1970_TO_2000 = 10_957

/** Days since 2000; the two infinities are the same numbers in both counts. */
function readDates({ view, places, from, to }: Block, builder: FixedBuilder): void {
  const values = builder.values as Int32Array
  for (let row = from; row < to; row++) {
    const days = view.getInt32(places[row - from] as number)
    values[row] = days === HIGH_WORD_MAX || days === HIGH_WORD_MIN ? days : days + DAYS_1970_TO_2000
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
    const infinite = (high === HIGH_WORD_MAX && low === 0xffffffff) || (high === HIGH_WORD_MIN && low === 0)
    const sum = low + (infinite ? 0 : EPOCH_LOW)
    const shifted = infinite ? high : (high + EPOCH_HIGH + (sum > 0xffffffff ? 1 : 0)) | 0
    words[row * 2] = sum
    words[row * 2 + 1] = shifted
    if (infinite || at === 0) continue
    if (shifted === HIGH_WORD_MAX ? (sum | 0) === -1 : shifted === HIGH_WORD_MIN && (sum | 0) === 0) onFault(row)
  }
}

function readDecimals({ data, places, from, to }: Block, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { words, type } = builder
  const scale = type.kind === 'decimal' ? type.scale : 0
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    if (at !== 0 && !decodeDecimal(data, at, words, row * 4, scale)) onFault(row)
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

function copyValues({ data, places, sizes, from, to }: Block, builder: BytesBuilder, skipped: number): void {
  let total = 0
  for (let i = 0; i < to - from; i++) total += sizes[i] as number
  builder.ensure(total)
  const { data: out, offsets } = builder
  let size = builder.size
  for (let row = from; row < to; row++) {
    const length = sizes[row - from] as number
    const start = (places[row - from] as number) + skipped
    const end = start - skipped + length
    if (length < 48) for (let i = start; i < end; i++) out[size++] = data[i] as number
    else {
      out.set(data.subarray(start, end), size)
      size += end - start
    }
    offsets[row + 1] = size
  }
  builder.size = size
}

function readNumerics({ data, places, from, to }: Block, builder: BytesBuilder): void {
  for (let row = from; row < to; row++) {
    const at = places[row - from] as number
    if (at !== 0) {
      builder.ensure(numericTextBytes(data, at))
      builder.size = decodeNumericText(data, at, builder.data, builder.size)
    }
    builder.offsets[row + 1] = builder.size
  }
}
