import type { BufferPool, RecordBatch, Schema } from '@nebula/core'
import { bindCondition, parseCondition } from '@nebula/core'
import { addedColumn } from '../src/added-column.ts'
import type { CheckedTransform } from '../src/check-transform.ts'
import { checkTransform } from '../src/check-transform.ts'
import { functionSchema } from '../src/row-function.ts'
import type { ColumnOrigin, ColumnSteps } from '../src/steps.ts'
import { Transformer } from '../src/transformer.ts'
import { columnTexts, FACTS, textBatch } from './batches.ts'

export interface Asked {
  readonly where?: string
  readonly code?: unknown
  /** By name, of what is there behind the function; left out: all. */
  readonly columns?: readonly string[]
  readonly steps?: { readonly [name: string]: ColumnSteps }
  readonly add?: { readonly [name: string]: string | number | boolean }
}

export interface Outcome {
  readonly rows: Record<string, (string | null)[]>
  readonly filtered: number
  readonly places: readonly string[]
  readonly rejected: readonly { readonly place: string; readonly reason: string; readonly values: unknown }[]
}

/** Whatever a pipeline asks, over batches of texts. */
class Stages {
  readonly #transformer: Transformer
  readonly #schema: Schema

  constructor(read: Schema, { where, code, columns, steps = {}, add = {} }: Asked, pool: BufferPool) {
    const checked: CheckedTransform | undefined = code === undefined ? undefined : checkTransform(code, 'people.ts')
    const made = checked ? functionSchema(read, checked.makes) : read
    const names = columns ?? made.fields.map(({ name }) => name)
    const added = Object.entries(add).map(([name, value]) => addedColumn(name, value))
    const extra = added.flatMap((column) => (typeof column === 'string' ? [] : [column]))
    const fields = [
      ...names.map((name) => {
        const field = made.fields.find((candidate) => candidate.name === name)
        const cast = steps[name]?.find((step) => step.kind === 'cast')
        const masked = steps[name]?.some((step) => step.kind !== 'cast') === true
        const kind = masked ? { kind: 'utf8' as const } : undefined
        return { name, nullable: true, type: cast?.type ?? kind ?? field?.type ?? { kind: 'utf8' as const } }
      }),
      ...extra.map(({ field }) => field),
    ]
    const bound = where === undefined ? undefined : bindCondition(parseCondition(where), read).bound
    const origins: ColumnOrigin[] = names.map((name) => made.fields.findIndex((field) => field.name === name))
    this.#schema = { fields }
    this.#transformer = new Transformer({
      transform: {
        ...(bound ? { where: bound } : {}),
        ...(checked ? { function: { path: 'people.ts', hash: '' } } : {}),
        origins: [...origins, ...extra.map(({ origin }) => origin)],
        steps: [...names.map((name) => steps[name] ?? []), ...extra.map(() => [])],
      },
      readSchema: read,
      writeSchema: this.#schema,
      facts: FACTS,
      code: checked,
      pool,
    })
  }

  apply(batch: RecordBatch): Outcome {
    const ready = this.#transformer.apply(batch)
    const outcome = {
      rows: Object.fromEntries(this.#schema.fields.map(({ name }, i) => [name, columnTexts(ready.column(i))])),
      filtered: this.#transformer.filtered,
      places: Array.from({ length: ready.rows }, (_, row) => ready.place(row)),
      rejected: ready.rejected.map(({ place, reason, values }) => ({
        place,
        reason,
        values,
      })),
    }
    ready.release()
    return outcome
  }

  free(): void {
    this.#transformer.free()
  }
}

/** One batch through one transformer. */
export function transformed(
  content: Readonly<Record<string, readonly (string | null)[]>>,
  asked: Asked,
  pool: BufferPool,
): Outcome {
  const { batch, free } = textBatch(content, pool)
  const stages = new Stages(batch.schema, asked, pool)
  try {
    return stages.apply(batch)
  } finally {
    stages.free()
    free()
  }
}
