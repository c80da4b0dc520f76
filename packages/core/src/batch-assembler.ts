import type { Position, RecordBatch } from './batch.ts'
import { createBatch } from './batch.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { BaseConfig } from './config.ts'
import type { BatchLimits } from './contract.ts'
import { NebulaError } from './errors.ts'
import { Record } from './record.ts'
import type { RecordPool } from './record.ts'
import { createRowBatch } from './row-batch.ts'
import type { RowFault, RowObject } from './row-columns.ts'
import { RowColumns } from './row-columns.ts'
import type { Schema } from './schema.ts'
import type { Value } from './value.ts'
import { valueAt } from './value.ts'

export type StorageMode = BaseConfig['advanced']['storageMode']

export interface AssemblerOptions {
  readonly stream: string
  readonly schema: Schema
  /** `advanced.storageMode` */
  readonly mode: StorageMode
  readonly limits: Pick<BatchLimits, 'rows' | 'bytes'>
  readonly pool: BufferPool
  readonly records: RecordPool
  /** Documents: rows that do not fit the schema are kept as they are, as records. Left out: they are refused. */
  readonly open?: boolean
}

/** Fewer rows than this stay records in hybrid mode: columns are not worth their buffers. */
const LEAST_COLUMN_ROWS = 64
/** What a value of a record takes beside its content, about. */
const VALUE_BYTES = 32

/**
 * Turns rows of a program, or documents, into batches, kept as `mode` says. *row*: records. *columnar*: columns.
 * *hybrid* chooses for each batch: it begins with records, and goes on in columns once there are enough rows that fit
 * the schema; text columns are dictionaries while their values repeat. All is linear in the rows.
 */
export class BatchAssembler {
  readonly #options: AssemblerOptions
  /** Rows that were taken over so far, for messages. */
  #added = 0
  /** Batches that are complete. */
  readonly #ready: ((position?: Position) => RecordBatch)[] = []
  #records: Record[] = []
  #recordBytes = 0
  #columns: RowColumns | undefined
  /** A row of the batch did not fit the schema. */
  #unstable = false
  /** One row, to see what it is in columns. */
  #scratch: RowColumns | undefined

  constructor(options: AssemblerOptions) {
    this.#options = options
  }

  /** Rows that were not taken, but for those of complete batches. */
  get rows(): number {
    return this.#columns?.rows ?? this.#records.length
  }

  /** A batch is complete: `take` it before the next row. */
  get isReady(): boolean {
    const { rows, bytes } = this.#options.limits
    return this.#ready.length > 0 || this.rows >= rows || (this.#columns?.bytes ?? this.#recordBytes) >= bytes
  }

  /** Copies a row. Throws `row_rejected`, which names row and column, for one that does not fit, and is as before. */
  add(row: RowObject | Record): void {
    const { mode, open } = this.#options
    if (this.isReady) throw new NebulaError('internal', { message: 'A row was added to a batch that is complete.' })
    const object = row instanceof Record ? row.data : row
    if (mode === 'columnar' && !this.#columns && !this.#unstable) this.#columns = this.#newColumns()
    const fault = this.#columns ? this.#columns.add(object) : this.#keep(object)
    if (fault && !open) throw this.#refused(fault)
    if (fault && this.#columns) {
      if (this.#columns.rows > 0) this.#ready.push(this.#closed())
      else this.#dropColumns()
      this.#keep(object)
    }
    this.#added++
    const enough = mode === 'hybrid' && this.#records.length >= LEAST_COLUMN_ROWS
    if (enough && !this.#unstable) this.#toColumns()
  }

  /** The next complete batch, else the rows there are; undefined: none. The caller owns it. */
  take(position?: Position): RecordBatch | undefined {
    const ready = this.#ready.shift() ?? (this.rows > 0 ? this.#closed() : undefined)
    // A position lies behind the last row, whichever batch that is in.
    return ready?.(this.#ready.length === 0 && this.rows === 0 ? position : undefined)
  }

  /** Forgets the rows that were not taken, and gives all buffers back. */
  free(): void {
    for (let batch = this.take(); batch; batch = this.take()) batch.release()
    this.#dropColumns()
    this.#scratch?.free()
    this.#scratch = undefined
  }

  #newColumns(): RowColumns {
    const { schema, pool, limits, mode } = this.#options
    return new RowColumns(schema, pool, limits.rows, mode === 'hybrid')
  }

  #dropColumns(): void {
    this.#columns?.free()
    this.#columns = undefined
  }

  /** Keeps a row as a record, with the values that it would have in columns; returns why it has none. */
  #keep(object: RowObject): RowFault | undefined {
    const { schema, pool, records, open } = this.#options
    const scratch = (this.#scratch ??= new RowColumns(schema, pool, 1, false))
    const fault = scratch.add(object)
    if (fault && !open) return fault
    const record = records.get(this.#options.stream)
    if (fault) {
      this.#unstable = true
      for (const [name, value] of Object.entries(object)) record.setData(name, value as Value)
    } else {
      for (const [i, column] of scratch.finish().entries())
        record.setData(schema.fields[i]?.name ?? '', valueAt(column, 0))
      scratch.removeLast()
    }
    this.#recordBytes += scratch.bytes + record.size * VALUE_BYTES
    scratch.bytes = 0
    this.#records.push(record)
    return fault
  }

  #toColumns(): void {
    const columns = this.#newColumns()
    for (const record of this.#records) {
      columns.add(record.data)
      record.release()
    }
    this.#records = []
    this.#recordBytes = 0
    this.#columns = columns
  }

  /** Closes the batch that is being filled. */
  #closed(): (position?: Position) => RecordBatch {
    const { stream, schema, pool } = this.#options
    const [columns, records, byteLength] = [this.#columns, this.#records, this.#recordBytes]
    const first = this.#added - this.rows
    const place = (row: number): string => `row ${first + row + 1}`
    this.#columns = undefined
    this.#records = []
    this.#recordBytes = 0
    this.#unstable = false
    return (position) => {
      const shared = { stream, schema, place, ...(position === undefined ? {} : { position }) }
      if (!columns) return createRowBatch({ ...shared, records, byteLength, pool })
      return createBatch({
        ...shared,
        rows: columns.rows,
        columns: columns.finish(),
        onRelease: () => columns.free(),
      })
    }
  }

  #refused({ column, reason }: RowFault): NebulaError {
    const place = `row ${this.#added + 1}`
    const message = `${place[0]?.toUpperCase()}${place.slice(1)}, column "${column}": ${reason}.`
    return new NebulaError('row_rejected', { message, stream: this.#options.stream, place })
  }
}
