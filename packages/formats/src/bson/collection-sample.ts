import { replyRows } from './document-query.ts'
import type { CollectionSize } from './id-ranges.ts'

/** Bytes of a sample, about. */
const SAMPLE_BYTES = 16_000_000
const LEAST_SAMPLE = 20

/** Which documents are looked at to learn the fields of a collection. */
export interface SamplePlan {
  /** Those with the lowest `_id`s, or that come first. */
  readonly first: number
  /** More, by chance. */
  readonly drawn: number
  /** Documents of a reply: twenty may be 320 MB. */
  readonly batchSize: number
}

/** At most `most` documents, and of large ones fewer. `canDraw`: the server finds some by chance without reading all. */
export function planSample(size: CollectionSize | undefined, most: number, canDraw: boolean): SamplePlan {
  const average = size && size.rows > 0 ? size.bytes / size.rows : 1
  const wanted = Math.min(most, Math.max(LEAST_SAMPLE, Math.floor(SAMPLE_BYTES / average)))
  const isDrawn = canDraw && size !== undefined && size.rows > wanted
  const first = isDrawn ? Math.ceil(wanted / 4) : wanted
  const drawn = isDrawn ? Math.min(wanted - first, Math.ceil(SAMPLE_BYTES / average)) : 0
  return { first, drawn, batchSize: replyRows({ rows: first, bytes: SAMPLE_BYTES / 2 }, average) }
}

/** `_id`s for each range that is wanted, of which one becomes a boundary. */
const IDS_PER_RANGE = 20
const MAX_IDS = 10_000

/** How `_id`s are drawn to cut a collection: how many are wanted, and the stages of an aggregation that gives them in order. */
export function planIdSample(rows: number, ranges: number): { readonly size: number; readonly stages: object[] } {
  const size = ranges > 1 ? Math.min(MAX_IDS, ranges * IDS_PER_RANGE) : 0
  const sample = rows > size ? [{ $sample: { size } }] : []
  const ids = { $project: { _id: 1 } }
  // For more than a twentieth the server sorts all documents by chance: then it has only their ids to sort.
  const stages = size * 20 > rows ? [ids, ...sample] : [...sample, ids]
  return { size, stages: [...stages, { $sort: { _id: 1 } }] }
}
