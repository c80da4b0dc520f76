import type { Field, StreamInfo } from '@nebula/core'
import { BSON_WIRE } from './document-batches.ts'
import { replyRows } from './document-query.ts'

/** Documents of a collection, and their bytes together. */
export interface CollectionSize {
  readonly rows: number
  readonly bytes: number
}

/** What a server says of a collection, a view or a time series. */
export interface CollectionFacts {
  /** As `listCollections` has it. */
  readonly type: string
  /** Documents can be found in the order of their `_id`. */
  readonly indexed: boolean
  readonly size: CollectionSize | undefined
}

/** Each is a query of its own, and is committed on the way, behind the positions of its batches. */
const PARTITION_BYTES = 64_000_000

/** A collection as a stream. `fields` are those of `documentFields`; with a `snapshot` all rows are of one moment. */
export function collectionStream(
  name: string,
  { type, indexed, size }: CollectionFacts,
  fields: readonly Field[],
  snapshot: boolean,
): StreamInfo {
  return {
    name,
    schema: { fields },
    key: indexed ? ['_id'] : [],
    wire: [BSON_WIRE],
    filters: ['native'],
    sampled: true,
    consistency: snapshot ? 'snapshot' : 'row',
    ...size,
    ...(type === 'collection' ? {} : { comment: type }),
    ...(indexed ? { partitionBytes: PARTITION_BYTES } : { mayMiss: true }),
  }
}

/** Bytes of a sample, about. */
const SAMPLE_BYTES = 16_000_000
const LEAST_SAMPLE = 20

/** Which documents are looked at to learn the fields of a collection. */
export interface SamplePlan {
  /** Those with the lowest `_id`s, or that come first. */
  readonly first: number
  /** More, by chance. */
  readonly drawn: number
  /** What a reply should have: twenty documents may be 320 MB. */
  readonly reply: { readonly rows: number; readonly bytes: number }
  /** Documents that make such a reply. */
  readonly batchSize: number
}

/** Plans to look at `most` documents, and of large ones at fewer. */
export function planSample({ indexed, size }: CollectionFacts, most: number): SamplePlan {
  const average = size && size.rows > 0 ? size.bytes / size.rows : 1
  const wanted = Math.min(most, Math.max(LEAST_SAMPLE, Math.floor(SAMPLE_BYTES / average)))
  const isDrawn = indexed && size !== undefined && size.rows > wanted
  const first = isDrawn ? Math.ceil(wanted / 4) : wanted
  const drawn = isDrawn ? Math.min(wanted - first, Math.ceil(SAMPLE_BYTES / average)) : 0
  const reply = { rows: first, bytes: SAMPLE_BYTES / 2 }
  return { first, drawn, reply, batchSize: replyRows(reply, average) }
}
