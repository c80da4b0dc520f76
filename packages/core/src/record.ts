import type { RecordBatch } from './batch.ts'
import { NebulaError } from './errors.ts'
import type { LogicalType } from './types.ts'
import type { Value } from './value.ts'
import { valueAt } from './value.ts'

/** Facts about a record that are not columns. */
export interface RecordMetadata {
  /** The stream or system that it came from. */
  source: string
  /** When it was read, in milliseconds since 1970. */
  timestamp: number
  [key: string]: unknown
}

/**
 * One row, at the edges: a view of a batch (`batch.record(row)`), or data of its own from a `RecordPool`. Reading it
 * makes JavaScript values; nothing on the hot path does. Use after `release` throws `released`.
 */
export class Record {
  #batch: RecordBatch | undefined
  #row = 0
  #data = new Map<string, Value>()
  #metadata: RecordMetadata = { source: '', timestamp: 0 }
  /** Somebody set metadata: the next use has its own. */
  #marked = false
  #pool: RecordPool | undefined
  #live = true

  /** A view of a row of `batch`, valid until that batch is released; of a pool, for `RecordPool` only. */
  static view(batch: RecordBatch, row: number, pool?: RecordPool, reuse?: Record): Record {
    const record = reuse ?? new Record()
    record.#begin(pool, batch.stream)
    record.#batch = batch
    record.#row = row
    return record
  }

  /** A record of `pool`, cleared; for `RecordPool` only. */
  static pooled(pool: RecordPool, source: string, reuse?: Record): Record {
    const record = reuse ?? new Record()
    record.#begin(pool, source)
    return record
  }

  #begin(pool: RecordPool | undefined, source: string): void {
    this.#pool = pool
    this.#live = true
    if (this.#marked) this.#metadata = { source, timestamp: 0 }
    else this.#metadata.source = source
    this.#marked = false
  }

  /** The value of a column; undefined when the record has no such column, null when the value is null. */
  get(name: string): Value | undefined {
    this.#check()
    const batch = this.#batch
    if (!batch) return this.#data.get(name)
    const index = batch.schema.fields.findIndex((field) => field.name === name)
    return index < 0 ? undefined : valueAt(batch.column(index), this.#row)
  }

  /** Sets one value. A view of a batch cannot be changed. */
  setData(name: string, value: Value): void {
    this.#check()
    if (this.#batch) throw new NebulaError('lifecycle', { message: 'A record that is a view of a batch is read-only.' })
    this.#data.set(name, value)
  }

  /** All values by column name, as a new object. */
  get data(): { [name: string]: Value } {
    this.#check()
    const batch = this.#batch
    if (!batch) return Object.fromEntries(this.#data)
    return Object.fromEntries(
      batch.schema.fields.map((field, index) => [field.name, valueAt(batch.column(index), this.#row)]),
    )
  }

  /** The type of a column, where the record has a schema. */
  typeOf(name: string): LogicalType | undefined {
    this.#check()
    return this.#batch?.schema.fields.find((field) => field.name === name)?.type
  }

  get metadata(): Readonly<RecordMetadata> {
    this.#check()
    return this.#metadata
  }

  setMetadata(name: string, value: unknown): void {
    this.#check()
    this.#marked = true
    this.#metadata[name] = value
  }

  /** Columns. */
  get size(): number {
    this.#check()
    return this.#batch ? this.#batch.schema.fields.length : this.#data.size
  }

  /** Ends the use of this record; a pooled one goes back to its pool. */
  release(): void {
    this.#check()
    this.#live = false
    this.#batch = undefined
    // Clearing costs as much as making a record, also where there is nothing.
    if (this.#data.size > 0) this.#data.clear()
    this.#pool?.giveBack(this)
  }

  #check(): void {
    if (!this.#live) throw new NebulaError('released', { message: 'A record was used after its release.' })
  }
}

/** Reuses records that are not views. Statistics count what is lent out. */
export class RecordPool {
  readonly capacity: number
  readonly #idle: Record[] = []
  #lent = 0
  #hits = 0
  #misses = 0

  /** Keeps at most `capacity` idle records. */
  constructor(capacity = 1024) {
    this.capacity = capacity
  }

  /** An empty record, of a stream where one is given; `release` brings it back. */
  get(source = ''): Record {
    return Record.pooled(this, source, this.#reused())
  }

  /** A view of a row of `batch`, valid until that batch is released; `release` brings it back. */
  view(batch: RecordBatch, row: number): Record {
    return Record.view(batch, row, this, this.#reused())
  }

  #reused(): Record | undefined {
    const reuse = this.#idle.pop()
    if (reuse) this.#hits++
    else this.#misses++
    this.#lent++
    return reuse
  }

  /** Called by `Record.release`. */
  giveBack(record: Record): void {
    this.#lent--
    if (this.#idle.length < this.capacity) this.#idle.push(record)
  }

  get statistics(): { readonly lent: number; readonly idle: number; readonly hits: number; readonly misses: number } {
    return { lent: this.#lent, idle: this.#idle.length, hits: this.#hits, misses: this.#misses }
  }
}
