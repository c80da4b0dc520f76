import type { Splitter } from '../format.ts'
import type { CsvDialect } from './dialect.ts'
import { CR, LF } from './dialect.ts'

/** Bytes that are looked at one by one before the native search is called. */
const NEAR = 64

/** True when records can be found without looking at every byte: comments and escapes would need it. */
export function isSplittable(dialect: CsvDialect): boolean {
  return dialect.comment < 0 && dialect.escape === dialect.quote
}

/** Goes from quote to quote with the reader's rules: a quote opens only at the start of a field. */
export class CsvSplitter implements Splitter {
  readonly cuts: number[] = []
  readonly #dialect: CsvDialect
  readonly #targets: readonly number[]
  #next = 0
  /** Where the chunk at hand begins in the file. */
  #offset: number
  /** `closing`: the last byte was a quote inside quotes, and the next one tells whether it closed them. */
  #state: 'outside' | 'inside' | 'closing' = 'outside'
  /** The byte before the chunk at hand. */
  #last = LF

  constructor(dialect: CsvDialect, offset: number, targets: readonly number[]) {
    this.#dialect = dialect
    this.#offset = offset
    this.#targets = targets
  }

  get done(): boolean {
    return this.#next === this.#targets.length
  }

  push(chunk: Uint8Array): void {
    const { length } = chunk
    if (length === 0) return
    let at = this.#enter(chunk)
    while (at < length && !this.done) at = this.#state === 'inside' ? this.#inside(chunk, at) : this.#outside(chunk, at)
    this.#last = chunk[length - 1] as number
    this.#offset += length
  }

  /** Settles what the end of the last chunk left open; returns where to go on. */
  #enter(chunk: Uint8Array): number {
    if (this.#state === 'closing') {
      const doubled = chunk[0] === this.#dialect.quote
      this.#state = doubled ? 'inside' : 'outside'
      return doubled ? 1 : 0
    }
    if (this.#state === 'outside' && this.#last === CR && chunk[0] !== LF) this.#found(this.#offset)
    return 0
  }

  #outside(chunk: Uint8Array, from: number): number {
    const quote = this.#find(chunk, from)
    this.#cut(chunk, from, quote)
    if (quote === chunk.length) return quote
    const before = quote > 0 ? chunk[quote - 1] : this.#last
    if (before === this.#dialect.delimiter || before === LF || before === CR) this.#state = 'inside'
    return quote + 1
  }

  #inside(chunk: Uint8Array, from: number): number {
    const quote = this.#find(chunk, from)
    if (quote === chunk.length) return quote
    if (quote + 1 === chunk.length) {
      this.#state = 'closing'
      return quote + 1
    }
    if (chunk[quote + 1] === this.#dialect.quote) return quote + 2
    this.#state = 'outside'
    return quote + 1
  }

  /** Finds record ends in `chunk[from] .. chunk[to]`, which lies outside quotes. */
  #cut(chunk: Uint8Array, from: number, to: number): void {
    let at = from
    while (!this.done) {
      at = Math.max(at, (this.#targets[this.#next] as number) - this.#offset - 1)
      while (at < to && chunk[at] !== LF && chunk[at] !== CR) at++
      if (at >= to) return
      at++
      if (chunk[at - 1] === LF || (at < chunk.length && chunk[at] !== LF)) this.#found(this.#offset + at)
    }
  }

  /** A record begins at `offset`: that settles every target up to it. */
  #found(offset: number): void {
    if (this.done || (this.#targets[this.#next] as number) > offset) return
    this.cuts.push(offset)
    while (!this.done && (this.#targets[this.#next] as number) <= offset) this.#next++
  }

  /** The next quote from `from` on, or the length of the chunk. */
  #find(chunk: Uint8Array, from: number): number {
    const { quote } = this.#dialect
    const near = Math.min(chunk.length, from + NEAR)
    for (let at = from; at < near; at++) if (chunk[at] === quote) return at
    const found = chunk.indexOf(quote, near)
    return found < 0 ? chunk.length : found
  }
}
