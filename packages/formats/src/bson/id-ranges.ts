import type { CollectionFacts } from './collection-facts.ts'
import { idText } from './extended-json.ts'

/** The documents of one task, by their `_id`. JSON. */
export interface IdRange {
  /** What finds them, in canonical Extended JSON. */
  readonly filter: string
  /** False: there is no index on `_id`, so the order is the natural one. */
  readonly ordered: boolean
  /** All their `_id`s compare with each other, so that reading can go on behind one of them. */
  readonly resumable: boolean
  /** Bytes of a document, about; left out where nothing is known. */
  readonly documentBytes?: number
}

/**
 * BSON types of which there can be more than a few `_id`s. A comparison in a query of MongoDB matches only values of a kind
 * with its operand: those of one bracket.
 */
export const BRACKETS: readonly (readonly number[])[] = [[1, 16, 18, 19], [2], [3], [5], [7], [9], [17]]

/** All documents. */
export function wholeRange({ indexed, size }: CollectionFacts): IdRange {
  const known = size && size.rows > 0 ? { documentBytes: Math.ceil(size.bytes / size.rows) } : {}
  return { filter: '{}', ordered: indexed, resumable: false, ...known }
}

/** What finds no `_id` of a bracket. */
export const OTHERS = `{"_id":{"$not":{"$type":${JSON.stringify(BRACKETS.flat())}}}}`

/** What finds the `_id`s of a bracket from one on, and below another, both in canonical Extended JSON. */
export function betweenIds(types: readonly number[], from: string | undefined, to: string | undefined): string {
  const lower = from === undefined ? '' : `,"$gte":${from}`
  // NaN is not less than anything either.
  const upper = to === undefined ? '' : from === undefined ? `,"$not":{"$gte":${to}}` : `,"$lt":${to}`
  return `{"_id":{"$type":${JSON.stringify(types)}${lower}${upper}}}`
}

/** What finds the documents behind one, by its `_id` in canonical Extended JSON. */
export function behindId(id: string): string {
  // NaN is the lowest number, and nothing is greater than it.
  const isNan = /^\{"\$number(Double|Decimal)":"NaN"\}$/.test(id)
  return isNan ? '{"_id":{"$gte":{"$numberDouble":"-Infinity"}}}' : `{"_id":{"$gt":${id}}}`
}

const OBJECT_ID = 7

/** What finds no lower `_id` than the greatest ObjectId of documents that begin with their `_id`, and so the last of all. */
export function fromGreatest(documents: readonly Uint8Array[]): string {
  const greatest = sortObjectIds(documents).at(-1)
  return greatest ? `{"_id":{"$not":{"$lt":${idText(greatest, 0, greatest.length)}}}}` : '{}'
}

/** Those whose `_id` is an ObjectId, in its order; documents with nothing else. */
export function sortObjectIds(documents: readonly Uint8Array[]): Uint8Array[] {
  return documents.filter((document) => idType(document) === OBJECT_ID).toSorted((a, b) => Buffer.compare(a, b))
}

/** The BSON type of the `_id` with which a document begins. */
export function idType(document: Uint8Array): number {
  return document[4] ?? 0
}
