import type { Context, Partition, Plan, PreviousPlan, ReadStream } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { IdRange } from '@nebula/formats'
import {
  aliasCode,
  areLarge,
  cutRanges,
  idType,
  keptPartitions,
  planIdSample,
  rangePartitions,
  sinceId,
  sortObjectIds,
  wholeRange,
} from '@nebula/formats'
import type { CollectionInfo, DrawnIds } from './catalog.ts'
import { collectionSize, endIds, listCollections } from './catalog.ts'
import type { Link, MongoEnd } from './connection.ts'
import { parseFilter, sendableId } from './queries.ts'
import { takeSnapshot } from './snapshot.ts'

export interface PlanQuestion {
  readonly streams: readonly ReadStream[]
  readonly partitionBytes: number
  readonly previous: PreviousPlan | undefined
  /** All documents are read as of one moment. */
  readonly snapshots: boolean
  readonly drawn: DrawnIds
}

/** Cuts collections into ranges of `_id`; those of a previous plan stay where they fit. */
export async function planStreams(end: MongoEnd, question: PlanQuestion, context: Context): Promise<Plan> {
  const { streams, previous, snapshots } = question
  const partitions: Partition[] = []
  const restart: { stream: string; reason: string }[] = []
  const proof: Record<string, string> = {}
  const first = end.locate(streams[0]?.request.stream ?? '')
  const take = (link: Link): Promise<string> => takeSnapshot(link, first, previous?.plan.snapshot)
  // A snapshot of a secondary may be older than what was read before.
  const isNewest = streams.some(({ request }) => request.complete)
  const snapshot = snapshots && !isNewest ? await end.use(context, 'Taking a snapshot', take) : undefined
  for (const asked of streams) {
    const { stream, nativeFilter } = asked.request
    if (nativeFilter !== undefined) parseFilter(nativeFilter)
    const found = await findCollection(end, stream, context)
    proof[stream] = found.uuid
    const { kept, reason } = keptPartitions(stream, { uuid: found.uuid, snapshot }, previous)
    if (reason !== undefined) restart.push({ stream, reason })
    partitions.push(...(kept ?? rangePartitions(stream, await cutStream(end, { asked, found, ...question }, context))))
  }
  const tasks = areLarge(partitions) ? { tasks: 1 } : {}
  return { partitions, proof, restart, ...tasks, ...(snapshot === undefined ? {} : { snapshot }) }
}

async function findCollection(end: MongoEnd, stream: string, context: Context): Promise<CollectionInfo> {
  const { database, collection: name } = end.locate(stream)
  const listed = await listCollections(end, database, { name }, context)
  const found = listed.find(({ collection }) => collection === name)
  if (found) return found
  throw new NebulaError('stream_not_found', { message: `${stream} is no longer there.`, stream })
}

async function cutStream(
  end: MongoEnd,
  { asked, found, partitionBytes, drawn }: CutQuestion,
  context: Context,
): Promise<IdRange[]> {
  const { stream, limit, complete } = asked.request
  const size = await collectionSize(end, found, context)
  const whole = wholeRange(found.indexed, size)
  // Nor may a document be missed that has an `_id` of a type of its own.
  if (limit !== undefined || complete || !found.indexed) return [whole]
  const { rows = 0, bytes = 0 } = size ?? {}
  const count = Math.max(1, Math.min(rows, Math.ceil(bytes / partitionBytes)))
  const declared = asked.schema.fields.find(({ name }) => name === '_id')?.declared ?? ''
  const known = declared === 'objectId' ? sortObjectIds(drawn.get(stream) ?? []) : []
  const sample = planIdSample(rows, count)
  // Where all `_id`s are of one type, their column says so.
  const code = aliasCode(declared)
  return end.use(context, `Planning ${stream}`, async ({ client, signal }) => {
    const collection = client.db(found.database).collection(found.collection)
    const ends = code < 0 ? (await endIds(collection, signal)).map(idType) : [code & 0xff]
    const drawing = collection.aggregate(sample.stages, { raw: true, signal })
    const sampled = known.length < sample.size ? ((await drawing.toArray()) as Uint8Array[]) : known
    return cutRanges(whole, { ends, sampled, count, since: sinceId(asked) }, sendableId)
  })
}

interface CutQuestion extends Pick<PlanQuestion, 'partitionBytes' | 'drawn'> {
  readonly asked: ReadStream
  readonly found: CollectionInfo
}
