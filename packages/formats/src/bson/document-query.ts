import type { BatchLimits, ReadStream, ReadTask } from '@nebula/core'
import { fieldIndex, parseText, valueAt } from '@nebula/core'
import { DOCUMENT, OVERFLOW } from './field-types.ts'
import type { IdRange } from './id-ranges.ts'
import { behindId } from './id-ranges.ts'
import { isPlain } from './value-sampler.ts'

/** What a server is asked for the documents of one task: the options of `find`, but for `filter` as its driver has them. */
export interface DocumentQuery {
  /** In Extended JSON. */
  readonly filter: string
  readonly batchSize: number
  readonly projection?: { readonly [field: string]: 0 | 1 }
  readonly sort?: { readonly _id: 1 }
  readonly limit?: number
  readonly hint?: { readonly _id: 1 }
  readonly readPreference?: 'primary'
}

/** Bytes of a document of which nothing is known. */
const UNKNOWN_BYTES = 100_000

/** The query of a task, for what lies behind `after`: an `_id` in canonical Extended JSON; left out: all. */
export function documentQuery({ stream, partition, batch }: ReadTask, after?: string): DocumentQuery {
  const range = partition.range as unknown as IdRange
  const { limit, nativeFilter, complete } = stream.request
  const behind = after === undefined ? undefined : behindId(after)
  const others = [behind, sinceFilter(stream), nativeFilter].filter((term) => term !== undefined)
  return {
    filter: others.length === 0 ? range.filter : `{"$and":[${[range.filter, ...others].join(',')}]}`,
    batchSize: replyRows(batch, range.documentBytes ?? UNKNOWN_BYTES),
    ...projection(stream),
    ...(range.ordered ? { sort: { _id: 1 } } : {}),
    ...(limit === undefined ? {} : { limit }),
    // By another index a document may move to where it was read already, and a secondary may not know of it yet.
    ...(complete ? { hint: { _id: 1 }, readPreference: 'primary' } : {}),
  }
}

/** Documents that make a reply of about so many bytes. */
export function replyRows({ rows, bytes }: Pick<BatchLimits, 'rows' | 'bytes'>, documentBytes: number): number {
  return Math.max(1, Math.min(rows, Math.floor(bytes / Math.max(1, documentBytes))))
}

/** The fields that are asked for, and `_id`; all, where what is left of a document is asked for, too. */
function projection({ schema, wire }: ReadStream): Pick<DocumentQuery, 'projection'> {
  const names = schema.fields.map(({ name, path }) => path?.[0] ?? name)
  const isWhole = schema.fields.some(({ declared }) => declared === OVERFLOW) || fieldIndex(schema, DOCUMENT) >= 0
  // To the server other names are paths and operators.
  if (isWhole || !names.every(isPlain)) return {}
  // Rows that pass through as they are have no more than what is asked for.
  const id = { _id: wire === undefined ? (1 as const) : (0 as const) }
  return { projection: { ...id, ...Object.fromEntries(names.map((name) => [name, 1 as const])) } }
}

/** The types that the server compares with each other as numbers. */
const NUMBERS = ['int', 'long', 'double', 'decimal']

/**
 * What finds the documents of which an incremental stream may not know yet: those whose cursor is not lower, is missing,
 * or is of another type than its column. Undefined: the server finds all; so it does for texts, whose order is that of a
 * collation.
 */
function sinceFilter({ request: { cursor = '', since }, schema }: ReadStream): string | undefined {
  const declared = schema.fields.find(({ name }) => name === cursor)?.declared ?? ''
  const value = since === undefined || !isPlain(cursor) ? undefined : sinceValue(declared, since)
  if (value === undefined) return undefined
  const others = NUMBERS.includes(declared) ? NUMBERS.filter((alias) => alias !== declared) : []
  // An array is lower when one of its values is.
  const terms = [{ $not: { $lt: value } }, { $type: ['array', ...others] }]
  return JSON.stringify({ $or: terms.map((term) => ({ [cursor]: term })) })
}

function sinceValue(declared: string, text: string): object | undefined {
  if (declared === 'int' || declared === 'long') return { $numberLong: text }
  if (declared === 'objectId') return { $oid: text }
  if (declared !== 'date') return undefined
  const column = parseText(text, { kind: 'timestamp', zone: true })
  const ms = column ? Number((valueAt(column, 0) as bigint) / 1000n) : NaN
  // MongoDB has dates that drivers have not.
  return Number.isNaN(new Date(ms).getTime()) ? undefined : { $date: { $numberLong: String(ms) } }
}

/** From which `_id` on, in canonical Extended JSON: where it is an ObjectId, and the cursor. */
export function sinceId({ request, schema }: ReadStream): string | undefined {
  const { cursor, since } = request
  const isObjectId = schema.fields.some(({ name, declared }) => name === '_id' && declared === 'objectId')
  return cursor === '_id' && isObjectId && since !== undefined ? `{"$oid":"${since}"}` : undefined
}
