import type { Position, RecordBatch, Rejection } from './batch.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { Column } from './column.ts'
import { NebulaError } from './errors.ts'
import type { Record } from './record.ts'
import type { Field, Schema } from './schema.ts'
import type { ValueColumn } from './value-column.ts'
import { PlainColumn, unfit } from './value-column.ts'

export interface RowBatchInput {
  readonly stream: string
  /** The columns that `column` can build; records may hold more. */
  readonly schema: Schema
  /** Released with the batch. */
  readonly records: readonly Record[]
  /** About how much memory they take. */
  readonly byteLength: number
  /** For the columns that somebody asks for. */
  readonly pool: BufferPool
  readonly position?: Position
  readonly rejected?: readonly Rejection[]
  readonly place?: (row: number) => string
  readonly origin?: RecordBatch['origin']
}

/**
 * A batch that keeps records: for documents without a stable schema, and for few rows that must not wait. A column is
 * built when it is asked for; it throws `row_rejected` for a record whose value is not of the column's type.
 */
export function createRowBatch(input: RowBatchInput): RecordBatch {
  return new RowBatch(input)
}

class RowBatch implements RecordBatch {
  readonly stream: string
  readonly schema: Schema
  readonly rows: number
  readonly byteLength: number
  readonly position: Position | undefined
  readonly rejected: readonly Rejection[]
  readonly #input: RowBatchInput
  readonly #columns: (ValueColumn | undefined)[] = []
  #released = false

  constructor(input: RowBatchInput) {
    this.stream = input.stream
    this.schema = input.schema
    this.rows = input.records.length
    this.byteLength = input.byteLength
    this.position = input.position
    this.rejected = input.rejected ?? []
    this.#input = input
  }

  column(index: number): Column {
    this.#check()
    const field = this.schema.fields[index]
    if (!field) throw new NebulaError('internal', { message: `No column ${index} in ${this.stream}.` })
    return (this.#columns[index] ??= this.#build(field)).finish(this.rows)
  }

  record(row: number): Record {
    this.#check()
    return this.#input.records[row] as Record
  }

  place(row: number): string {
    return this.#input.place?.(row) ?? `row ${row + 1} of the batch`
  }

  async origin(row: number): ReturnType<RecordBatch['origin']> {
    return this.#input.origin?.(row)
  }

  release(): void {
    this.#check()
    this.#released = true
    for (const column of this.#columns) column?.free()
    for (const record of this.#input.records) record.release()
  }

  #build({ name, type }: Field): ValueColumn {
    const { records, pool } = this.#input
    const column = new PlainColumn(type, pool, this.rows)
    for (let row = 0; row < this.rows; row++) {
      if (column.put(row, (records[row] as Record).get(name)) >= 0) continue
      column.free()
      const message = `${this.place(row)}, column "${name}": ${unfit(type)}.`
      throw new NebulaError('row_rejected', { message, stream: this.stream, place: this.place(row) })
    }
    return column
  }

  #check(): void {
    if (this.#released) throw new NebulaError('released', { message: `A batch of ${this.stream} was released.` })
  }
}
