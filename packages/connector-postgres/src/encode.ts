import type { BufferPool, BytesColumn, Column, DictionaryColumn, Fixed128Column, LogicalType } from '@nebula/core'
import { BytesBuilder, HIGH_WORD_MAX, HIGH_WORD_MIN, isNull, NebulaError, typeName } from '@nebula/core'
import { DAYS_1970_TO_2000, EPOCH_HIGH, EPOCH_LOW } from './decode.ts'
import { encodeDecimal, encodeNumericText, MAX_DECIMAL_BYTES, numericBytes } from './numeric.ts'

/** Rows of columns to the bytes that COPY FROM takes. Used block by block: `measure`, then `write` of the same rows. */
export interface RowEncoder {
  /** Bytes that rows `from` to `to` take; at most `BLOCK_ROWS` of them. */
  measure(columns: readonly Column[], from: number, to: number): number
  /** Writes the measured rows to `out[at]`, behind which there is room for them and `SLACK`; returns their end. */
  write(out: Uint8Array, at: number): number
  /** Gives scratch memory back. */
  free(): void
}

export const BLOCK_ROWS = 1024
/** Where the values of nulls go, so that no loop asks for them. */
export const SLACK = 16
const FIELD_HEAD = 4

/** One field of some rows: their places in `out`, one per row. */
interface Values {
  readonly out: Uint8Array
  readonly view: DataView
  readonly places: Int32Array
  readonly from: number
  readonly rows: number
}

/** How a type is written; width 0: as many bytes as the value has. */
interface Kind {
  readonly width: number
  readonly put: (values: Values, column: never) => void
}

const KINDS: { readonly [name in LogicalType['kind']]?: Kind } = {
  bool: { width: 1, put: putBools },
  int16: { width: 2, put: putInt16s },
  int32: { width: 4, put: putInt32s },
  float32: { width: 4, put: putFloat32s },
  date: { width: 4, put: putDates },
  int64: { width: 8, put: putInt64s },
  time: { width: 8, put: putInt64s },
  timestamp: { width: 8, put: putTimestamps },
  float64: { width: 8, put: putFloat64s },
  uuid: { width: 16, put: putUuids },
  interval: { width: 16, put: putIntervals },
}
const BYTES: Kind = { width: 0, put: putBytes }

interface Step {
  readonly kind: Kind
  /** Before a jsonb's text. */
  readonly version: number
  readonly scratch: BytesBuilder | undefined
  /** The column of the measured rows, and where they begin in it. */
  column: Column
  from: number
}

const NO_COLUMN: Column = { layout: 'bool', type: { kind: 'bool' }, length: 0, validity: null, bits: new Uint8Array(0) }

/** Encodes binary tuples (docs, SQL command COPY, "Tuples"), column by column. */
export class TupleEncoder implements RowEncoder {
  readonly #steps: readonly Step[]
  readonly #sizes = new Int32Array(BLOCK_ROWS)
  readonly #cursor = new Int32Array(BLOCK_ROWS)
  readonly #places = new Int32Array(BLOCK_ROWS)
  #rows = 0

  /** `jsonb` says which fields have a version byte before their text. */
  constructor(fields: readonly { readonly type: LogicalType; readonly jsonb: boolean }[], pool: BufferPool) {
    this.#steps = fields.map(({ type, jsonb }) => {
      const kind = KINDS[type.kind] ?? BYTES
      if (type.kind === 'list' || type.kind === 'struct') {
        throw new NebulaError('unsupported', { message: `PostgreSQL has no column for ${typeName(type)}.` })
      }
      const scratch = kind === BYTES ? new BytesBuilder({ kind: 'binary' }, pool) : undefined
      return { kind, version: jsonb ? 1 : 0, scratch, column: NO_COLUMN, from: 0 }
    })
  }

  measure(columns: readonly Column[], from: number, to: number): number {
    const sizes = this.#sizes
    const rows = to - from
    this.#rows = rows
    sizes.fill(2, 0, rows)
    for (const [i, step] of this.#steps.entries()) {
      const column = columns[i] as Column
      step.column = step.scratch ? payload(column, step.scratch, from, to) : column
      step.from = step.column === column ? from : 0
      if (step.column.layout === 'bytes') addBytes(step.column, step.from, sizes.subarray(0, rows), step.version)
      else addWidth(step.column, step.from, sizes.subarray(0, rows), step.kind.width)
    }
    let total = 0
    for (let i = 0; i < rows; i++) total += sizes[i] as number
    return total
  }

  write(out: Uint8Array, at: number): number {
    const cursor = this.#cursor
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength)
    let end = at
    for (let i = 0; i < this.#rows; i++) {
      view.setInt16(end, this.#steps.length)
      cursor[i] = end + 2
      end += this.#sizes[i] as number
    }
    for (const { kind, column, from, version } of this.#steps) {
      const values = { out, view, places: this.#places, from, rows: this.#rows }
      if (column.layout === 'bytes') this.#headBytes(values, column, version)
      else this.#headWidth(values, column, kind.width)
      kind.put(values, column as never)
    }
    return end
  }

  /** Writes the lengths of a field of fixed width, and finds the places of its values. */
  #headWidth({ out, view, places, from, rows }: Values, column: Column, width: number): void {
    const cursor = this.#cursor
    const { validity } = column
    for (let i = 0; i < rows; i++) {
      const at = cursor[i] as number
      const missing = validity !== null && isMissing(validity, from + i)
      view.setInt32(at, missing ? -1 : width)
      places[i] = missing ? out.length - SLACK : at + FIELD_HEAD
      cursor[i] = at + FIELD_HEAD + (missing ? 0 : width)
    }
  }

  #headBytes({ out, view, places, from, rows }: Values, { validity, offsets }: BytesColumn, version: number): void {
    const cursor = this.#cursor
    for (let i = 0; i < rows; i++) {
      const at = cursor[i] as number
      const missing = validity !== null && isMissing(validity, from + i)
      const size = (offsets[from + i + 1] as number) - (offsets[from + i] as number) + version
      view.setInt32(at, missing ? -1 : size)
      if (version > 0 && !missing) out[at + FIELD_HEAD] = version
      places[i] = missing ? -1 : at + FIELD_HEAD + version
      cursor[i] = at + FIELD_HEAD + (missing ? 0 : size)
    }
  }

  free(): void {
    for (const { scratch } of this.#steps) scratch?.free()
  }
}

function isMissing(validity: Uint8Array, row: number): boolean {
  return ((validity[row >> 3] as number) & (1 << (row & 7))) === 0
}

function addWidth({ validity }: Column, from: number, sizes: Int32Array, width: number): void {
  for (let i = 0; i < sizes.length; i++) {
    sizes[i] = (sizes[i] as number) + FIELD_HEAD + (validity !== null && isMissing(validity, from + i) ? 0 : width)
  }
}

function addBytes({ validity, offsets }: BytesColumn, from: number, sizes: Int32Array, version: number): void {
  for (let i = 0; i < sizes.length; i++) {
    const size = (offsets[from + i + 1] as number) - (offsets[from + i] as number) + version
    sizes[i] = (sizes[i] as number) + FIELD_HEAD + (validity !== null && isMissing(validity, from + i) ? 0 : size)
  }
}

/** A bytes column as it is; the wire form of decimal, numeric and dictionary rows `from` to `to` in `scratch`. */
function payload(column: Column, scratch: BytesBuilder, from: number, to: number): Column {
  if (column.layout === 'bytes' && column.type.kind !== 'numeric') return column
  scratch.start(to - from)
  if (column.layout === 'fixed128') encodeDecimals(column, scratch, from, to)
  else if (column.layout === 'bytes') encodeNumerics(column, scratch, from, to)
  else if (column.layout === 'dictionary') copyEntries(column, scratch, from, to)
  return scratch.finish()
}

function encodeDecimals(column: Fixed128Column, scratch: BytesBuilder, from: number, to: number): void {
  const { words, type } = column
  const scale = type.kind === 'decimal' ? type.scale : 0
  scratch.ensure((to - from) * MAX_DECIMAL_BYTES)
  const { data, offsets } = scratch
  let size = 0
  for (let row = from; row < to; row++) {
    if (isNull(column, row)) scratch.setNull(row - from)
    else size = encodeDecimal(words, row * 4, scale, data, size)
    offsets[row - from + 1] = size
  }
  scratch.size = size
}

function encodeNumerics(column: BytesColumn, scratch: BytesBuilder, from: number, to: number): void {
  const { data, offsets } = column
  for (let row = from; row < to; row++) {
    const [start, end] = [offsets[row] as number, offsets[row + 1] as number]
    scratch.ensure(numericBytes(end - start))
    if (isNull(column, row)) scratch.setNull(row - from)
    else scratch.size = encodeNumericText(data, start, end, scratch.data, scratch.size)
    scratch.offsets[row - from + 1] = scratch.size
  }
}

function copyEntries(column: DictionaryColumn, scratch: BytesBuilder, from: number, to: number): void {
  const { indices, dictionary } = column
  for (let row = from; row < to; row++) {
    const entry = indices[row] as number
    if (isNull(column, row)) scratch.appendNull(row - from)
    else
      scratch.append(
        row - from,
        dictionary.data,
        dictionary.offsets[entry] as number,
        dictionary.offsets[entry + 1] as number,
      )
  }
}

function putBools({ out, places, from, rows }: Values, { bits }: { readonly bits: Uint8Array }): void {
  for (let i = 0, row = from; i < rows; i++, row++) {
    out[places[i] as number] = ((bits[row >> 3] as number) >> (row & 7)) & 1
  }
}

function putInt16s({ view, places, from, rows }: Values, { values }: { readonly values: Int16Array }): void {
  for (let i = 0; i < rows; i++) view.setInt16(places[i] as number, values[from + i] as number)
}

function putInt32s({ view, places, from, rows }: Values, { values }: { readonly values: Int32Array }): void {
  for (let i = 0; i < rows; i++) view.setInt32(places[i] as number, values[from + i] as number)
}

function putDates({ view, places, from, rows }: Values, { values }: { readonly values: Int32Array }): void {
  for (let i = 0; i < rows; i++) {
    const days = values[from + i] as number
    view.setInt32(
      places[i] as number,
      days === HIGH_WORD_MAX || days === HIGH_WORD_MIN ? days : days - DAYS_1970_TO_2000,
    )
  }
}

/** Bit by bit, so that every NaN stays what it is. */
function putFloat32s(to: Values, { values }: { readonly values: Float32Array }): void {
  putInt32s(to, { values: new Int32Array(values.buffer, values.byteOffset, values.length) })
}

function putFloat64s(to: Values, { values }: { readonly values: Float64Array }): void {
  putInt64s(to, { words: new Int32Array(values.buffer, values.byteOffset, values.length * 2) })
}

function putInt64s({ view, places, from, rows }: Values, { words }: { readonly words: Int32Array }): void {
  for (let i = 0; i < rows; i++) {
    const at = places[i] as number
    view.setInt32(at, words[(from + i) * 2 + 1] as number)
    view.setInt32(at + 4, words[(from + i) * 2] as number)
  }
}

/** Back to microseconds since 2000; what wrapped on the way here wraps back. */
function putTimestamps({ view, places, from, rows }: Values, { words }: { readonly words: Int32Array }): void {
  for (let i = 0; i < rows; i++) {
    const at = places[i] as number
    const low = (words[(from + i) * 2] as number) >>> 0
    const high = words[(from + i) * 2 + 1] as number
    const infinite = (high === HIGH_WORD_MAX && low === 0xffffffff) || (high === HIGH_WORD_MIN && low === 0)
    const difference = infinite ? low : low - EPOCH_LOW
    view.setInt32(at, infinite ? high : high - EPOCH_HIGH - (difference < 0 ? 1 : 0))
    view.setInt32(at + 4, difference)
  }
}

function putUuids({ out, places, from, rows }: Values, { words }: { readonly words: Int32Array }): void {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
  for (let i = 0; i < rows; i++) {
    const at = places[i] as number
    for (let k = 0; k < 16; k++) out[at + k] = bytes[(from + i) * 16 + k] as number
  }
}

/** int64 microseconds, int32 days, int32 months: the four words in the opposite order. */
function putIntervals({ view, places, from, rows }: Values, { words }: { readonly words: Int32Array }): void {
  for (let i = 0; i < rows; i++) {
    const at = places[i] as number
    for (let k = 0; k < 4; k++) view.setInt32(at + 12 - k * 4, words[(from + i) * 4 + k] as number)
  }
}

function putBytes({ out, places, from, rows }: Values, { data, offsets }: BytesColumn): void {
  for (let i = 0; i < rows; i++) {
    const start = offsets[from + i] as number
    const end = offsets[from + i + 1] as number
    let at = places[i] as number
    if (at < 0) continue
    if (end - start < 48) for (let k = start; k < end; k++) out[at++] = data[k] as number
    else out.set(data.subarray(start, end), at)
  }
}
