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

/** Documents of a collection, and their bytes together. */
export interface CollectionSize {
  readonly rows: number
  readonly bytes: number
}

/** What is known of the `_id`s of a collection that is to be cut. */
export interface IdSample {
  /** How many ranges are wanted. */
  readonly count: number
  /** BSON types of the first and of the last `_id`; one, where they are all of it; none of an empty collection. */
  readonly ends: readonly number[]
  /** Documents that begin with their `_id`, in the server's order, which may be that of a collation. */
  readonly sampled: readonly Uint8Array[]
  /** In canonical Extended JSON, an ObjectId as all are then: the `_id` before which nothing is wanted. */
  readonly since: string | undefined
}

/** BSON types of which there can be more than a few `_id`s, by what compares with each other. */
const BRACKETS: readonly (readonly number[])[] = [[1, 16, 18, 19], [2], [3], [5], [7], [9], [17]]

/** All documents. */
export function wholeRange(ordered: boolean, size: CollectionSize | undefined): IdRange {
  const known = size && size.rows > 0 ? { documentBytes: Math.ceil(size.bytes / size.rows) } : {}
  return { filter: '{}', ordered, resumable: false, ...known }
}

/**
 * Cuts `whole` into ranges that together are the collection, whatever is written to it. A comparison in a query of MongoDB
 * matches only values of a kind with its operand, so each range lies within one of them; the last is for all other kinds.
 * `sendable` is the `_id` of a document in canonical Extended JSON; undefined when a query cannot say it.
 */
export function cutRanges(
  whole: IdRange,
  { ends, sampled, count, since }: IdSample,
  sendable: (document: Uint8Array) => string | undefined,
): IdRange[] {
  const [first = 0, last = first] = ends
  const bracket = BRACKETS.find((types) => types.includes(first))
  if (first === last && !bracket) return [whole]
  const brackets = bracket?.includes(last) ? [bracket] : BRACKETS
  const chosen = Array.from({ length: count - 1 }, (_, i) => sampled[Math.floor(((i + 1) * sampled.length) / count)])
  const ranges = brackets.flatMap((types) => {
    const bounds = chosen.flatMap((document) => {
      const bound = document && types.includes(idType(document)) ? sendable(document) : undefined
      // Of ObjectIds the texts have their order, too. Nothing is less than NaN, and nothing greater.
      return bound === undefined || bound.includes('NaN') || (since !== undefined && bound <= since) ? [] : [bound]
    })
    const between = [...new Set(bounds)]
    return [...between, undefined].map((to, i) => idFilter(types, between[i - 1] ?? since, to))
  })
  const resumable = ranges.map((filter) => ({ ...whole, filter, resumable: true }))
  if (brackets.length === 1) return resumable
  return [...resumable, { ...whole, filter: `{"_id":{"$not":{"$type":${JSON.stringify(BRACKETS.flat())}}}}` }]
}

/** `from` is in the range, `to` is not. */
function idFilter(types: readonly number[], from: string | undefined, to: string | undefined): string {
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
