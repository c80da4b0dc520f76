import type { BoundCondition, Field, LogicalType, Schema, StreamInfo, StreamRequest } from '@nebula/core'
import { bindCondition, comparedTypes, conditionColumns, cursorType } from '@nebula/core'
import type { FoundTransform } from '@nebula/transforms'
import { functionSchema } from '@nebula/transforms'
import type { StreamOptions } from './pipeline.ts'
import type { StreamProblem } from './plan-stream.ts'
import { isModelled, unknownColumn } from './shape-columns.ts'

/** What the pipeline asks of the rows of a stream, before its columns are chosen. */
export interface RowPlan {
  /** The columns that can be chosen: those of the source, and what the function makes. */
  readonly schema: Schema
  readonly makes: readonly Field[]
  readonly code: FoundTransform | undefined
  /** What the runtime leaves out, because the source does not. */
  readonly filter: BoundCondition | undefined
  /** Columns of the source that somebody looks at on the way, in the one type in which that can be. */
  readonly looked: readonly Field[]
  /** What the source is asked. */
  readonly request: Pick<StreamRequest, 'limit' | 'path' | 'where' | 'nativeFilter' | 'cursor'>
  readonly problems: readonly StreamProblem[]
  /** The columns behind the function, where these are read. */
  after(read: Schema): Schema
}

/** `source` are the columns in the types in which they are read. */
export function planRows(
  info: StreamInfo,
  source: Schema,
  options: StreamOptions,
  code: FoundTransform | undefined,
): RowPlan {
  const { bound, problems: faults } = options.where ? bindCondition(options.where, source) : NO_CONDITION
  const pushed = info.filters?.includes('where') === true
  const filter = pushed ? undefined : bound
  const makes = code?.checked.makes ?? []
  const problems = [...faults, ...unknownReads(source, code), ...refusals(info, options, filter)]
  const { limit, path, nativeFilter, cursor } = options
  const types = new Map([
    ...source.fields.flatMap((field) =>
      field.name === cursor ? [[cursor, cursorType(field) ?? field.type] as const] : [],
    ),
    ...readByFunction(source, code),
    ...(filter ? readByCondition(source, filter) : []),
  ])
  const narrowed = source.fields.map((field) => {
    const type = types.get(field.name)
    return type ? { ...field, type, offers: [type] } : field
  })
  return {
    schema: functionSchema({ fields: narrowed }, makes),
    makes,
    code,
    filter,
    looked: narrowed.filter(({ name }) => types.has(name)),
    request: {
      ...(limit === undefined ? {} : { limit }),
      ...(path === undefined ? {} : { path }),
      ...(pushed && bound ? { where: bound } : {}),
      ...(nativeFilter === undefined ? {} : { nativeFilter }),
      ...(cursor === undefined ? {} : { cursor }),
      ...(info.rules === undefined ? {} : { rules: info.rules }),
    },
    problems,
    after: (read) => functionSchema(read, makes),
  }
}

const NO_CONDITION: ReturnType<typeof bindCondition> = { bound: undefined, problems: [] }

/** What no source could do, or not this one. */
function refusals(info: StreamInfo, options: StreamOptions, filter: BoundCondition | undefined): StreamProblem[] {
  const native = options.nativeFilter !== undefined && info.filters?.includes('native') !== true
  return [
    ...(native ? ['the source takes no native_filter; use where'] : []),
    ...(filter && options.limit !== undefined
      ? ['limit counts the rows that where wants only at a source that applies where itself, and this one does not']
      : []),
  ].map((text) => ({ code: 'config_invalid', text }))
}

function unknownReads({ fields }: Schema, code: FoundTransform | undefined): StreamProblem[] {
  const names = fields.map((field) => field.name)
  const missing = code?.checked.reads?.filter((name) => !names.includes(name)) ?? []
  return missing.map((name) => ({
    code: 'column_not_found',
    text: unknownColumn('reads of the transform', name, names),
  }))
}

/** A function is given values as the source means them; what Nebula does not model, as text. */
function readByFunction({ fields }: Schema, code: FoundTransform | undefined): [string, LogicalType][] {
  if (!code) return []
  const { reads } = code.checked
  const read = reads ? fields.filter(({ name }) => reads.includes(name)) : fields
  return read.map(({ name, type, offers }) => {
    return [name, isModelled(type) ? type : (offers?.find(isModelled) ?? type)]
  })
}

function readByCondition({ fields }: Schema, condition: BoundCondition): [string, LogicalType][] {
  const types = comparedTypes(condition)
  return conditionColumns(condition).flatMap((name): [string, LogicalType][] => {
    const type = types.get(name) ?? fields.find((field) => field.name === name)?.type
    return type ? [[name, type]] : []
  })
}
