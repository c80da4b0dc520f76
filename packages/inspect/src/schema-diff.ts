import type { Field, StreamInfo } from '@nebula/core'
import { schemaFingerprint, typeName } from '@nebula/core'
import type { RecordedStream } from '@nebula/runtime'

/** What became of a stream since a run found it. */
export interface StreamChange {
  readonly stream: string
  readonly change: 'added' | 'removed' | 'changed'
  readonly columns: readonly ColumnChange[]
  readonly key?: { readonly before: readonly string[]; readonly after: readonly string[] }
}

export interface ColumnChange {
  readonly column: string
  /** `moved`: the columns that both have are in another order. */
  readonly change: 'added' | 'removed' | 'type' | 'nullable' | 'moved'
  readonly before?: string
  readonly after?: string
}

/** How the streams that there are now differ from those that were recorded; equal ones are left out. */
export function diffStreams(before: readonly RecordedStream[], after: readonly StreamInfo[]): StreamChange[] {
  const known = new Map(before.map((stream) => [stream.stream, stream]))
  const there = new Set(after.map(({ name }) => name))
  const gone = before.filter(({ stream }) => !there.has(stream))
  return [
    ...after.flatMap((info) => {
      const old = known.get(info.name)
      return old ? diffStream(old, info) : { stream: info.name, change: 'added' as const, columns: [] }
    }),
    ...gone.map(({ stream }) => ({ stream, change: 'removed' as const, columns: [] })),
  ]
}

function diffStream(old: RecordedStream, { name, schema, key }: StreamInfo): StreamChange[] {
  const sameKey = JSON.stringify(old.key) === JSON.stringify(key)
  if (sameKey && old.fingerprint === schemaFingerprint(schema)) return []
  const columns = diffColumns(old.schema.fields, schema.fields)
  const keys = sameKey ? {} : { key: { before: old.key, after: key } }
  return [{ stream: name, change: 'changed', columns, ...keys }]
}

function diffColumns(before: readonly Field[], after: readonly Field[]): ColumnChange[] {
  const old = new Map(before.map((field) => [field.name, field]))
  const names = new Set(after.map(({ name }) => name))
  const common = before.filter(({ name }) => names.has(name)).map(({ name }) => name)
  const kept = after.filter(({ name }) => old.has(name)).map(({ name }) => name)
  return [
    ...before
      .filter(({ name }) => !names.has(name))
      .map((field) => ({ column: field.name, change: 'removed' as const, before: typeOf(field) })),
    ...after.flatMap((field): ColumnChange[] => {
      const known = old.get(field.name)
      return known ? diffColumn(known, field) : [{ column: field.name, change: 'added', after: typeOf(field) }]
    }),
    ...kept.flatMap((column, i): ColumnChange[] => {
      const from = common.indexOf(column)
      return from === i ? [] : [{ column, change: 'moved', before: String(from + 1), after: String(i + 1) }]
    }),
  ]
}

function diffColumn(before: Field, after: Field): ColumnChange[] {
  const column = after.name
  const types: ColumnChange[] =
    typeOf(before) === typeOf(after) && typeName(before.type) === typeName(after.type)
      ? []
      : [{ column, change: 'type', before: typeOf(before), after: typeOf(after) }]
  const nulls = (field: Field): string => (field.nullable ? 'null' : 'not null')
  if (before.nullable === after.nullable) return types
  return [...types, { column, change: 'nullable', before: nulls(before), after: nulls(after) }]
}

/** In the source's own words where it has some. */
function typeOf({ type, declared }: Field): string {
  return declared ?? typeName(type)
}
