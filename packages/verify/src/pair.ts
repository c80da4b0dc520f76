import type { Field, LogicalType, ReadBack, ReadStream, StreamInfo } from '@nebula/core'
import { fieldIndex, sameType, utf8 } from '@nebula/core'
import type { AgreedStream } from '@nebula/runtime'

/** One column as it is compared. */
interface PairedColumn {
  /** Its name at the destination. */
  readonly name: string
  /** Its place among the columns that are written. */
  readonly index: number
  /** As the ends declare it. */
  readonly source: Field
  readonly destination: Field
}

/** A stream and the target in which its rows should be. */
export interface Pair {
  readonly agreed: AgreedStream
  readonly columns: readonly PairedColumn[]
  /** In the target's names; empty where nothing identifies a row. */
  readonly key: readonly string[]
  readonly uncompared: readonly { readonly column: string; readonly why: string }[]
  /** Columns that should be at the target and are not. */
  readonly absent: readonly string[]
  /** How the target is read, in the order of `columns`. */
  readonly target: ReadStream
  /** Both ends compute the same hashes where the rows lie. */
  readonly digestible: boolean
}

/** Sets a stream beside its target, column by column. */
export function pairStream(agreed: AgreedStream, source: StreamInfo, target: StreamInfo, back: ReadBack): Pair {
  const { request, writeSchema, targetKey } = agreed
  const columns: PairedColumn[] = []
  const uncompared: { column: string; why: string }[] = []
  const absent: string[] = []
  for (const [index, { name }] of writeSchema.fields.entries()) {
    const declared = sourceField(agreed, source, index)
    const found = target.schema.fields[fieldIndex(target.schema, name)]
    const standing = target.sampled && isShared(agreed, index, source, target) ? { ...declared, name } : found
    const why = standing && incomparable(agreed, index, declared, standing)
    if (!standing) absent.push(name)
    else if (why !== undefined) uncompared.push({ column: name, why })
    else columns.push({ name, index, source: declared, destination: standing })
  }
  const compared = columns.map(({ name }) => name)
  const key = targetKey.every((name) => compared.includes(name)) ? targetKey : []
  const fields = columns.map(({ index, destination }): Field => {
    const wanted = writeSchema.fields[index]?.type ?? utf8
    return { ...destination, type: readableAs(wanted, destination, target.untyped === true) }
  })
  return {
    agreed,
    columns,
    key,
    uncompared,
    absent,
    target: {
      request: { ...back, mode: request.mode, columns: compared, key },
      schema: { fields },
      decode: fields.map((_, index) => index),
    },
    digestible: source.digest !== undefined && source.digest === target.digest && isUntouched(agreed, columns),
  }
}

/** The column of the source that a written one is, as the source declares it; one that is made on the way, as it is made. */
function sourceField({ transform, readSchema, writeSchema }: AgreedStream, source: StreamInfo, index: number): Field {
  const written = writeSchema.fields[index] as Field
  const origin = transform.origins[index]
  if (transform.function || typeof origin !== 'number') return written
  const name = readSchema.fields[origin]?.name ?? ''
  return source.schema.fields[fieldIndex(source.schema, name)] ?? written
}

/** True for a column that two ends of one system have as it is, so that both may be read by one declaration. */
function isShared(agreed: AgreedStream, index: number, source: StreamInfo, target: StreamInfo): boolean {
  const [vendor, other] = [source, target].map(({ schema }) => schema.fields[0]?.vendor)
  const isFlattened = source.schema.fields.some(({ path }) => path !== undefined)
  return vendor === other && !isFlattened && isUnchanged(agreed, index)
}

/** True for a column whose values are those that the source has. */
function isUnchanged({ transform: { origins, steps } }: AgreedStream, index: number): boolean {
  return typeof origins[index] === 'number' && steps[index]?.length === 0
}

/** True when rows and values should be at the target as the source has them, in columns that are declared alike. */
function isUntouched(agreed: AgreedStream, columns: readonly PairedColumn[]): boolean {
  const { transform, options } = agreed
  if (transform.where || transform.function || options.limit !== undefined || columns.length === 0) return false
  return columns.every(({ index, source, destination }) => isUnchanged(agreed, index) && isAlike(source, destination))
}

/** Why the values of a column need not be the same at both ends, though nothing went wrong; undefined: they must. */
function incomparable(
  { transform, accepted, writeSchema }: AgreedStream,
  index: number,
  source: Field,
  target: Field,
): string | undefined {
  const origin = transform.origins[index]
  if (typeof origin === 'object' && 'metadata' in origin) return 'every run adds its own value'
  if (accepted.columns[index]?.fidelity === 'lossy') return 'the pipeline allows it to lose something'
  if (writeSchema.fields[index]?.type.kind === 'date' && target.type.kind === 'timestamp')
    return 'the target keeps the midnight with which a date begins'
  const declared = target.declared ?? 'json'
  const isText = declared === 'json' || declared === source.declared
  if (writeSchema.fields[index]?.type.kind !== 'json' || isText) return undefined
  return `${declared} keeps what JSON means and not its text`
}

function isAlike(a: Field, b: Field): boolean {
  return a.vendor === b.vendor && a.declared !== undefined && a.declared === b.declared
}

/** The type in which a column of the target is read: the one in which it was written, else one that has a text. */
function readableAs(wanted: LogicalType, target: Field, untyped: boolean): LogicalType {
  if (untyped) return wanted
  const offers = target.offers ?? [target.type]
  return offers.find((type) => sameType(type, wanted) && !isNested(type)) ?? offers.find(hasText) ?? utf8
}

/** The type in which a column of the source is compared: of a struct or a list the text that it offers in its place. */
export function comparedAs({ type, offers = [] }: Field): LogicalType {
  return isNested(type) ? (offers.find(hasText) ?? type) : type
}

function isNested({ kind }: LogicalType): boolean {
  return kind === 'list' || kind === 'struct'
}

function hasText(type: LogicalType): boolean {
  return type.kind !== 'native' && !isNested(type)
}
