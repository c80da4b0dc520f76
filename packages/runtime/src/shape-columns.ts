import type { Field, LogicalType } from '@nebula/core'
import { nearest, sameType, utf8 } from '@nebula/core'
import type { AddedColumn, ColumnStep, ColumnSteps } from '@nebula/transforms'
import { addedColumn } from '@nebula/transforms'
import type { Mask, StreamOptions } from './pipeline.ts'
import type { StreamProblem } from './plan-stream.ts'

/** A column after the transforms that the pipeline asks for: its new name and type. */
export interface ShapedColumn {
  readonly field: Field
  /** As it was before. */
  readonly source: Field
  readonly added?: AddedColumn['origin'] | undefined
  readonly steps: ColumnSteps
}

/** Has a text form, and casts to and from it. */
export function isModelled(type: LogicalType): boolean {
  return type.kind !== 'native' && type.kind !== 'list' && type.kind !== 'struct'
}

export function shapeField(source: Field, options: StreamOptions): ShapedColumn {
  const name = options.rename?.[source.name] ?? source.name
  const mask = options.mask?.[source.name]
  const cast = options.cast?.[source.name]
  const { comment, nullable } = source
  const plain = { name, nullable, ...(comment === undefined ? {} : { comment }) }
  if (mask) return { field: { ...plain, type: utf8 }, source, steps: [maskStep(mask)] }
  if (cast && !sameType(cast, source.type))
    return { field: { ...plain, type: cast }, source, steps: [{ kind: 'cast', type: cast }] }
  return { field: { ...source, name }, source, steps: [] }
}

function maskStep(mask: Mask): ColumnStep {
  return typeof mask === 'string' ? { kind: mask } : { kind: 'hmac', key: mask.hmac }
}

/** The columns of `add`, and what is wrong with it. */
export function addedColumns({ add = {} }: StreamOptions): {
  readonly columns: readonly ShapedColumn[]
  readonly fields: readonly Field[]
  readonly problems: readonly StreamProblem[]
} {
  const made = Object.entries(add).map(([name, value]) => addedColumn(name, value))
  const columns = made.flatMap((column): ShapedColumn[] =>
    typeof column === 'string' ? [] : [{ field: column.field, source: column.field, added: column.origin, steps: [] }],
  )
  const problems = made.flatMap((text): StreamProblem[] =>
    typeof text === 'string' ? [{ code: 'config_invalid', text }] : [],
  )
  return { columns, fields: columns.map(({ field }) => field), problems }
}

/** What is said of a column that is asked for and not there. */
export function unknownColumn(key: string, name: string, names: readonly string[]): string {
  const near = nearest(name, names)
  const hint = near === undefined ? `it has ${names.slice(0, 20).join(', ')}` : `did you mean ${near}?`
  return `${key} names a column "${name}" that the stream does not have; ${hint}`
}
