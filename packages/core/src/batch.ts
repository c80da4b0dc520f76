import type { Column } from './column.ts'
import { columnBytes } from './column.ts'
import { NebulaError } from './errors.ts'
import type { Json } from './json.ts'
import { Record } from './record.ts'
import type { Schema } from './schema.ts'

/** Where reading can begin again. Only the source that made it understands it. */
export type Position = Json

/**
 * Whole rows in the vendor's own encoding, laid out as a bytes column: row `i` is `data[offsets[i]] .. data[offsets[i + 1]]`,
 * without gaps. `format` fixes the framing.
 */
export interface WireRows {
  readonly format: string
  readonly offsets: Int32Array
  readonly data: Uint8Array
}

/** Where a row lies in a file. JSON. */
export interface RowOrigin {
  readonly path: string
  /** Lines and records count from 1; the header is no record. */
  readonly line: number
  readonly record: number
  /** Where it begins, from 0. */
  readonly byte: number
}

/** A row that could not be read, transformed or written. */
export interface Rejection {
  /** Its row in the batch, when it is one of them (refused by the destination). */
  readonly row?: number
  readonly column?: string
  readonly code: string
  readonly reason: string
  /** For people: file and line, ctid, ... */
  readonly place: string
  /** Where it lies, for a row of a file that is none of the batch. Asked for before the batch is released. */
  readonly origin?: () => Promise<RowOrigin | undefined>
  /** The row as the source had it. */
  readonly raw?: Uint8Array
  /** By a transform: the row as it was read, by column, as canonical texts; those in `masked` as they would arrive. */
  readonly values?: { readonly [column: string]: unknown }
  readonly masked?: readonly string[]
}

/** What a batch of changes carries beside its rows. */
export interface Changes {
  /** Per row: 0 insert, 1 update, 2 delete, 3 truncate. */
  readonly operations: Uint8Array
  /** Per column: bit 1 = the value was not sent, keep what is there. */
  readonly unchanged: readonly (Uint8Array | null)[]
  /** Per column: old values where sent; at least those of a key that changed. */
  readonly before: readonly (Column | null)[]
  /** By last row, in order. */
  readonly transactions: readonly { readonly end: number; readonly position: Position; readonly micros: bigint }[]
}

/**
 * N rows of one stream: the unit of flow and backpressure. Immutable. The runtime owns a batch that a source yielded;
 * to `write` it is lent until that resolves, and only the runtime releases it.
 */
export interface RecordBatch {
  readonly stream: string
  /** The same object until the schema changes. */
  readonly schema: Schema
  /** 0: a heartbeat that only moves the position, or carries rejections. */
  readonly rows: number
  readonly byteLength: number
  /** Set: a commit may follow, and reading can begin again behind it. */
  readonly position: Position | undefined
  readonly wire?: WireRows
  /** Left out: every row is an insert. */
  readonly changes?: Changes
  /** By the source or a transform; not among `rows`. */
  readonly rejected: readonly Rejection[]
  /** Values that their columns could not hold, and that are kept in the overflow column; left out: none. */
  readonly overflowed?: number
  /**
   * The column at `index` of the schema. The first call decodes wire rows, once, for all columns in the task's `decode`;
   * another column decodes all there are, which is for rows that go wrong.
   */
  column(index: number): Column
  /** A view of one row, valid until the batch is released. */
  record(row: number): Record
  /** Where a row came from, for people. */
  place(row: number): string
  /** The same for programs, where the row is of a file; for rows that go wrong, for it may read the file again. */
  origin(row: number): Promise<RowOrigin | undefined>
  /** Gives the buffers back; using the batch afterwards throws `released`. */
  release(): void
}

export interface BatchInput {
  readonly stream: string
  readonly schema: Schema
  readonly rows: number
  readonly position?: Position
  readonly wire?: WireRows
  readonly changes?: Changes
  readonly rejected?: readonly Rejection[]
  readonly overflowed?: number
  /**
   * The columns in the order of the schema, or how to decode them: first those that the plan says are looked at, and all
   * only when one of the others is asked for.
   */
  readonly columns: readonly Column[] | ((all: boolean) => readonly (Column | undefined)[])
  readonly place?: (row: number) => string
  readonly origin?: (row: number) => Promise<RowOrigin | undefined>
  /** Called once, at release. */
  readonly onRelease?: () => void
}

/** A batch over columns, over wire rows that are decoded when somebody looks, or both. */
export function createBatch(input: BatchInput): RecordBatch {
  return new ColumnBatch(input)
}

const NO_REJECTIONS: readonly Rejection[] = []

class ColumnBatch implements RecordBatch {
  readonly stream: string
  readonly schema: Schema
  readonly rows: number
  readonly position: Position | undefined
  readonly wire?: WireRows
  readonly changes?: Changes
  readonly rejected: readonly Rejection[]
  readonly overflowed?: number
  readonly #input: BatchInput
  #columns: readonly (Column | undefined)[] | undefined
  #released = false

  constructor(input: BatchInput) {
    this.stream = input.stream
    this.schema = input.schema
    this.rows = input.rows
    this.position = input.position
    this.rejected = input.rejected ?? NO_REJECTIONS
    if (input.wire) this.wire = input.wire
    if (input.changes) this.changes = input.changes
    if (input.overflowed) this.overflowed = input.overflowed
    this.#input = input
    if (typeof input.columns !== 'function') this.#columns = input.columns
  }

  get byteLength(): number {
    const { wire } = this
    if (wire) return (wire.offsets[this.rows] as number) - (wire.offsets[0] as number)
    return this.#decoded().reduce((sum, column) => sum + (column ? columnBytes(column) : 0), 0)
  }

  column(index: number): Column {
    const column = this.#decoded()[index] ?? this.#decodeAll()[index]
    if (!column) throw new NebulaError('internal', { message: `No column ${index} in ${this.stream}.` })
    return column
  }

  #decoded(): readonly (Column | undefined)[] {
    if (this.#released) throw new NebulaError('released', { message: `A batch of ${this.stream} was released.` })
    if (this.#columns) return this.#columns
    const { columns } = this.#input
    this.#columns = typeof columns === 'function' ? columns(false) : columns
    return this.#columns
  }

  #decodeAll(): readonly (Column | undefined)[] {
    const { columns } = this.#input
    if (typeof columns === 'function') this.#columns = columns(true)
    return this.#columns ?? []
  }

  record(row: number): Record {
    return Record.view(this, row)
  }

  place(row: number): string {
    return this.#input.place?.(row) ?? `row ${row + 1} of the batch`
  }

  async origin(row: number): Promise<RowOrigin | undefined> {
    return this.#input.origin?.(row)
  }

  release(): void {
    if (this.#released) throw new NebulaError('released', { message: `A batch of ${this.stream} was released twice.` })
    this.#released = true
    this.#columns = undefined
    this.#input.onRelease?.()
  }
}
