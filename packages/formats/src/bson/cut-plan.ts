import type { ReadStream } from '@nebula/core'
import type { CollectionFacts } from './collection-facts.ts'
import { sinceId } from './document-query.ts'
import { aliasCode } from './field-types.ts'
import type { IdRange } from './id-ranges.ts'
import { betweenIds, BRACKETS, idType, OTHERS, sortObjectIds, wholeRange } from './id-ranges.ts'

/** How a collection is cut, and what its server has to be asked for it. */
export interface CutPlan {
  /** All documents. */
  readonly whole: IdRange
  /** How many ranges are wanted. */
  readonly count: number
  /** BSON types of the first and of the last `_id`; one, where all have it. Undefined: they are to be looked at. */
  readonly ends: readonly number[] | undefined
  /** Documents that begin with their `_id`, in the server's order; undefined: an aggregation of `stages` gives them. */
  readonly sampled: readonly Uint8Array[] | undefined
  readonly stages: object[]
  /** The `_id` before which nothing is wanted, in canonical Extended JSON: an ObjectId, as all are then. */
  readonly since: string | undefined
}

/** `_id`s for each range that is wanted, of which one becomes a boundary. */
const IDS_PER_RANGE = 20
const MAX_IDS = 10_000

/**
 * Plans ranges of about so many bytes; of what has no index on `_id`, or is to be read in one piece, one. `drawn` are
 * documents with nothing but an `_id`, that were drawn by chance to learn the fields.
 */
export function planCut(
  stream: ReadStream,
  rangeBytes: number,
  facts: CollectionFacts,
  drawn: readonly Uint8Array[],
): CutPlan {
  const { limit, complete } = stream.request
  const whole = wholeRange(facts)
  // Nor may a document be missed that has an `_id` of a type of its own.
  if (limit !== undefined || complete || !facts.indexed)
    return { whole, count: 1, ends: [], sampled: [], stages: [], since: undefined }
  const { rows = 0, bytes = 0 } = facts.size ?? {}
  const count = Math.max(1, Math.min(rows, Math.ceil(bytes / rangeBytes)))
  const wanted = count > 1 ? Math.min(MAX_IDS, count * IDS_PER_RANGE) : 0
  // Where all `_id`s are of one type, their column says so.
  const declared = stream.schema.fields.find(({ name }) => name === '_id')?.declared ?? ''
  const code = aliasCode(declared)
  const known = declared === 'objectId' ? sortObjectIds(drawn) : []
  return {
    whole,
    count,
    ends: code < 0 ? undefined : [code & 0xff],
    sampled: known.length < wanted ? undefined : known,
    stages: drawIds(rows, wanted),
    since: sinceId(stream),
  }
}

/** Stages that draw so many `_id`s by chance and give them in order; all, where there are no more. */
function drawIds(rows: number, size: number): object[] {
  const sample = rows > size ? [{ $sample: { size } }] : []
  const ids = { $project: { _id: 1 } }
  // For more than a twentieth the server sorts all documents by chance: then it has only their ids to sort.
  return [...(size * 20 > rows ? [ids, ...sample] : [...sample, ids]), { $sort: { _id: 1 } }]
}

/**
 * Cuts a collection into ranges that together are all of it, whatever is written to it: each lies in one bracket of types,
 * and where there are several, the last is for all others. `sendable` gives the `_id` of a document in canonical Extended
 * JSON; undefined when a query cannot say it.
 */
export function cutRanges(
  { whole, count, ends = [], sampled = [], since }: CutPlan,
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
    return [...between, undefined].map((to, i) => betweenIds(types, between[i - 1] ?? since, to))
  })
  const resumable = ranges.map((filter) => ({ ...whole, filter, resumable: true }))
  if (brackets.length === 1) return resumable
  return [...resumable, { ...whole, filter: OTHERS }]
}
