import { NebulaError } from '@nebula/core'
import { idText } from '@nebula/formats'
import type { BSON, Document } from 'mongodb'

/**
 * The documents of one task by their `_id`. JSON. A comparison in a query of MongoDB matches only values of a kind with
 * its operand, so a range lies within one of them. Without types: the whole collection.
 */
export interface IdRange {
  /** Numbers of the BSON types of `_id`, as `$type` knows them. */
  readonly types?: readonly number[]
  /** All other types instead. */
  readonly others?: true
  /** In canonical Extended JSON; `from` is in it, `to` is not. */
  readonly from?: string
  readonly to?: string
  /** False: there is no index on `_id`, so the order is the natural one. */
  readonly ordered: boolean
  /** Bytes of a document, about. */
  readonly documentBytes?: number
}

/** Types of which there can be more than a few `_id`s, by what compares with each other. */
export const BRACKETS: readonly (readonly number[])[] = [[1, 16, 18, 19], [2], [3], [5], [7], [9], [17]]

/** Of the driver: its own Extended JSON. */
export type Bson = typeof BSON

/** A value for a query, from canonical Extended JSON. */
export function parseId(bson: Bson, text: string): unknown {
  return (bson.EJSON.parse(`{"_id":${text}}`, { relaxed: false }) as Document)['_id']
}

/** A document's `_id` in canonical Extended JSON; undefined when the driver would send another value for it. */
export function sendableId(bson: Bson, document: Uint8Array): string | undefined {
  const text = idText(document, 0, document.length)
  try {
    const sent = bson.serialize({ _id: parseId(bson, text) })
    return idText(sent, 0, sent.length) === text ? text : undefined
  } catch {
    return undefined
  }
}

/** What finds the documents of a range, those behind `after` alone. */
export function idFilter(bson: Bson, { types, others, from, to }: IdRange, after?: string): Document {
  if (!types) return {}
  if (others) return { _id: { $not: { $type: types } } }
  const upper = to === undefined ? undefined : parseId(bson, to)
  const first = from === undefined ? undefined : { $gte: parseId(bson, from) }
  const lower = after === undefined ? first : behind(parseId(bson, after))
  // NaN is not less than anything either.
  const below = lower ? { $lt: upper } : { $not: { $gte: upper } }
  return { _id: { $type: types, ...lower, ...(to !== undefined && below) } }
}

/** NaN is the lowest number, and nothing is greater than it. */
function behind(id: unknown): Document {
  const { _bsontype: type } = (id ?? {}) as { readonly _bsontype?: string }
  const isNan = (type === 'Double' || type === 'Decimal128') && String(id) === 'NaN'
  return isNan ? { $gte: -Infinity } : { $gt: id }
}

/** The order of ObjectIds, in documents with nothing else. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b)
}

/** The BSON type of the `_id` with which a document begins. */
export function idType(document: Uint8Array): number {
  return document[4] ?? 0
}

/** A `native_filter`: a filter document as Extended JSON. Throws `config_invalid`. */
export function parseFilter(bson: Bson, text: string): Document {
  try {
    const filter: unknown = bson.EJSON.parse(text, { relaxed: false })
    if (typeof filter === 'object' && filter !== null && !Array.isArray(filter)) return filter
  } catch {
    // Its message would quote the filter.
  }
  throw new NebulaError('config_invalid', {
    message: 'native_filter is no document in Extended JSON: {"at": {"$gte": {"$date": "2026-01-01T00:00:00Z"}}}.',
  })
}
