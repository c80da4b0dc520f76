import type { BufferPool } from '@nebula/core'
import { viewOf } from '@nebula/core'
import type { CsvDialect } from './dialect.ts'
import { CR, LF } from './dialect.ts'
import { findByte, findControl, firstFound, fourTimes } from './words.ts'

/** Bytes behind `to` that a window needs: a line end and a quote stop the loops there, which read words of four bytes. */
export const SENTINELS = 5

/** The bytes to frame: `data[from] .. data[to]`. What lies behind `to` is overwritten. */
export interface Window {
  readonly data: Uint8Array
  readonly from: number
  readonly to: number
  /** Nothing follows: the last record needs no line end. */
  readonly final: boolean
  /** Stop after so many records, or behind so many bytes. */
  readonly rows: number
  readonly bytes: number
}

/** A record that is no row: `data[start] .. data[end]`. */
export interface FrameFault {
  readonly start: number
  readonly end: number
  /** Below 0 when its quotes are wrong. */
  readonly fields: number
  readonly reason: string
}

/**
 * Why framing ended: at a limit or the end; before a record whose end lies behind the window; before a record whose
 * unescaped fields need more room behind it.
 */
export type FrameEnd = 'done' | 'incomplete' | 'cramped'

const INCOMPLETE = -1
const CRAMPED = -2

const DAMAGED = -1
const COMMENT = -2

/**
 * Finds the fields of whole records (RFC 4180, section 2), each byte once. A quote opens only at the start of a field.
 * A field without escapes is a slice of the window; an unescaped one is a slice of the space behind it.
 */
export class CsvFramer {
  /** Field `c` of row `r` is `data[starts[r * columns + c]] .. data[ends[...]]`; a start of -1 is null. */
  starts: Int32Array = NONE
  ends: Int32Array = NONE
  /** Row `r` is `data[spans[2r]] .. data[spans[2r + 1]]`, without its line end. */
  spans: Int32Array = NONE
  rows = 0
  /** Where the first record begins that was not framed. */
  next = 0
  faults: FrameFault[] = []

  readonly #dialect: CsvDialect
  readonly #columns: number
  readonly #pool: BufferPool
  #data: Uint8Array = EMPTY
  /** Of `#data`. */
  #view = viewOf(EMPTY)
  #to = 0
  #final = false
  /** Where the next unescaped field goes. */
  #space = 0
  /** Of the record at hand: its fields, `DAMAGED` or `COMMENT`; and what is wrong with its quotes. */
  #fields = 0
  #damage = ''
  /** Of the quoted field at hand. */
  #start = 0
  #end = 0

  constructor(dialect: CsvDialect, columns: number, pool: BufferPool) {
    this.#dialect = dialect
    this.#columns = columns
    this.#pool = pool
  }

  /** Frames records from `window.from` on; the previous frame is lost. */
  frame(window: Window): FrameEnd {
    const { data, from, to, final } = window
    if (this.#data !== data) this.#view = viewOf(data)
    this.#data = data
    this.#to = to
    this.#final = final
    this.#space = to + SENTINELS
    data[to] = LF
    data[to + 1] = this.#dialect.quote
    this.rows = 0
    this.faults = []
    const bytes = Math.min(to - from, window.bytes)
    const most = Math.min(window.rows, bytes + 1)
    this.#reserve(most, Math.min(most * this.#columns, bytes + this.#columns))
    const end = this.#records(from, from + bytes, most)
    this.next = Math.min(this.next, to)
    return end
  }

  /** Keeps only the rows that `kept` names, in order. */
  keep(kept: readonly number[]): void {
    const columns = this.#columns
    kept.forEach((row, i) => {
      this.starts.copyWithin(i * columns, row * columns, (row + 1) * columns)
      this.ends.copyWithin(i * columns, row * columns, (row + 1) * columns)
      this.spans.copyWithin(i * 2, row * 2, row * 2 + 2)
    })
    this.rows = kept.length
  }

  free(): void {
    for (const array of [this.starts, this.ends, this.spans]) if (array !== NONE) this.#pool.give(bytesOf(array))
    this.starts = NONE
    this.ends = NONE
    this.spans = NONE
  }

  #reserve(rows: number, fields: number): void {
    this.starts = this.#grown(this.starts, fields)
    this.ends = this.#grown(this.ends, fields)
    this.spans = this.#grown(this.spans, rows * 2)
  }

  #grown(array: Int32Array, length: number): Int32Array {
    if (array.length >= length && array !== NONE) return array
    if (array !== NONE) this.#pool.give(bytesOf(array))
    const bytes = this.#pool.take(length * 4)
    return new Int32Array(bytes.buffer, 0, bytes.byteLength / 4)
  }

  #records(from: number, stop: number, most: number): FrameEnd {
    const { spans } = this
    const data = this.#data
    const columns = this.#columns
    const { comment } = this.#dialect
    let at = from
    let row = 0
    while (at < stop && row < most) {
      this.next = at
      this.#damage = ''
      const end = data[at] === comment ? this.#commentEnd(at) : this.#record(at, row * columns)
      const behind = end < 0 ? end : this.#lineEnd(end)
      if (behind < 0) {
        this.rows = row
        return behind === CRAMPED ? 'cramped' : 'incomplete'
      }
      if (this.#fields === columns) {
        spans[row * 2] = at
        spans[row * 2 + 1] = end
        row++
      } else if (end > at) this.#refuse(at, end)
      at = behind
    }
    this.next = at
    this.rows = row
    return 'done'
  }

  /** Frames the fields of the record at `at`; returns where its line end is. */
  #record(begin: number, slot: number): number {
    const { starts, ends } = this
    const data = this.#data
    const columns = this.#columns
    const { delimiter, quote } = this.#dialect
    const hasNulls = this.#dialect.nulls.length > 0
    let at = begin
    let field = 0
    for (;;) {
      let start = at
      let end = 0
      let byte = data[at] as number
      if (byte === quote) {
        at = this.#quoted(at)
        if (at < 0) return at
        start = this.#start
        end = this.#end
        byte = data[at] as number
      } else {
        at = this.#textEnd(at)
        byte = data[at] as number
        end = at
        if (at === start || (hasNulls && this.#isNull(start, at))) start = -1
      }
      if (field < columns) {
        starts[slot + field] = start
        ends[slot + field] = end
      }
      field++
      if (byte !== delimiter) break
      at++
    }
    this.#fields = this.#damage === '' ? field : DAMAGED
    return at
  }

  /** The first delimiter or line end from `at` on. Words in which neither can be are passed over whole. */
  #textEnd(at: number): number {
    const data = this.#data
    const view = this.#view
    const { delimiter } = this.#dialect
    const delimiters = fourTimes(delimiter)
    for (;;) {
      const word = view.getInt32(at, true)
      const found = findByte(word, delimiters) | findControl(word)
      if (found === 0) at += 4
      else {
        at += firstFound(found)
        const byte = data[at] as number
        if (byte === delimiter || byte === LF || byte === CR) return at
        at++
      }
    }
  }

  /** Behind the line end at `at`. */
  #lineEnd(at: number): number {
    const to = this.#to
    if (at >= to) return this.#final ? to : INCOMPLETE
    if (this.#data[at] !== CR) return at + 1
    if (at + 1 === to && !this.#final) return INCOMPLETE
    return this.#data[at + 1] === LF ? at + 2 : at + 1
  }

  /** Finds the end of the quoted field that opens at `open`; returns where what follows begins. */
  #quoted(open: number): number {
    const data = this.#data
    const { quote, escape } = this.#dialect
    let at = open + 1
    let escapes = false
    for (;;) {
      let byte = data[at] as number
      while (byte !== quote && byte !== escape) byte = data[++at] as number
      if (at + 1 >= this.#to && !this.#final) return INCOMPLETE
      if (at >= this.#to) return this.#unclosed(open)
      const escaped = byte === escape && this.#isEscape(at, this.#to)
      if (!escaped && byte === quote) break
      escapes ||= escaped
      at += escaped ? 2 : 1
    }
    this.#start = open + 1
    this.#end = at
    if (escapes && !this.#unescape(open + 1, at)) return CRAMPED
    return this.#closed(at + 1)
  }

  /** True when the escape at `at` stands before a quote or an escape, in a field that ends at `to`. */
  #isEscape(at: number, to: number): boolean {
    const follows = this.#data[at + 1]
    return at + 1 < to && (follows === this.#dialect.quote || follows === this.#dialect.escape)
  }

  /** Copies `data[from] .. data[to]` without its escapes behind the window; false when there is no room. */
  #unescape(from: number, to: number): boolean {
    const data = this.#data
    const { escape } = this.#dialect
    let space = this.#space
    if (space + to - from > data.length) return false
    this.#start = space
    for (let at = from; at < to; at++) {
      let byte = data[at] as number
      if (byte === escape && this.#isEscape(at, to)) byte = data[++at] as number
      data[space++] = byte
    }
    this.#end = space
    this.#space = space
    return true
  }

  /** Behind a closing quote: where the field ends. Text there spoils the record, and is read as unquoted. */
  #closed(at: number): number {
    const data = this.#data
    const { delimiter } = this.#dialect
    let byte = data[at] as number
    if (byte === delimiter || byte === LF || byte === CR) return at
    this.#damage = 'text after a closing quote'
    while (byte !== delimiter && byte !== LF && byte !== CR) byte = data[++at] as number
    return at
  }

  #unclosed(open: number): number {
    this.#damage = 'a quote is not closed'
    this.#start = open + 1
    this.#end = this.#to
    return this.#to
  }

  #commentEnd(at: number): number {
    const data = this.#data
    let byte = data[at] as number
    while (byte !== LF && byte !== CR) byte = data[++at] as number
    this.#fields = COMMENT
    return at
  }

  #isNull(start: number, end: number): boolean {
    const data = this.#data
    return this.#dialect.nulls.some(
      (text) => text.length === end - start && text.every((byte, i) => byte === data[start + i]),
    )
  }

  #refuse(start: number, end: number): void {
    if (this.#fields === COMMENT) return
    const counted = `${this.#fields} ${this.#fields === 1 ? 'field' : 'fields'} instead of ${this.#columns}`
    this.faults.push({ start, end, fields: this.#fields, reason: this.#damage === '' ? counted : this.#damage })
  }
}

const NONE = new Int32Array(0)
const EMPTY = new Uint8Array(0)

function bytesOf(array: Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, 0, array.byteLength)
}
