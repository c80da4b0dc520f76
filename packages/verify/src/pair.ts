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
  const { request, readSchema, writeSchema, accepted, options, targetKey, transform } = agreed
  const { origins, steps } = transform
  const columns: PairedColumn[] = []
  const uncompared: { column: string; why: string }[] = []
  const absent: string[] = []
  for (const [index, written] of writeSchema.fields.entries()) {
    const { name } = written
    const origin = origins[index]
    const read = transform.function || typeof origin !== 'number' ? undefined : readSchema.fields[origin]
    const declared = source.schema.fields[fieldIndex(source.schema, read?.name ?? '')] ?? written
    const standing = target.schema.fields[fieldIndex(target.schema, name)]
    if (!standing) absent.push(name)
    else {
      const made = typeof origin === 'object' && 'metadata' in origin
      const lossy = accepted.columns[index]?.fidelity === 'lossy'
      const why = made ? 'every run adds its own value' : incomparable(declared, written, standing, lossy)
      if (why !== undefined) uncompared.push({ column: name, why })
      else columns.push({ name, index, source: declared, destination: standing })
    }
  }
  const compared = columns.map(({ name }) => name)
  const key = targetKey.every((name) => compared.includes(name)) ? targetKey : []
  const fields = columns.map(({ index, destination }): Field => {
    const wanted = writeSchema.fields[index]?.type ?? utf8
    return { ...destination, type: readableAs(wanted, destination, target.untyped === true) }
  })
  const { stream, path } = back
  const asked = { stream, mode: request.mode, columns: compared, key, ...(path === undefined ? {} : { path }) }
  const kept = columns.every(({ index }) => typeof origins[index] === 'number' && steps[index]?.length === 0)
  const changed = !kept || transform.where !== undefined || transform.function !== undefined
  const alike = columns.every((column) => isAlike(column.source, column.destination))
  return {
    agreed,
    columns,
    key,
    uncompared,
    absent,
    target: { request: asked, schema: { fields }, decode: fields.map((_, index) => index) },
    digestible:
      columns.length > 0 &&
      !changed &&
      options.limit === undefined &&
      alike &&
      source.digest !== undefined &&
      source.digest === target.digest,
  }
}

/** Why the values of a column need not be the same at both ends, though nothing went wrong; undefined: they must. */
function incomparable(source: Field, written: Field, target: Field, lossy: boolean): string | undefined {
  if (lossy) return 'the pipeline allows it to lose something'
  const declared = target.declared ?? 'json'
  if (written.type.kind !== 'json' || declared === 'json' || declared === source.declared) return undefined
  return `${declared} keeps what JSON means and not its text`
}

function isAlike(a: Field, b: Field): boolean {
  return a.vendor === b.vendor && a.declared !== undefined && a.declared === b.declared
}

/** The type in which a column of the target is read: the one in which it was written, else one that has a text. */
function readableAs(wanted: LogicalType, target: Field, untyped: boolean): LogicalType {
  if (untyped) return wanted
  const offers = target.offers ?? [target.type]
  const textual = ({ kind }: LogicalType): boolean => kind !== 'native' && kind !== 'list' && kind !== 'struct'
  return offers.find((type) => sameType(type, wanted)) ?? offers.find(textual) ?? utf8
}
