import type { BufferPool, Column, Kind, LogicalType, RecordBatch, Schema } from '@nebula/core'
import { BytesBuilder, formatColumn, utf8 } from '@nebula/core'
import type { FormatWriter } from '../format.ts'
import type { CsvDialect } from './dialect.ts'
import { CR, LF } from './dialect.ts'

/** Rows and bytes that are formatted at a time, so that the texts are still in the cache when rows are put together. */
const SLICE_ROWS = 1024
const SLICE_BYTES = 128 * 1024

/** Types whose bytes are their text. */
const TEXTS: ReadonlySet<Kind> = new Set<Kind>(['utf8', 'json', 'numeric'])
/** Types whose text may hold any byte. */
const FREE_TEXTS: ReadonlySet<Kind> = new Set<Kind>(['utf8', 'json', 'native', 'list', 'struct'])
/** Every byte that the text of another type may hold. */
const PLAIN_BYTES = /[\w+\-.:/\\ ]/

/** The texts of one column for a slice of rows: row `i` is `data[offsets[base + i]] ..`. */
interface Texts {
  offsets: Int32Array
  data: Uint8Array
  /** Of `data`: texts are copied four bytes at a time, where three more can be read behind them. */
  view: DataView
  validity: Uint8Array | null
  /** The row of `offsets` and `validity` that is the first of the slice. */
  base: number
  /** No value needs quotes. */
  readonly plain: boolean
  /** The first of its line. */
  readonly first: boolean
  /** A text may be a marker: see `#isMarker`. */
  readonly marked: boolean
  readonly builder: BytesBuilder
}

/**
 * Writes CSV (RFC 4180) as PostgreSQL's `COPY TO (FORMAT csv)` does: null is the unquoted empty field, and only fields
 * that need quotes have them.
 */
export class CsvWriter implements FormatWriter {
  readonly preamble: Uint8Array
  readonly #dialect: CsvDialect
  readonly #pool: BufferPool
  #texts: readonly Texts[]
  /** 1 for bytes that need quotes around them. */
  readonly #special = new Uint8Array(256)
  /** In each byte: one more than the highest of them. */
  readonly #bound: number
  /** At the begin of the file, where a byte order mark would be taken for one. */
  #atBegin: boolean
  #out: Uint8Array
  #view: DataView
  #size = 0

  constructor(dialect: CsvDialect, schema: Schema, pool: BufferPool) {
    this.#dialect = dialect
    this.#pool = pool
    for (const byte of [dialect.delimiter, dialect.quote, CR, LF]) this.#special[byte] = 1
    this.#bound = ((Math.max(dialect.delimiter, dialect.quote, CR) + 1) * 0x01010101) | 0
    this.#out = pool.take(SLICE_BYTES)
    this.#view = viewOf(this.#out)
    this.#atBegin = true
    this.#texts = schema.fields.map(({ name }, i) => nameTexts(name, i, dialect, pool))
    if (dialect.header && schema.fields.length > 0) this.#assemble(1)
    this.preamble = this.#out.slice(0, this.#size)
    this.#atBegin = !dialect.header
    this.#texts = schema.fields.map(({ type }, i) => emptyTexts(isPlain(type, i, dialect), i, dialect, pool))
  }

  encode(batch: RecordBatch, from: number, to: number): Uint8Array {
    const columns = this.#texts.map((_, i) => batch.column(i))
    const perSlice = Math.ceil((SLICE_BYTES * batch.rows) / Math.max(1, batch.byteLength))
    const step = Math.max(1, Math.min(SLICE_ROWS, perSlice))
    this.#size = 0
    for (let begin = from; begin < to; begin += step) {
      const end = Math.min(to, begin + step)
      this.#format(columns, begin, end)
      this.#assemble(end - begin)
    }
    return this.#out.subarray(0, this.#size)
  }

  free(): void {
    this.#pool.give(this.#out)
    for (const { builder } of this.#texts) builder.free()
  }

  #format(columns: readonly Column[], from: number, to: number): void {
    this.#texts.forEach((texts, i) => {
      const column = columns[i] as Column
      const isText = column.layout === 'bytes' && TEXTS.has(column.type.kind)
      if (!isText) formatColumn(column, texts.builder, from, to)
      const { offsets, data, validity } = isText ? column : texts.builder.finish()
      texts.offsets = offsets
      texts.data = data
      texts.view = viewOf(data)
      texts.validity = validity
      texts.base = isText ? from : 0
    })
  }

  /** Appends `rows` rows of the texts at hand. */
  #assemble(rows: number): void {
    const { delimiter, newline } = this.#dialect
    const texts = this.#texts
    const width = texts.length
    this.#ensure(this.#worst(rows))
    const out = this.#out
    let at = this.#size
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < width; c++) {
        const column = texts[c] as Texts
        const { offsets } = column
        const index = column.base + row
        const from = offsets[index] as number
        const to = offsets[index + 1] as number
        at = column.plain ? this.#copy(column, from, to, at) : this.#text(column, index, at)
        out[at++] = delimiter
      }
      if (width > 0) at--
      for (let i = 0; i < newline.length; i++) out[at++] = newline[i] as number
    }
    this.#size = at
  }

  /** Copies bytes of a column to `at`; returns where they end. Up to three bytes behind are overwritten. */
  #copy({ view, data }: Texts, from: number, to: number, at: number): number {
    const out = this.#view
    const end = at + to - from
    if (to + 3 <= data.length) for (; from < to; from += 4, at += 4) out.setInt32(at, view.getInt32(from, true), true)
    else this.#out.set(data.subarray(from, to), at)
    return end
  }

  /** Bytes that the slice at hand may take: every byte doubled, every field in quotes, and what `#copy` overwrites. */
  #worst(rows: number): number {
    let bytes = rows * this.#dialect.newline.length + 4
    for (const { offsets, base, plain } of this.#texts) {
      const size = (offsets[base + rows] as number) - (offsets[base] as number)
      bytes += (plain ? size : size * 2) + 3 * rows
    }
    return bytes
  }

  /** Writes one value of a column that may need quotes at `at`; returns where it ends. */
  #text(column: Texts, row: number, at: number): number {
    const { offsets } = column
    const from = offsets[row] as number
    const to = offsets[row + 1] as number
    if (from === to) return isValid(column, row) ? this.#quoted(column, row, at) : at
    if (this.#isSpecial(column, from, to) || (column.marked && this.#isMarker(column, from, to)))
      return this.#quoted(column, row, at)
    return this.#copy(column, from, to, at)
  }

  /** True when a byte of a text needs quotes around it. Four bytes are passed over at once when none is low enough. */
  #isSpecial({ view, data }: Texts, from: number, to: number): boolean {
    const special = this.#special
    const bound = this.#bound
    const safe = to + 3 <= data.length
    for (let at = from; at < to; at += 4) {
      if (safe) {
        const word = view.getInt32(at, true)
        if (((word - bound) & ~word & 0x80808080) === 0) continue
      }
      const end = Math.min(to, at + 4)
      for (let i = at; i < end; i++) if (special[data[i] as number] === 1) return true
    }
    return false
  }

  #quoted(column: Texts, row: number, at: number): number {
    const { offsets, data } = column
    const { quote, escape } = this.#dialect
    const out = this.#out
    const to = offsets[row + 1] as number
    out[at++] = quote
    for (let i = offsets[row] as number; i < to; i++) {
      const byte = data[i] as number
      if (byte === quote || byte === escape) out[at++] = escape
      out[at++] = byte
    }
    out[at++] = quote
    return at
  }

  /** True for a text that a reader would take for something else: a comment, a null, a byte order mark, PostgreSQL's end of data. */
  #isMarker(column: Texts, from: number, to: number): boolean {
    const { comment, nulls } = this.#dialect
    const { data } = column
    if (column.first) {
      if (data[from] === comment) return true
      if (this.#atBegin && data[from] === 0xef) return true
      if (this.#texts.length === 1 && to - from === 2 && data[from] === 0x5c && data[from + 1] === 0x2e) return true
    }
    return nulls.some((text) => text.length === to - from && text.every((byte, i) => byte === data[from + i]))
  }

  #ensure(bytes: number): void {
    const needed = this.#size + bytes
    if (needed <= this.#out.length) return
    const larger = this.#pool.take(Math.max(needed, this.#out.length * 2))
    larger.set(this.#out.subarray(0, this.#size))
    this.#pool.give(this.#out)
    this.#out = larger
    this.#view = viewOf(larger)
  }
}

const EMPTY = new Uint8Array(0)
const NONE = new Int32Array(0)

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

function emptyTexts(plain: boolean, index: number, { nulls }: CsvDialect, pool: BufferPool): Texts {
  const builder = new BytesBuilder(utf8, pool)
  return {
    offsets: NONE,
    data: EMPTY,
    view: viewOf(EMPTY),
    validity: null,
    base: 0,
    plain,
    first: index === 0,
    marked: index === 0 || nulls.length > 0,
    builder,
  }
}

/** The header is a row of names. */
function nameTexts(name: string, index: number, dialect: CsvDialect, pool: BufferPool): Texts {
  const data = new TextEncoder().encode(name)
  return {
    ...emptyTexts(false, index, dialect, pool),
    data,
    view: viewOf(data),
    offsets: Int32Array.of(0, data.length),
  }
}

function isValid({ validity }: Texts, row: number): boolean {
  return validity === null || ((validity[row >> 3] as number) & (1 << (row & 7))) !== 0
}

/** True when no text of the type can hold a byte or be a text that means something in the dialect. */
function isPlain(type: LogicalType, index: number, dialect: CsvDialect): boolean {
  if (FREE_TEXTS.has(type.kind) || dialect.nulls.length > 0) return false
  if (index === 0 && dialect.comment >= 0) return false
  return ![dialect.delimiter, dialect.quote].some((byte) => PLAIN_BYTES.test(String.fromCharCode(byte)))
}
