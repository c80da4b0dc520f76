import type { Context, Partition, Plan, PreviousPlan, ReadStream } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { IdRange } from '@nebula/formats'
import { areLarge, cutRanges, idType, keptPartitions, planCut, rangePartitions } from '@nebula/formats'
import type { Document } from 'mongodb'
import type { CollectionInfo, DrawnIds } from './catalog.ts'
import { collectionSize, endIds, listCollections } from './catalog.ts'
import type { Link, MongoEnd } from './connection.ts'
import { parseFilter, sendableId } from './queries.ts'
import { takeSnapshot } from './snapshot.ts'

export interface PlanQuestion {
  readonly streams: readonly ReadStream[]
  readonly partitionBytes: number
  readonly previous: PreviousPlan | undefined
  readonly drawn: DrawnIds
}

/** Cuts collections into ranges of `_id`; those of a previous plan stay where they fit. */
export async function planStreams(end: MongoEnd, question: PlanQuestion, context: Context): Promise<Plan> {
  const { streams, previous } = question
  const partitions: Partition[] = []
  const restart: { stream: string; reason: string }[] = []
  const proof: Record<string, string> = {}
  const first = end.locate(streams[0]?.request.stream ?? '')
  const take = (link: Link): Promise<string> => takeSnapshot(link, first, previous?.plan.snapshot)
  // A snapshot of a secondary may be older than what was read before.
  const isNewest = streams.some(({ request }) => request.complete)
  const snapshot = end.config.snapshot && !isNewest ? await end.use(context, 'Taking a snapshot', take) : undefined
  for (const asked of streams) {
    const { stream, nativeFilter } = asked.request
    if (nativeFilter !== undefined) parseFilter(nativeFilter)
    const found = await findCollection(end, stream, context)
    proof[stream] = found.uuid
    const { kept, reason } = keptPartitions(stream, found.uuid, snapshot, previous)
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

interface CutQuestion extends Pick<PlanQuestion, 'partitionBytes' | 'drawn'> {
  readonly asked: ReadStream
  readonly found: CollectionInfo
}

async function cutStream(end: MongoEnd, question: CutQuestion, context: Context): Promise<IdRange[]> {
  const { asked, found, partitionBytes, drawn } = question
  const { stream } = asked.request
  const facts = { ...found, size: await collectionSize(end, found, context) }
  const plan = planCut(asked, partitionBytes, facts, drawn.get(stream) ?? [])
  return end.use(context, `Planning ${stream}`, async ({ client, signal }) => {
    const collection = client.db(found.database).collection(found.collection)
    const ends = plan.ends ?? (await endIds(collection, signal)).map(idType)
    const draw = (): Promise<Document[]> => collection.aggregate(plan.stages, { raw: true, signal }).toArray()
    const sampled = plan.sampled ?? ((await draw()) as Uint8Array[])
    return cutRanges({ ...plan, ends, sampled }, sendableId)
  })
}
