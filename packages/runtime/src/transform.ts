import { hash } from 'node:crypto'
import type { BufferPool, Column, ColumnBuilder, LogicalType, RecordBatch, Rejection, Schema } from '@nebula/core'
import {
  appendShortSha256,
  BytesBuilder,
  castColumn,
  columnBuilder,
  createBatch,
  formatColumn,
  gatherColumn,
  gatherWire,
  rowsWithout,
  SHORT_SHA256_BYTES,
  typeName,
  utf8,
} from '@nebula/core'
import { exactValue } from './dead-letters.ts'

/** What happens to one column between source and destination. JSON. */
export type ColumnStep = { readonly kind: 'cast'; readonly type: LogicalType } | { readonly kind: 'sha256' }

/** The steps of one column, in order; none: it arrives as it was read. */
export type ColumnSteps = readonly ColumnStep[]

interface ColumnWork {
  readonly steps: ColumnSteps
  /** One per step. */
  readonly builders: readonly ColumnBuilder[]
  readonly masked: boolean
  gatherer: ColumnBuilder | undefined
}

interface Fault {
  readonly index: number
  readonly type: LogicalType
}

/**
 * Applies the steps of one task. A transformed batch is valid until the next call: its buffers are the transformer's
 * own. Rows that do not fit are taken out and travel in `rejected`, which holds nothing that is masked.
 */
export class Transformer {
  readonly #schema: Schema
  readonly #pool: BufferPool
  readonly #work: readonly ColumnWork[]

  /** `schema` is that of the result; one list of steps per column. */
  constructor(schema: Schema, steps: readonly ColumnSteps[], pool: BufferPool) {
    this.#schema = schema
    this.#pool = pool
    this.#work = steps.map((list) => ({
      steps: list,
      builders: list.map((step) => columnBuilder(step.kind === 'cast' ? step.type : utf8, pool)),
      masked: list.some((step) => step.kind === 'sha256'),
      gatherer: undefined,
    }))
  }

  /** The batch as the destination wants it. The given batch must outlive the result. */
  apply(batch: RecordBatch): RecordBatch {
    /** The first value that does not fit, by row. */
    const faults = new Map<number, Fault>()
    const { wire } = batch
    /** In wire rows, columns without steps stay where they are. */
    const changed = this.#work.map((work, index) => {
      if (wire && work.steps.length === 0) return undefined
      return work.steps.reduce((column, _, i) => {
        const builder = work.builders[i] as ColumnBuilder
        const fault = { index, type: builder.type }
        return this.#step(work, i, column, (row) => faults.has(row) || faults.set(row, fault))
      }, batch.column(index))
    })
    const columns = (all: boolean): (Column | undefined)[] =>
      all ? changed.map((column, index) => column ?? batch.column(index)) : changed
    const shared = {
      stream: batch.stream,
      schema: this.#schema,
      ...(batch.position === undefined ? {} : { position: batch.position }),
      onRelease: () => this.#trim(),
    }
    const rejected = this.#withoutMasked(batch.rejected)
    if (faults.size === 0) {
      const place = (row: number): string => batch.place(row)
      const origin: RecordBatch['origin'] = (row) => batch.origin(row)
      return createBatch({ ...shared, rows: batch.rows, columns, rejected, place, origin, ...(wire ? { wire } : {}) })
    }
    const kept = rowsWithout(batch.rows, faults)
    const inOrder = [...faults].sort(([a], [b]) => a - b)
    return createBatch({
      ...shared,
      rows: kept.length,
      ...(wire ? { wire: gatherWire(wire, kept) } : {}),
      columns: (all) =>
        columns(all).map((column, index) => column && gatherColumn(column, kept, this.#gatherer(column, index))),
      place: (row) => batch.place(kept[row] as number),
      origin: (row) => batch.origin(kept[row] as number),
      rejected: [...rejected, ...inOrder.map(([row, fault]) => this.#rejection(batch, changed, row, fault))],
    })
  }

  free(): void {
    for (const { builders, gatherer } of this.#work) for (const builder of [...builders, gatherer]) builder?.free()
  }

  /** Buffers that are only kept for the next batch must not keep the source from reading it. */
  #trim(): void {
    if (this.#pool.statistics.used >= this.#pool.limit) this.free()
  }

  #step({ steps, builders }: ColumnWork, i: number, column: Column, onFault: (row: number) => unknown): Column {
    const builder = builders[i] as ColumnBuilder
    if (steps[i]?.kind === 'cast') castColumn(column, builder, this.#pool, onFault)
    else sha256Column(column, builder as BytesBuilder, this.#pool)
    return builder.finish()
  }

  #gatherer(column: Column, index: number): ColumnBuilder {
    const work = this.#work[index] as ColumnWork
    return (work.gatherer ??= columnBuilder(column.type, this.#pool))
  }

  /** The whole row as a source has it may hold what is to be masked. */
  #withoutMasked(rejected: readonly Rejection[]): readonly Rejection[] {
    if (!this.#work.some(({ masked }) => masked)) return rejected
    return rejected.map(({ raw: _raw, ...rest }) => rest)
  }

  #rejection(batch: RecordBatch, transformed: readonly (Column | undefined)[], row: number, fault: Fault): Rejection {
    const { fields } = batch.schema
    const name = fields[fault.index]?.name ?? ''
    const reason = `the value of "${name}" does not fit ${typeName(fault.type)}`
    const values = this.#work.map(({ masked }, i) => {
      return [fields[i]?.name, exactValue(masked ? (transformed[i] as Column) : batch.column(i), row)]
    })
    const masked = this.#work.flatMap((work, i) => (work.masked ? (fields[i]?.name ?? []) : []))
    const shown = { values: Object.fromEntries(values), ...(masked.length > 0 ? { masked } : {}) }
    const origin = (): ReturnType<RecordBatch['origin']> => batch.origin(row)
    return { column: name, code: 'value_invalid', reason, place: batch.place(row), origin, ...shown }
  }
}

/** The SHA-256 (FIPS 180-4) of each value's text or bytes, as 64 hexadecimal digits; null stays null. */
function sha256Column(column: Column, builder: BytesBuilder, pool: BufferPool): void {
  const text = new BytesBuilder(utf8, pool)
  try {
    const { offsets, data, validity } = column.layout === 'bytes' ? column : formatted(column, text)
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    builder.start(column.length)
    builder.ensure(column.length * 64)
    for (let row = 0; row < column.length; row++) {
      const start = offsets[row] as number
      const end = offsets[row + 1] as number
      if (validity && ((validity[row >> 3] as number) & (1 << (row & 7))) === 0) builder.setNull(row)
      else if (end - start <= SHORT_SHA256_BYTES) appendShortSha256(view, start, end, builder)
      else appendAscii(builder, hash('sha256', data.subarray(start, end), 'hex'))
      builder.offsets[row + 1] = builder.size
    }
  } finally {
    text.free()
  }
}

function formatted(column: Column, out: BytesBuilder): ReturnType<BytesBuilder['finish']> {
  formatColumn(column, out)
  return out.finish()
}

function appendAscii(builder: BytesBuilder, text: string): void {
  for (let i = 0; i < text.length; i++) builder.data[builder.size++] = text.charCodeAt(i)
}
