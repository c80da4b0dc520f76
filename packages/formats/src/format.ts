import type { BufferPool, Column, Field, RecordBatch, Schema } from '@nebula/core'

/**
 * What a file format does for `@nebula/files`: bytes to columns and back, without I/O. A value of this type is chosen
 * before a file is opened.
 */
export interface Format {
  readonly name: string
  /** File name extensions that it reads, first the one that it writes: `.csv`. */
  readonly extensions: readonly string[]
  /** The wire format whose rows it can append as they are; left out: none. */
  readonly wire?: string
  /** Files can be cut between records, by `splitter`. */
  readonly splittable: boolean
  /**
   * What the beginning of a file says. Undefined: `head` is too short; ask again with more, or with `complete` when
   * there is no more. Throws `data_invalid` when it is no such file.
   */
  preamble(head: Uint8Array, complete: boolean): Preamble | undefined
  /** Infers the types of columns from the beginnings of files that have them. */
  inference(names: readonly string[], pool: BufferPool): FormatInference
  reader(options: ReaderOptions): FormatReader
  /** Looks from a record that lies `offset` bytes into the file for `targets`, which rise. */
  splitter(offset: number, targets: readonly number[]): Splitter
  writer(schema: Schema, pool: BufferPool): FormatWriter
}

/** The beginning of a file. */
export interface Preamble {
  /** The columns, in the file's order; unique. */
  readonly names: readonly string[]
  /** Where the first record begins. */
  readonly size: number
}

export interface FormatInference {
  /** Looks at the rows in the first bytes of a file; a row that `head` cuts does not count. */
  observe(head: Uint8Array, complete: boolean, preamble: Preamble): void
  /** The columns with the types that fit every row so far. */
  readonly fields: readonly Field[]
  free(): void
}

export interface ReaderOptions {
  readonly schema: Schema
  /** Per field of the schema: which column of the file. */
  readonly columns: readonly number[]
  /** Columns of the file. */
  readonly width: number
  /** Where the first byte lies in the file; a record begins there. */
  readonly offset: number
  readonly rows: number
  readonly bytes: number
  readonly pool: BufferPool
}

/** A record that gave no row. */
export interface RowFault {
  /** Where it begins in the file. */
  readonly offset: number
  readonly code: 'row_invalid' | 'value_invalid'
  readonly reason: string
  readonly column?: string
  readonly raw: Uint8Array
}

/** Rows of a file. The columns are valid until `release`. */
export interface FormatBatch {
  readonly rows: number
  readonly columns: readonly Column[]
  readonly faults: readonly RowFault[]
  /** Where a row begins in the file. */
  offsetOf(row: number): number
  release(): void
}

/**
 * Turns a file, or a part of it that begins and ends between records, into batches. Its user fills `space()`, reports
 * how much with `filled`, and takes batches until there is none. While they are taken, `space()` may be filled again.
 */
export interface FormatReader {
  space(): Uint8Array
  /** More must be read before memory is freed: do not wait for memory. */
  readonly gathering: boolean
  filled(bytes: number): void
  /** Nothing follows. */
  end(): void
  /** The next rows; undefined when more bytes are needed, or after the end. */
  next(): FormatBatch | undefined
  /** Gives back what is only kept for the next batch, when memory is short. */
  trim(): void
  /** Gives all buffers back; batches that are still out give theirs at their release. */
  free(): void
}

/** Finds, for each target, where the first record begins at or behind it. Fed with the bytes of a file in order. */
export interface Splitter {
  /** Rising; fewer than the targets when several lie in one record. */
  readonly cuts: readonly number[]
  /** Every target is found: the rest of the file does not matter. */
  readonly done: boolean
  push(chunk: Uint8Array): void
}

/** Turns batches into the bytes of one file. */
export interface FormatWriter {
  /** What the file begins with. */
  readonly preamble: Uint8Array
  /** Rows `from` to `to`; valid until the next call. */
  encode(batch: RecordBatch, from: number, to: number): Uint8Array
  /** Gives all buffers back; the next rows take new ones. */
  free(): void
}
