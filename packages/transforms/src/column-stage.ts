import type { Column, ColumnBuilder, LogicalType, RecordBatch, Rejection, Schema } from '@nebula/core'
import {
  BufferPool,
  BytesBuilder,
  castColumn,
  columnBuilder,
  gatherColumn,
  gatherWire,
  parseColumn,
  rowsWithout,
  typeName,
  utf8,
} from '@nebula/core'
import { DerivedBatch } from './derived-batch.ts'
import { Gatherer } from './gatherer.ts'
import { maskColumn } from './mask.ts'
import type { Visible } from './rejected-row.ts'
import { rejectedRow } from './rejected-row.ts'
import type { ColumnOrigin, ColumnSteps, Metadata } from './steps.ts'

/** What the metadata columns of a task say, but for the place, which is each row's own. */
export type TaskFacts = { readonly [name in Exclude<Metadata, '@place'>]: string }

interface ColumnWork {
  readonly origin: ColumnOrigin
  readonly steps: ColumnSteps
  /** Of what is added. */
  readonly added: Added | undefined
  /** One per step. */
  readonly builders: readonly ColumnBuilder[]
}

interface Fault {
  readonly index: number
  readonly type: LogicalType
}

export interface ColumnStageInput {
  /** Of the result. */
  readonly schema: Schema
  readonly origins: readonly ColumnOrigin[]
  readonly steps: readonly ColumnSteps[]
  readonly facts: TaskFacts
  readonly visible: Visible
  readonly pool: BufferPool
}

/** Chooses the columns of a batch, adds others, and takes each through its steps. A result is valid until the next call. */
export class ColumnStage {
  readonly #input: ColumnStageInput
  readonly #work: readonly ColumnWork[]
  readonly #gatherer: Gatherer

  constructor(input: ColumnStageInput) {
    const { origins, steps, facts, pool } = input
    this.#input = input
    this.#gatherer = new Gatherer(pool)
    this.#work = origins.map((origin, i): ColumnWork => {
      const list = steps[i] ?? []
      const builders = list.map((step) => columnBuilder(step.kind === 'cast' ? step.type : utf8, pool))
      return {
        origin,
        steps: list,
        builders,
        added: typeof origin === 'number' ? undefined : addedOf(origin, facts, pool),
      }
    })
  }

  apply(batch: RecordBatch): RecordBatch {
    /** The first value that does not fit, by row. */
    const faults = new Map<number, Fault>()
    const { wire } = batch
    /** In wire rows, columns without steps stay where they are until somebody asks. */
    const changed = this.#work.map((work, index) => {
      if (work.steps.length === 0 && (wire || typeof work.origin === 'number')) return undefined
      return work.steps.reduce(
        (column, _, i) => {
          const builder = work.builders[i] as ColumnBuilder
          const fault = { index, type: builder.type }
          return this.#step(work, i, column, (row) => faults.has(row) || faults.set(row, fault))
        },
        this.#origin(work, batch),
      )
    })
    const column = (index: number): Column => changed[index] ?? this.#origin(this.#work[index] as ColumnWork, batch)
    const shared = { base: batch, schema: this.#input.schema }
    if (faults.size === 0)
      return new DerivedBatch({ ...shared, rows: batch.rows, rejected: batch.rejected, wire, column })
    const kept = rowsWithout(batch.rows, faults)
    const inOrder = [...faults].sort(([a], [b]) => a - b)
    return new DerivedBatch({
      ...shared,
      rows: kept.length,
      wire: wire && gatherWire(wire, kept),
      column: (index) => this.#gatherer.gather(index, column(index), kept),
      place: (row) => batch.place(kept[row] as number),
      origin: (row) => batch.origin(kept[row] as number),
      rejected: [...batch.rejected, ...inOrder.map(([row, fault]) => this.#rejection(batch, row, fault))],
    })
  }

  free(): void {
    this.#gatherer.free()
    for (const { builders, added } of this.#work) for (const builder of [...builders, added?.builder]) builder?.free()
  }

  #origin({ origin, added }: ColumnWork, batch: RecordBatch): Column {
    return typeof origin === 'number' ? batch.column(origin) : (added as Added).fill(batch)
  }

  #step({ steps, builders }: ColumnWork, i: number, column: Column, onFault: (row: number) => unknown): Column {
    const builder = builders[i] as ColumnBuilder
    const step = steps[i]
    if (step?.kind === 'cast') castColumn(column, builder, this.#input.pool, onFault)
    else if (step) maskColumn(column, step, builder as BytesBuilder, this.#input.pool)
    return builder.finish()
  }

  #rejection(batch: RecordBatch, row: number, { index, type }: Fault): Rejection {
    const { schema, visible, pool } = this.#input
    const { origin } = this.#work[index] as ColumnWork
    const source = typeof origin === 'number' ? batch.schema.fields[origin]?.name : undefined
    const name = source ?? schema.fields[index]?.name ?? ''
    const reason = `the value of "${name}" does not fit ${typeName(type)}`
    return { column: name, code: 'value_invalid', reason, ...rejectedRow(batch, row, visible, pool) }
  }
}

/** A column that no source has. */
interface Added {
  readonly builder: ColumnBuilder
  fill(batch: RecordBatch): Column
}

function addedOf(origin: Exclude<ColumnOrigin, number>, facts: TaskFacts, pool: BufferPool): Added {
  if ('metadata' in origin && origin.metadata === '@place') return placesOf(new BytesBuilder(utf8, pool))
  const text = 'metadata' in origin ? facts[origin.metadata as keyof TaskFacts] : origin.value
  const one = constant(text, origin.type)
  const builder = columnBuilder(origin.type, pool)
  return { builder, fill: ({ rows }) => gatherColumn(one, new Int32Array(rows), builder) }
}

/** A column of one row. */
function constant(text: string, type: LogicalType): Column {
  const data = new TextEncoder().encode(text)
  const builder = columnBuilder(type, new BufferPool(0))
  const slices = { data, starts: Int32Array.of(0), ends: Int32Array.of(data.length), base: 0, stride: 1, rows: 1 }
  parseColumn(slices, builder, () => {})
  return builder.finish()
}

function placesOf(builder: BytesBuilder): Added {
  const encoder = new TextEncoder()
  const fill = (batch: RecordBatch): Column => {
    builder.start(batch.rows)
    for (let row = 0; row < batch.rows; row++) {
      const place = encoder.encode(batch.place(row))
      builder.append(row, place, 0, place.length)
    }
    return builder.finish()
  }
  return { builder, fill }
}
