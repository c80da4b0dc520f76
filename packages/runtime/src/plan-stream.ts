import type { Acceptance, ErrorCode, Field, LogicalType, Schema, StreamRequest, TargetInfo } from '@nebula/core'
import { fieldIndex, sameType, typeName, utf8 } from '@nebula/core'
import { nearest } from './keys.ts'
import type { StreamOptions } from './pipeline.ts'
import type { SelectedStream } from './select-streams.ts'
import type { ColumnStep, ColumnSteps } from './transform.ts'

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
  /** One list per column; empty where it arrives as it was read. */
  readonly steps: readonly ColumnSteps[]
  readonly accepted: Acceptance
  /** The wire format that passes through, but for columns that the destination replaces; undefined: columns do. */
  readonly wire: string | undefined
}

type Accept = (request: StreamRequest, schema: Schema, wire: readonly string[], target?: TargetInfo) => Acceptance

/** Why a pipeline cannot be run. */
export interface StreamProblem {
  readonly code: ErrorCode
  /** Left out where it is about none, or about several. */
  readonly stream?: string
  readonly column?: string
  readonly text: string
}

/** What the pipeline asks of a stream's columns, checked against the columns that there are. */
export function agreeStream(
  { info, options }: SelectedStream,
  target: string,
  existing: TargetInfo | undefined,
  accept: Accept,
): { agreed: AgreedStream; problems: StreamProblem[] } {
  const problems: StreamProblem[] = unknownColumns(info.schema, options).map((text) => ({
    code: 'column_not_found',
    text,
  }))
  const read = selectFields(info.schema, options).map((field) =>
    info.untyped ? typedField(field, options, existing?.schema) : field,
  )
  const shaped = read.map((field) => shapeField(field, options))
  problems.push(...contradictions(info.untyped === true, shaped, options))
  const request: StreamRequest = {
    stream: info.name,
    mode: options.mode ?? 'overwrite',
    columns: read.map((field) => field.name),
    key: options.key ?? info.key,
    ...(options.limit === undefined ? {} : { limit: options.limit }),
    ...(options.path === undefined ? {} : { path: options.path }),
  }
  const targetKey = request.key.map((name) => options.rename?.[name] ?? name)
  const accepted = accept(
    { ...request, key: targetKey },
    { fields: shaped.map(({ field }) => field) },
    info.wire,
    existing,
  )
  const columns = shaped.map((column, i) =>
    reconcile(column, read[i] as Field, accepted.columns[i]?.as ?? column.field.type),
  )
  const overwritesBlindly = options.mode === undefined && existing?.foreignRows === true
  if (overwritesBlindly)
    problems.push({ code: 'target_not_ours', text: `${target} holds rows that Nebula did not write.` })
  problems.push(...columns.flatMap(({ problem }) => problem ?? []))
  problems.push(...acceptanceProblems(accepted, request.columns, options))
  const passing = columns.every(({ steps }, i) => steps.length === 0 || accepted.replaced?.includes(i))
    ? accepted
    : withoutWire(accepted)
  const agreed: AgreedStream = {
    request,
    targetKey,
    options,
    target,
    readSchema: { fields: columns.map(({ read: field }) => field) },
    writeSchema: { fields: columns.map(({ written }) => written) },
    steps: columns.map(({ steps }) => steps),
    accepted: passing,
    wire: passing.wire,
  }
  return { agreed, problems }
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
function contradictions(untyped: boolean, shaped: readonly Shaped[], options: StreamOptions): StreamProblem[] {
  const names = Map.groupBy(shaped, ({ field }) => field.name)
  const twice = [...names].filter(([, sharing]) => sharing.length > 1).map(([name]) => name)
  const both = Object.keys(options.mask ?? {}).filter((name) => options.cast?.[name] !== undefined)
  return [
    ...twice.map((name) => `two columns would be called "${name}" at the destination`),
    ...both.map((name) => `column "${name}" is in mask and in cast; a masked column is text`),
    ...(options.types && !untyped ? ['types is for files; the source knows its types, so use cast'] : []),
  ].map((text) => ({ code: 'config_invalid', text }))
}

function unknownColumns(schema: Schema, options: StreamOptions): string[] {
  const asked: [string, readonly string[]][] = [
    ['columns', options.columns ?? []],
    ['exclude', options.exclude ?? []],
    ['key', options.key ?? []],
    ['allow_loss', options.allowLoss ?? []],
    ...(['rename', 'cast', 'mask', 'types'] as const).map((key): [string, string[]] => [
      key,
      Object.keys(options[key] ?? {}),
    ]),
  ]
  const names = schema.fields.map((field) => field.name)
  return asked.flatMap(([key, columns]) =>
    columns
      .filter((name) => !names.includes(name))
      .map((name) => {
        const near = nearest(name, names)
        const hint = near === undefined ? `it has ${names.slice(0, 20).join(', ')}` : `did you mean ${near}?`
        return `${key} names a column "${name}" that the stream does not have; ${hint}`
      }),
  )
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

/** Has a text form, and casts to and from it. */
function isModelled(type: LogicalType): boolean {
  return type.kind !== 'native' && type.kind !== 'list' && type.kind !== 'struct'
}

interface Shaped {
  readonly field: Field
  readonly steps: ColumnSteps
}

/** A column after the transforms that the pipeline asks for: its new name and type. */
function shapeField(field: Field, options: StreamOptions): Shaped {
  const name = options.rename?.[field.name] ?? field.name
  const mask = options.mask?.[field.name]
  const cast = options.cast?.[field.name]
  const { comment, nullable } = field
  const plain = { name, nullable, ...(comment === undefined ? {} : { comment }) }
  if (mask) return { field: { ...plain, type: utf8 }, steps: [{ kind: 'sha256' }] }
  if (cast && !sameType(cast, field.type))
    return { field: { ...plain, type: cast }, steps: [{ kind: 'cast', type: cast }] }
  return { field: { ...field, name }, steps: [] }
}

interface Reconciled {
  readonly read: Field
  readonly written: Field
  readonly steps: ColumnSteps
  readonly problem?: StreamProblem
}

/** What is read, done and written so that a column arrives in the type that the destination wants. */
function reconcile({ field, steps }: Shaped, source: Field, wanted: LogicalType): Reconciled {
  const written = { ...field, type: wanted }
  const offered = source.offers ?? [source.type]
  if (steps.length === 0 && offered.some((type) => sameType(type, wanted))) {
    return { read: { ...source, type: wanted }, written, steps }
  }
  const last: ColumnStep[] = sameType(field.type, wanted) && steps.length > 0 ? [] : [{ kind: 'cast', type: wanted }]
  // Masks and casts look at the value itself; what no column can hold is looked at as text.
  const readable = [source.type, ...offered].find(isModelled)
  if (readable && (last.length === 0 || isModelled(wanted))) {
    return { read: { ...source, type: readable }, written, steps: [...steps, ...last] }
  }
  const verb = { sha256: 'masked', cast: 'cast', none: `written as ${typeName(wanted)}` }[steps[0]?.kind ?? 'none']
  const text = `column ${source.name}: ${typeName(source.type)} cannot be ${verb}`
  return { read: source, written, steps: [], problem: { code: 'unsupported', column: source.name, text } }
}
