import type { BufferPool, Column, Field, RecordBatch, Rejection, Schema } from '@nebula/core'
import { columnBuilder, createBatch, gatherWire, NebulaError, rowsWithout, typeName } from '@nebula/core'
import type { DecodedField } from './decode-tuples.ts'
import { decodeTuples } from './decode-tuples.ts'
import { BINARY_WIRE } from './frame.ts'

/** Rows of one batch: row `i` is `data[offsets[i]] .. data[offsets[i + 1]]`, without gaps. */
export interface CopiedRows {
  readonly data: Uint8Array
  readonly offsets: Int32Array
  readonly rows: number
  /** Gives the memory back. */
  readonly release: () => void
}

export interface TupleBatchOptions {
  readonly stream: string
  readonly schema: Schema
  /** The format to hand over; undefined: decode at once. */
  readonly wire: string | undefined
  /** Columns that somebody looks at, where the format is handed over. */
  readonly decode: readonly number[]
  readonly pool: BufferPool
  /** Where rows come from, for people: they are `row 17 of PLACE`. */
  readonly place: string
}

/** Makes batches of copied rows: in their wire format, decoded when somebody looks, or decoded at once. */
export class TupleBatches {
  readonly #options: TupleBatchOptions
  /** Rows before this batch. */
  #before = 0
  /** Builders of released batches. */
  readonly #spare: (DecodedField | undefined)[][] = []
  #closed = false

  constructor(options: TupleBatchOptions) {
    this.#options = options
  }

  /** The batch owns the rows. What is looked at is decoded at once; rows that a column cannot hold are rejected. */
  make({ data, offsets, rows, release }: CopiedRows): RecordBatch {
    const { stream, schema, wire: format, decode } = this.#options
    const before = this.#before
    this.#before += rows
    const place = (row: number): string => `row ${before + row + 1} of ${this.#options.place}`
    const fields = this.#spare.pop() ?? this.#fields(format === undefined ? undefined : decode)
    let others: (DecodedField | undefined)[] = []
    const onRelease = (): void => {
      this.#giveBack(fields)
      free(others)
      release()
    }
    const rejected = new Map<number, Rejection>()
    let tuples = { data, starts: offsets, rows }
    let columns = decodeTuples(tuples, fields, (row, index) => {
      const { name, type } = schema.fields[index] as Field
      const raw = data.slice(offsets[row], offsets[row + 1])
      const reason = `the value is outside of what ${typeName(type)} holds`
      rejected.set(row, { column: name, code: 'row_rejected', reason, place: place(row), raw })
    })
    let wire = format === undefined ? undefined : { format, offsets, data }
    const kept = rejected.size === 0 ? undefined : rowsWithout(rows, rejected)
    if (kept) {
      tuples = { data, starts: kept.map((row) => offsets[row] as number), rows: kept.length }
      columns = decodeTuples(tuples, fields, () => {})
      wire &&= gatherWire(wire, kept)
    }
    const all = (): (Column | undefined)[] => {
      others = this.#fields(undefined)
      return decodeTuples(tuples, others, () => {})
    }
    return createBatch({
      stream,
      schema,
      rows: tuples.rows,
      rejected: [...rejected.values()],
      place: kept ? (row) => place(kept[row] as number) : place,
      columns: (everything) => (everything ? all() : columns),
      ...(wire ? { wire } : {}),
      onRelease,
    })
  }

  /** No more batches are made: what released ones leave is not kept. */
  close(): void {
    this.#closed = true
    for (const fields of this.#spare.splice(0)) free(fields)
  }

  /** Buffers that are only kept for the next batch must not keep it from being read. */
  #giveBack(fields: (DecodedField | undefined)[]): void {
    const { pool } = this.#options
    if (this.#closed || pool.isFull) free(fields)
    else this.#spare.push(fields)
  }

  /** Builders for some columns; undefined: for all. */
  #fields(wanted: readonly number[] | undefined): (DecodedField | undefined)[] {
    const { schema, wire, pool } = this.#options
    if (wire !== undefined && wire !== BINARY_WIRE && wanted?.length !== 0) {
      throw new NebulaError('unsupported', { message: `Rows in the format ${wire} are not decoded.` })
    }
    return schema.fields.map(({ type, declared }, index) => {
      if (wanted && !wanted.includes(index)) return undefined
      return { builder: columnBuilder(type, pool), jsonb: type.kind === 'json' && declared === 'jsonb' }
    })
  }
}

function free(fields: readonly (DecodedField | undefined)[]): void {
  for (const field of fields) field?.builder.free()
}
