import type { BufferPool, Column, Kind, LogicalType, RecordBatch, Schema } from '@nebula/core'
import { BytesBuilder, formatColumn, utf8, viewOf } from '@nebula/core'
import type { FormatWriter } from '../format.ts'
import type { CsvDialect } from './dialect.ts'
import { CR, LF } from './dialect.ts'
import { findByte, findControl, fourTimes } from './words.ts'

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
  /** Of `data`. */
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
  /** For each row of the slice 1 when its field needs quotes; empty where all are plain. */
  readonly quoted: Uint8Array
  /** One of the slice needs quotes. */
  anyQuoted: boolean
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
  /** Of each row of the slice: its size, then where its next byte goes. */
  readonly #places = new Int32Array(SLICE_ROWS)
  /** At the begin of the file, where a byte order mark would be taken for one. */
  #atBegin: boolean
  #out: Uint8Array = EMPTY
  #view = viewOf(EMPTY)
  #size = 0

  constructor(dialect: CsvDialect, schema: Schema, pool: BufferPool) {
    this.#dialect = dialect
    this.#pool = pool
    for (const byte of [dialect.delimiter, dialect.quote, CR, LF]) this.#special[byte] = 1
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
    if (this.#out.length > 0) this.#pool.give(this.#out)
    this.#out = EMPTY
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

  /** Appends `rows` rows of the texts at hand: measures their fields, then puts them in place, column by column. */
  #assemble(rows: number): void {
    const { newline } = this.#dialect
    const texts = this.#texts
    const places = this.#places
    places.fill(Math.max(0, texts.length - 1) + newline.length, 0, rows)
    for (const column of texts) this.#measure(column, rows)
    let end = this.#size
    for (let row = 0; row < rows; row++) {
      const size = places[row] as number
      places[row] = end
      end += size
    }
    this.#ensure(end)
    for (const column of texts) this.#place(column, rows)
    this.#endLines(rows)
    this.#size = end
  }

  /** Adds the bytes of each field of a column to `places`, and finds the fields that need quotes. */
  #measure(column: Texts, rows: number): void {
    const { offsets, base, plain, quoted } = column
    const places = this.#places
    let from = offsets[base] as number
    const suspect = !plain && (column.marked || this.#isSpecial(column, from, offsets[base + rows] as number))
    column.anyQuoted = false
    for (let row = 0; row < rows; row++) {
      const to = offsets[base + row + 1] as number
      let size = to - from
      if (!plain) {
        const needed = size === 0 ? isValid(column, base + row) : suspect && this.#needsQuotes(column, from, to)
        quoted[row] = needed ? 1 : 0
        if (needed) {
          column.anyQuoted = true
          size = this.#quotedSize(column, from, to)
        }
      }
      places[row] = (places[row] as number) + size
      from = to
    }
  }

  /** Writes the fields of a column to `places`, which then lie behind them. */
  #place(column: Texts, rows: number): void {
    const { offsets, base, view, first, anyQuoted, quoted } = column
    const { delimiter } = this.#dialect
    const places = this.#places
    const out = this.#out
    let from = offsets[base] as number
    for (let row = 0; row < rows; row++) {
      const to = offsets[base + row + 1] as number
      let at = places[row] as number
      if (!first) out[at++] = delimiter
      if (anyQuoted && quoted[row] === 1) at = this.#quote(column, from, to, at)
      else {
        this.#copy(view, from, to - from, at)
        at += to - from
      }
      places[row] = at
      from = to
    }
  }

  /** Copies a text to `at` in words, of which the last overlap those before: nothing around it is read or written. */
  #copy(view: DataView, from: number, size: number, at: number): void {
    const into = this.#view
    if (size >= 8) {
      const last = size - 8
      for (let i = 0; i < last; i += 8) {
        into.setInt32(at + i, view.getInt32(from + i, true), true)
        into.setInt32(at + i + 4, view.getInt32(from + i + 4, true), true)
      }
      into.setInt32(at + last, view.getInt32(from + last, true), true)
      into.setInt32(at + last + 4, view.getInt32(from + last + 4, true), true)
    } else if (size >= 4) {
      const last = size - 4
      into.setInt32(at, view.getInt32(from, true), true)
      into.setInt32(at + last, view.getInt32(from + last, true), true)
    } else for (let i = 0; i < size; i++) into.setUint8(at + i, view.getUint8(from + i))
  }

  #endLines(rows: number): void {
    const { newline } = this.#dialect
    const places = this.#places
    const out = this.#out
    for (let i = 0; i < newline.length; i++) {
      const byte = newline[i] as number
      for (let row = 0; row < rows; row++) out[(places[row] as number) + i] = byte
    }
  }

  #needsQuotes(column: Texts, from: number, to: number): boolean {
    return this.#isSpecial(column, from, to) || (column.marked && this.#isMarker(column, from, to))
  }

  /** True when a byte needs quotes around it. Words in which none can be are passed over whole. */
  #isSpecial({ view, data }: Texts, from: number, to: number): boolean {
    const delimiters = fourTimes(this.#dialect.delimiter)
    const quotes = fourTimes(this.#dialect.quote)
    const words = to - 3
    let at = from
    for (; at < words; at += 4) {
      const word = view.getInt32(at, true)
      const found = findByte(word, delimiters) | findByte(word, quotes) | findControl(word)
      if (found !== 0 && this.#isSpecialByte(data, at, at + 4)) return true
    }
    return this.#isSpecialByte(data, at, to)
  }

  #isSpecialByte(data: Uint8Array, from: number, to: number): boolean {
    const special = this.#special
    for (let at = from; at < to; at++) if (special[data[at] as number] === 1) return true
    return false
  }

  #quotedSize({ data }: Texts, from: number, to: number): number {
    const { quote, escape } = this.#dialect
    let size = to - from + 2
    for (let at = from; at < to; at++) if (data[at] === quote || data[at] === escape) size++
    return size
  }

  /** Writes a text in quotes at `at`; returns where it ends. */
  #quote({ data }: Texts, from: number, to: number, at: number): number {
    const { quote, escape } = this.#dialect
    const out = this.#out
    out[at++] = quote
    for (let i = from; i < to; i++) {
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

  /** Makes room for `needed` bytes of text. */
  #ensure(needed: number): void {
    if (needed <= this.#out.length) return
    const larger = this.#pool.take(Math.max(needed, SLICE_BYTES, this.#out.length * 2))
    larger.set(this.#out.subarray(0, this.#size))
    if (this.#out.length > 0) this.#pool.give(this.#out)
    this.#out = larger
    this.#view = viewOf(larger)
  }
}

const EMPTY = new Uint8Array(0)
const NONE = new Int32Array(0)

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
    quoted: plain ? EMPTY : new Uint8Array(SLICE_ROWS),
    anyQuoted: false,
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
