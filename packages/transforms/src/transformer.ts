import type { BufferPool, RecordBatch, Rejection, Schema } from '@nebula/core'
import type { CheckedTransform } from './check-transform.ts'
import type { TaskFacts } from './column-stage.ts'
import { ColumnStage } from './column-stage.ts'
import { DerivedBatch } from './derived-batch.ts'
import type { Visible } from './rejected-row.ts'
import { functionSchema, RowFunction } from './row-function.ts'
import { RowFilter } from './row-filter.ts'
import type { MaskStep, StreamTransform } from './steps.ts'

export interface TransformerInput {
  readonly transform: StreamTransform
  /** What the source delivers. */
  readonly readSchema: Schema
  /** What the destination is given. */
  readonly writeSchema: Schema
  readonly facts: TaskFacts
  /** What the file of `transform.function` exports. */
  readonly code: CheckedTransform | undefined
  readonly pool: BufferPool
}

/**
 * Applies the transform of one task. A transformed batch is valid until the next call: its buffers are the
 * transformer's own. Rows that do not fit are taken out and travel in `rejected`, which holds nothing that is masked.
 */
export class Transformer {
  readonly #pool: BufferPool
  readonly #writeSchema: Schema
  readonly #masks: boolean
  readonly #stages: readonly (RowFilter | RowFunction | ColumnStage)[]
  #filtered = 0

  constructor({ transform, readSchema, writeSchema, facts, code, pool }: TransformerInput) {
    const { where, origins, steps, function: reference } = transform
    const made = code ? functionSchema(readSchema, code.makes) : readSchema
    const visible = visibleColumns(transform, made)
    this.#pool = pool
    this.#writeSchema = writeSchema
    this.#masks = [...visible.values()].some((mask) => mask !== undefined)
    this.#stages = [
      ...(where ? [new RowFilter(where, readSchema, pool)] : []),
      ...(code
        ? [new RowFunction({ transform: code, schema: readSchema, visible, pool, path: reference?.path ?? '' })]
        : []),
      new ColumnStage({ schema: writeSchema, origins, steps, facts, visible, pool }),
    ]
  }

  /** Rows of the last batch that are neither in the result nor in its rejections. */
  get filtered(): number {
    return this.#filtered
  }

  /** The batch as the destination wants it. The given batch must outlive the result. */
  apply(batch: RecordBatch): RecordBatch {
    const results: RecordBatch[] = []
    for (const stage of this.#stages) results.push(stage.apply(results.at(-1) ?? batch))
    const last = results.at(-1) as RecordBatch
    const made = last.rejected.slice(batch.rejected.length)
    this.#filtered = batch.rows - last.rows - made.length
    return new DerivedBatch({
      base: last,
      schema: this.#writeSchema,
      rows: last.rows,
      rejected: [...this.#withoutMasked(batch.rejected), ...made],
      wire: last.wire,
      column: (index) => last.column(index),
      onRelease: () => {
        for (const result of results) result.release()
        this.#trim()
      },
    })
  }

  free(): void {
    for (const stage of this.#stages) stage.free()
  }

  /** Buffers that are only kept for the next batch must not keep the source from reading it. */
  #trim(): void {
    if (this.#pool.isFull) this.free()
  }

  /** The whole row as a source has it may hold what is to be masked. */
  #withoutMasked(rejected: readonly Rejection[]): readonly Rejection[] {
    return this.#masks ? rejected.map(({ raw: _raw, ...rest }) => rest) : rejected
  }
}

/** The columns that arrive, by the names that they have before they are renamed; of those that are masked, how. */
function visibleColumns({ origins, steps }: StreamTransform, schema: Schema): Visible {
  return new Map(
    origins.flatMap((origin, i): [string, MaskStep | undefined][] => {
      const name = typeof origin === 'number' ? schema.fields[origin]?.name : undefined
      const mask = steps[i]?.find((step): step is MaskStep => step.kind !== 'cast')
      return name === undefined ? [] : [[name, mask]]
    }),
  )
}
