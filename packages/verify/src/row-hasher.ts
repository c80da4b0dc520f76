import type { BufferPool, BytesColumn, Column, RecordBatch } from '@nebula/core'
import { BytesBuilder, formatColumn, isNull, utf8 } from '@nebula/core'
import { murmur3 } from './murmur3.ts'

/** Longer values are copied by the engine. */
const LONG = 64
const SEED = 0

/**
 * Hashes the rows of batches by their canonical texts: MurmurHash3 over the columns of a row, one after the other, each
 * as its length in 32 bits (-1: null) and its text, filled up with zeros to whole words. Values without a text form are
 * taken as the bytes that they are. Equal rows have equal hashes, whichever system they were read from.
 */
export class RowHasher {
  /** Two words a row: the hash of its key, low word first. Valid until the next batch. */
  keys: Int32Array = new Int32Array(0)
  /** The same of all its columns. */
  rows: Int32Array = new Int32Array(0)
  readonly #columns: readonly number[]
  readonly #key: readonly number[]
  readonly #builders: readonly BytesBuilder[]
  readonly #pool: BufferPool
  readonly #hash = new Int32Array(4)
  #texts: readonly BytesColumn[] = []
  #scratch: Uint8Array
  #words: Int32Array

  /** `columns` are indices of the batches' schema, in the order in which they are hashed; `key`: places in `columns`. */
  constructor(columns: readonly number[], key: readonly number[], pool: BufferPool) {
    this.#columns = columns
    this.#key = key
    this.#pool = pool
    this.#builders = columns.map(() => new BytesBuilder(utf8, pool))
    this.#scratch = pool.take(4096)
    this.#words = wordsOf(this.#scratch)
  }

  /** Fills `keys` and `rows`; without key columns they are the same. */
  hash(batch: RecordBatch): void {
    const { rows: count } = batch
    if (this.rows.length < count * 2) {
      this.keys = new Int32Array(count * 2)
      this.rows = this.#key.length === 0 ? this.keys : new Int32Array(count * 2)
    }
    const texts = this.#columns.map((column, i) => asBytes(batch.column(column), this.#builders[i] as BytesBuilder))
    const key = this.#key.map((place) => texts[place] as BytesColumn)
    this.#texts = texts
    for (let row = 0; row < count; row++) {
      this.#hashRow(texts, row, this.rows)
      if (key.length > 0) this.#hashRow(key, row, this.keys)
    }
  }

  /** The value of a hashed column in the last batch, for people. */
  text(place: number, row: number): string | null {
    const column = this.#texts[place]
    if (!column || isNull(column, row)) return null
    const bytes = Buffer.from(column.data.subarray(column.offsets[row], column.offsets[row + 1]))
    return column.type.kind === 'native' ? `\\x${bytes.toString('hex')}` : bytes.toString()
  }

  free(): void {
    for (const builder of this.#builders) builder.free()
    this.#pool.give(this.#scratch)
    this.#texts = []
  }

  #hashRow(columns: readonly BytesColumn[], row: number, out: Int32Array): void {
    let at = 0
    for (const column of columns) {
      const { offsets, validity } = column
      if (validity !== null && ((validity[row >> 3] as number) & (1 << (row & 7))) === 0) {
        this.#ensure(at + 4)
        this.#words[at >> 2] = -1
        at += 4
      } else at = this.#append(column.data, offsets[row] as number, offsets[row + 1] as number, at)
    }
    this.#scratch.fill(0, at, at + 16)
    murmur3(this.#words, at, SEED, this.#hash)
    out[row * 2] = this.#hash[0] as number
    out[row * 2 + 1] = this.#hash[1] as number
  }

  /** Writes one value behind `at`, which is a multiple of 4, and returns where the next one begins. */
  #append(data: Uint8Array, start: number, end: number, at: number): number {
    const length = end - start
    this.#ensure(at + length + 8)
    const scratch = this.#scratch
    this.#words[at >> 2] = length
    let to = at + 4
    const next = to + ((length + 3) & ~3)
    // Behind the value the last word is zero.
    if (next > to) this.#words[(next >> 2) - 1] = 0
    if (length < LONG) for (let i = start; i < end; i++) scratch[to++] = data[i] as number
    else scratch.set(data.subarray(start, end), to)
    return next
  }

  /** Room for `bytes` and the zeros behind the last value. */
  #ensure(bytes: number): void {
    if (bytes + 16 <= this.#scratch.length) return
    const larger = this.#pool.take((bytes + 16) * 2)
    larger.set(this.#scratch)
    this.#pool.give(this.#scratch)
    this.#scratch = larger
    this.#words = wordsOf(larger)
  }
}

function wordsOf({ buffer, byteLength }: Uint8Array): Int32Array {
  return new Int32Array(buffer, 0, byteLength >> 2)
}

/** The texts of a column; of one that is bytes already, these. */
function asBytes(column: Column, builder: BytesBuilder): BytesColumn {
  if (column.layout === 'bytes' && column.type.kind !== 'binary') return column
  formatColumn(column, builder)
  return builder.finish()
}
