import type { Field, StreamInfo } from '@nebula/core'
import { BSON_WIRE } from './document-batches.ts'
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

/** Each is a query of its own, and is committed on the way, behind the positions of its batches. */
const PARTITION_BYTES = 64_000_000

/** What is known of a collection, and not of its documents. */
export interface CollectionTraits {
  /** As `listCollections` has it. */
  readonly type: string
  /** Documents can be found in the order of their `_id`. */
  readonly indexed: boolean
  readonly size: CollectionSize | undefined
  /** All documents are read as of one moment. */
  readonly snapshot: boolean
}

/** A collection as a stream, whose columns `documentFields` gives. */
export function describeCollection(name: string, fields: readonly Field[], traits: CollectionTraits): StreamInfo {
  const { type, indexed, size, snapshot } = traits
  return {
    name,
    schema: { fields },
    key: indexed ? ['_id'] : [],
    wire: [BSON_WIRE],
    filters: ['native'],
    consistency: snapshot ? 'snapshot' : 'row',
    ...size,
    ...(type === 'collection' ? {} : { comment: type }),
    ...(indexed ? { partitionBytes: PARTITION_BYTES } : { mayMiss: true }),
  }
}
