import { hash } from 'node:crypto'
import type { BufferPool, Column, ColumnBuilder, LogicalType, RecordBatch, Rejection, Schema } from '@nebula/core'
import {
  BytesBuilder,
  castColumn,
  columnBuilder,
  createBatch,
  formatColumn,
  gatherColumn,
  typeName,
  utf8,
} from '@nebula/core'
import { plainValue } from './dead-letters.ts'

/** What happens to one column between source and destination. JSON. */
export type ColumnStep = { readonly kind: 'cast'; readonly type: LogicalType } | { readonly kind: 'sha256' }

/**
 * Applies the steps of one task. A transformed batch is valid until the next call: its buffers are the transformer's
 * own. Rows that do not fit are taken out and travel in `rejected`.
 */
export class Transformer {
  readonly #schema: Schema
  readonly #steps: readonly (ColumnStep | undefined)[]
  readonly #pool: BufferPool
  readonly #builders: (ColumnBuilder | undefined)[]
  readonly #gathered: ColumnBuilder[] = []

  /** `schema` is that of the result; one step per column. */
  constructor(schema: Schema, steps: readonly (ColumnStep | undefined)[], pool: BufferPool) {
    this.#schema = schema
    this.#steps = steps
    this.#pool = pool
    this.#builders = steps.map((step) => step && columnBuilder(step.kind === 'cast' ? step.type : utf8, pool))
  }

  /** The batch as the destination wants it. The given batch must outlive the result. */
  apply(batch: RecordBatch): RecordBatch {
    const faults = new Map<number, number>()
    const columns = this.#steps.map((step, index) => {
      const column = batch.column(index)
      const builder = this.#builders[index]
      return step && builder ? this.#step(step, column, builder, (row) => noteFault(faults, row, index)) : column
    })
    const place = (row: number): string => batch.place(row)
    const plain = { stream: batch.stream, schema: this.#schema, place }
    const position = batch.position === undefined ? {} : { position: batch.position }
    if (faults.size === 0) {
      return createBatch({ ...plain, ...position, rows: batch.rows, columns, rejected: batch.rejected })
    }
    const kept = Int32Array.from({ length: batch.rows }, (_, row) => row).filter((row) => !faults.has(row))
    return createBatch({
      ...plain,
      ...position,
      rows: kept.length,
      columns: columns.map((column, index) => gatherColumn(column, kept, this.#gatherer(column, index))),
      place: (row) => batch.place(kept[row] as number),
      rejected: [...batch.rejected, ...[...faults].map(([row, index]) => this.#rejection(batch, row, index))],
    })
  }

  free(): void {
    for (const builder of [...this.#builders, ...this.#gathered]) builder?.free()
  }

  #step(step: ColumnStep, column: Column, builder: ColumnBuilder, onFault: (row: number) => void): Column {
    if (step.kind === 'cast') castColumn(column, builder, this.#pool, onFault)
    else sha256Column(column, builder as BytesBuilder, this.#pool)
    return builder.finish()
  }

  #gatherer(column: Column, index: number): ColumnBuilder {
    return (this.#gathered[index] ??= columnBuilder(column.type, this.#pool))
  }

  #rejection(batch: RecordBatch, row: number, index: number): Rejection {
    const name = batch.schema.fields[index]?.name ?? ''
    const type = typeName(this.#schema.fields[index]?.type ?? utf8)
    const reason = `the value of "${name}" does not fit ${type}`
    const raw = Buffer.from(JSON.stringify(batch.record(row).data, plainValue))
    return { column: name, code: 'value_invalid', reason, place: batch.place(row), raw }
  }
}

function noteFault(faults: Map<number, number>, row: number, index: number): void {
  if (!faults.has(row)) faults.set(row, index)
}

/** The SHA-256 (FIPS 180-4) of each value's text or bytes, as 64 hexadecimal digits; null stays null. */
function sha256Column(column: Column, builder: BytesBuilder, pool: BufferPool): void {
  const text = new BytesBuilder(utf8, pool)
  const source = column.layout === 'bytes' ? column : format(column, text)
  const { offsets, data, validity } = source
  builder.start(column.length)
  builder.ensure(column.length * 64)
  for (let row = 0; row < column.length; row++) {
    if (validity && ((validity[row >> 3] as number) & (1 << (row & 7))) === 0) builder.appendNull(row)
    else appendHex(builder, row, hash('sha256', data.subarray(offsets[row], offsets[row + 1]), 'hex'))
  }
  text.free()
}

function format(column: Column, out: BytesBuilder): ReturnType<BytesBuilder['finish']> {
  formatColumn(column, out)
  return out.finish()
}

function appendHex(builder: BytesBuilder, row: number, hex: string): void {
  const { data, size } = builder
  for (let i = 0; i < 64; i++) data[size + i] = hex.charCodeAt(i)
  builder.size = size + 64
  builder.offsets[row + 1] = builder.size
}
