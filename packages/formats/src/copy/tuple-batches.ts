import type { BufferPool, Column, Field, RecordBatch, Rejection, Schema } from '@nebula/core'
import { columnBuilder, createBatch, NebulaError, typeName } from '@nebula/core'
import type { DecodedField, Tuples } from './decode-tuples.ts'
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
  readonly pool: BufferPool
  /** Where rows come from, for people: they are `row 17 of PLACE`. */
  readonly place: string
}

/** Makes batches of copied rows: in their wire format, decoded when somebody looks, or decoded at once. */
export class TupleBatches {
  readonly #options: TupleBatchOptions
  /** Rows before this batch. */
  #before = 0

  constructor(options: TupleBatchOptions) {
    this.#options = options
  }

  /** The batch owns the rows. Of rows that are decoded at once, those that a column cannot hold are rejected. */
  make({ data, offsets, rows, release }: CopiedRows): RecordBatch {
    const { stream, schema, wire: format } = this.#options
    const before = this.#before
    this.#before += rows
    const place = (row: number): string => `row ${before + row + 1} of ${this.#options.place}`
    let fields: DecodedField[] = []
    const decode = (tuples: Tuples, onFault: (row: number, field: number) => void): Column[] => {
      if (fields.length === 0) fields = this.#fields()
      return decodeTuples(tuples, fields, onFault)
    }
    const onRelease = (): void => {
      for (const { builder } of fields) builder.free()
      release()
    }
    const all = { data, starts: offsets, rows }
    if (format !== undefined) {
      const columns = (): Column[] => decode(all, () => {})
      return createBatch({ stream, schema, rows, place, wire: { format, offsets, data }, columns, onRelease })
    }
    const rejected = new Map<number, Rejection>()
    const columns = decode(all, (row, field) => {
      const { name, type } = schema.fields[field] as Field
      const raw = data.slice(offsets[row], offsets[row + 1])
      const reason = `the value is outside of what ${typeName(type)} holds`
      rejected.set(row, { column: name, code: 'row_rejected', reason, place: place(row), raw })
    })
    if (rejected.size === 0) return createBatch({ stream, schema, rows, place, columns, onRelease })
    const kept = Int32Array.from({ length: rows }, (_, row) => row).filter((row) => !rejected.has(row))
    const good = { data, starts: kept.map((row) => offsets[row] as number), rows: kept.length }
    return createBatch({
      stream,
      schema,
      rows: kept.length,
      rejected: [...rejected.values()],
      place: (row) => place(kept[row] as number),
      columns: decode(good, () => {}),
      onRelease,
    })
  }

  #fields(): DecodedField[] {
    const { schema, wire, pool } = this.#options
    if (wire !== undefined && wire !== BINARY_WIRE) {
      throw new NebulaError('unsupported', { message: `Rows in the format ${wire} are not decoded.` })
    }
    return schema.fields.map(({ type, declared }) => {
      return { builder: columnBuilder(type, pool), jsonb: type.kind === 'json' && declared === 'jsonb' }
    })
  }
}
