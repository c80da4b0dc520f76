import type { StreamOffer } from '@nebula/base'
import { keptField } from '@nebula/base'
import type {
  Acceptance,
  CursorMark,
  ErrorCode,
  Field,
  LogicalType,
  Schema,
  StreamRequest,
  TargetInfo,
} from '@nebula/core'
import { fieldIndex, sameType, typeName, utf8 } from '@nebula/core'
import type { FoundTransform, StreamTransform } from '@nebula/transforms'
import { changesNothing, cursorCondition, cursorProblem, cursorSince, deletesProblem } from '@nebula/transforms'
import type { StreamOptions } from './pipeline.ts'
import { writeMode } from './pipeline.ts'
import type { SelectedStream } from './select-streams.ts'
import type { ShapedColumn } from './shape-columns.ts'
import { addedColumns, isModelled, shapeField, unknownColumn } from './shape-columns.ts'
import type { RowPlan } from './row-plan.ts'
import { planRows } from './row-plan.ts'

/** One stream, agreed between source, transforms and destination; before partitions are known. */
export interface AgreedStream {
  /** In the source's names. */
  readonly request: StreamRequest
  /** The key in the names that the columns have at the destination. */
  readonly targetKey: readonly string[]
  readonly options: StreamOptions
  readonly target: string
  /** What the source delivers. */
  readonly readSchema: Schema
  /** What the destination is given. */
  readonly writeSchema: Schema
  readonly transform: StreamTransform
  readonly accepted: Acceptance
  /** The wire format that passes through, but for columns that the destination replaces; undefined: columns do. */
  readonly wire: string | undefined
  /** What a mark of its cursor depends on. */
  readonly basis: string
  /** All rows of the stream with their key columns alone, where those are deleted that the source has no longer. */
  readonly keys?: AgreedStream
}

type Accept = (offer: StreamOffer) => Acceptance

/** Why a pipeline cannot be run. */
export interface StreamProblem {
  readonly code: ErrorCode
  /** Left out where it is about none, or about several. */
  readonly stream?: string
  readonly column?: string
  readonly text: string
}

/** What is known of a stream beside what the pipeline says: its function, and how far it came into this target. */
interface Known {
  readonly code?: FoundTransform | undefined
  readonly basis?: string
  readonly mark?: CursorMark | undefined
}

/** What the pipeline asks of a stream, checked against what there is; with its keys, where others are to be deleted. */
export function agreeStream(
  selected: SelectedStream & Known,
  target: string,
  existing: TargetInfo | undefined,
  accept: Accept,
): { agreed: AgreedStream; problems: StreamProblem[] } {
  const { info, options, code } = selected
  if (options.deletes !== 'hard') return agreeColumns(selected, target, existing, accept)
  const found = agreeColumns(selected, target, existing, (offer) => accept({ ...offer, deletes: true }))
  const text = deletesProblem(info, options)
  if (text !== undefined) found.problems.push({ code: 'config_invalid', text })
  const { key = info.key, ...others } = options
  const left = { cursor: undefined, lag: undefined, exclude: [], add: {}, deletes: undefined }
  const known = {
    // In the form in which they came to the target, so that they are equal there.
    info: { ...info, wire: info.wire.filter((format) => format === found.agreed.wire) },
    options: { ...others, ...left, mode: 'merge' as const, key, columns: key },
    code,
  }
  const { agreed } = agreeColumns(known, target, existing, accept)
  const keys = { ...agreed, request: { ...agreed.request, complete: true as const } }
  return { ...found, agreed: { ...found.agreed, keys } }
}

function agreeColumns(
  { info, options, code, basis = '', mark }: SelectedStream & Known,
  target: string,
  existing: TargetInfo | undefined,
  accept: Accept,
): { agreed: AgreedStream; problems: StreamProblem[] } {
  const source: Schema = {
    fields: info.schema.fields.map((field) => (info.untyped ? typedField(field, options, existing?.schema) : field)),
  }
  const since = cursorSince(source, options, mark)
  const rows = planRows(info, source, { ...options, where: cursorCondition(source, options, since) }, code)
  const problems = unknownColumns(source, rows.schema, options).concat(rows.problems)
  const text = cursorProblem(source, options)
  if (text !== undefined) problems.push({ code: 'config_invalid', text })
  const added = addedColumns(options)
  const chosen = selectFields(rows.schema, options)
  const key = options.key ?? info.key
  const asked = {
    stream: info.name,
    mode: writeMode(options.mode),
    key,
    ...rows.request,
    ...(since === undefined ? {} : { since }),
  }
  const targetKey = key.map((name) => options.rename?.[name] ?? name)
  const request = { ...asked, columns: chosen.map(({ name }) => name), key: targetKey }
  const shaped = [...chosen.map((field) => shapeField(field, options)), ...added.columns].map((column) => {
    return { ...column, field: keptField(column.field, request) }
  })
  problems.push(...added.problems, ...contradictions(info.untyped === true, shaped, options))
  const accepted = accept({
    request: { ...request, stream: target },
    schema: { fields: shaped.map(({ field }) => field) },
    wire: info.wire,
    target: existing,
  })
  const columns = shaped.map((column, i) => reconcile(column, accepted.columns[i]?.as ?? column.field.type))
  const overwritesBlindly = options.mode === undefined && existing?.foreignRows === true
  if (overwritesBlindly)
    problems.push({ code: 'target_not_ours', text: `${target} holds rows that Nebula did not write.` })
  problems.push(...columns.flatMap(({ problem }) => problem ?? []))
  const names = shaped.map((column) => column.source.name)
  problems.push(...acceptanceProblems(accepted, names, options))
  const readSchema = readFields(columns, rows)
  const transform = transformOf(columns, readSchema, rows)
  const passing = passesWire(transform, readSchema, accepted) ? accepted : withoutWire(accepted)
  const agreed: AgreedStream = {
    request: { ...asked, columns: readSchema.fields.map(({ name }) => name) },
    targetKey,
    options,
    target,
    readSchema,
    writeSchema: { fields: columns.map(({ written }) => written) },
    transform,
    accepted: passing,
    wire: passing.wire,
    basis,
  }
  return { agreed, problems }
}

/** The columns of the result that the source has, in their order, and then those that are only looked at. */
function readFields(columns: readonly Reconciled[], { looked, makes }: RowPlan): Schema {
  const isMade = (name: string): boolean => makes.some((field) => field.name === name)
  const arriving = columns.flatMap(({ read, added }) => (added || isMade(read.name) ? [] : [read]))
  const extra = looked.filter((field) => !arriving.some(({ name }) => name === field.name))
  return { fields: [...arriving, ...extra] }
}

function transformOf(columns: readonly Reconciled[], readSchema: Schema, rows: RowPlan): StreamTransform {
  const { filter, code } = rows
  const made = rows.after(readSchema)
  return {
    ...(filter ? { where: filter } : {}),
    ...(code ? { function: code.reference } : {}),
    origins: columns.map(({ read, added }) => added ?? fieldIndex(made, read.name)),
    steps: columns.map(({ steps }) => steps),
  }
}

/** True when wire rows hold every column in its place, but for those that the destination replaces. */
function passesWire(transform: StreamTransform, { fields }: Schema, { replaced }: Acceptance): boolean {
  const { origins, steps, function: code } = transform
  const unchanged = steps.map((list, i) => (replaced?.includes(i) ? [] : list))
  return code === undefined && changesNothing({ origins, steps: unchanged }, fields.length)
}

/** Columns are changed that the destination would not replace in wire rows. */
function withoutWire({ wire: _wire, replaced: _replaced, ...rest }: Acceptance): Acceptance {
  return rest
}

function acceptanceProblems(accepted: Acceptance, names: readonly string[], options: StreamOptions): StreamProblem[] {
  const problems: StreamProblem[] = accepted.problems.map(({ code, message, column }) => ({
    code,
    ...(column === undefined ? {} : { column }),
    text: message,
  }))
  return problems.concat(
    accepted.columns.flatMap((column, i) => {
      const name = names[i] ?? ''
      if (column.fidelity !== 'lossy' || options.allowLoss?.includes(name)) return []
      return [
        {
          code: 'loss_refused' as const,
          column: name,
          text: `column ${name}: ${column.why ?? 'it would lose something'}`,
        },
      ]
    }),
  )
}

/** What the pipeline asks for and cannot all have: no key is without effect. */
function contradictions(untyped: boolean, shaped: readonly ShapedColumn[], options: StreamOptions): StreamProblem[] {
  const names = Map.groupBy(shaped, ({ field }) => field.name)
  const twice = [...names].filter(([, sharing]) => sharing.length > 1).map(([name]) => name)
  const both = Object.keys(options.mask ?? {}).filter((name) => options.cast?.[name] !== undefined)
  return [
    ...twice.map((name) => `two columns would be called "${name}" at the destination`),
    ...both.map((name) => `column "${name}" is in mask and in cast; a masked column is text`),
    ...(options.types && !untyped ? ['types is for files; the source knows its types, so use cast'] : []),
  ].map((text) => ({ code: 'config_invalid', text }))
}

/** `available` are the columns behind the function. */
function unknownColumns(source: Schema, available: Schema, options: StreamOptions): StreamProblem[] {
  const asked: [string, readonly string[], Schema][] = [
    ['columns', options.columns ?? [], available],
    ['exclude', options.exclude ?? [], available],
    ['key', options.key ?? [], source],
    ['cursor', options.cursor === undefined ? [] : [options.cursor], source],
    ['allow_loss', options.allowLoss ?? [], { fields: [...available.fields, ...addedColumns(options).fields] }],
    ...(['rename', 'cast', 'mask', 'types'] as const).map((key): [string, string[], Schema] => [
      key,
      Object.keys(options[key] ?? {}),
      key === 'types' ? source : available,
    ]),
  ]
  return asked.flatMap(([key, columns, { fields }]) => {
    const names = fields.map((field) => field.name)
    return columns
      .filter((name) => !names.includes(name))
      .map((name) => ({ code: 'column_not_found' as const, text: unknownColumn(key, name, names) }))
  })
}

function selectFields(schema: Schema, options: StreamOptions): Field[] {
  const { columns, exclude } = options
  const chosen = columns
    ? columns.flatMap((name) => schema.fields[fieldIndex(schema, name)] ?? [])
    : schema.fields.filter((field) => !field.generated)
  return chosen.filter((field) => !exclude?.includes(field.name))
}

/** The type of a column that is text at the source: as declared, else as the target has it, else as inferred. */
function typedField(field: Field, options: StreamOptions, target: Schema | undefined): Field {
  const name = options.rename?.[field.name] ?? field.name
  const standing = target?.fields.find((candidate) => candidate.name === name)
  // A file at the target has no types of its own, only inferred ones.
  const fromTarget = standing?.declared === undefined ? undefined : isModelled(standing.type) ? standing.type : utf8
  const type = options.types?.[field.name] ?? fromTarget ?? field.type
  return { ...field, type, offers: [type, utf8] }
}

interface Reconciled {
  readonly read: Field
  /** Where it comes from when no source has it. */
  readonly added: ShapedColumn['added']
  readonly written: Field
  readonly steps: ShapedColumn['steps']
  readonly problem?: StreamProblem
}

/** What is read, done and written so that a column arrives in the type that the destination wants. */
function reconcile({ field, source, added, steps }: ShapedColumn, wanted: LogicalType): Reconciled {
  const written = { ...field, type: wanted }
  const offered = source.offers ?? [source.type]
  if (steps.length === 0 && offered.some((type) => sameType(type, wanted))) {
    return { read: { ...source, type: wanted }, added, written, steps }
  }
  const last = sameType(field.type, wanted) && steps.length > 0 ? [] : [{ kind: 'cast' as const, type: wanted }]
  // Masks and casts look at the value itself; what no column can hold is looked at as text.
  const readable = [source.type, ...offered].find(isModelled)
  if (readable && (last.length === 0 || isModelled(wanted))) {
    return { read: { ...source, type: readable }, added, written, steps: [...steps, ...last] }
  }
  const text = `column ${source.name}: ${typeName(source.type)} cannot be ${treatment(steps, wanted)}`
  return { read: source, added, written, steps: [], problem: { code: 'unsupported', column: source.name, text } }
}

function treatment([first]: ShapedColumn['steps'], wanted: LogicalType): string {
  if (!first) return `written as ${typeName(wanted)}`
  return first.kind === 'cast' ? 'cast' : 'masked'
}
