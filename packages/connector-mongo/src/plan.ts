import type { Context, Partition, Plan, PreviousPlan, ReadStream } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { aliasCode } from '@nebula/formats'
import type { Collection } from 'mongodb'
import type { CollectionInfo, CollectionSize, DrawnIds } from './catalog.ts'
import { collectionSize, idEnds, listCollections } from './catalog.ts'
import type { Link, MongoEnd } from './connection.ts'
import type { Bson, IdRange } from './id-range.ts'
import { BRACKETS, compareBytes, idType, parseFilter, sendableId } from './id-range.ts'
import { sinceId } from './since.ts'
import { takeSnapshot } from './snapshot.ts'

/** A document is in memory several times, on its way in and out. */
const LARGE_DOCUMENT = 4_000_000

/** What must be as it was for committed partitions to stay: the collections of streams themselves, by uuid. JSON. */
type Proof = Readonly<Record<string, string>>

/**
 * Cuts collections into ranges of `_id`. It never changes, so a document stays in its range, and the committed ranges of
 * a previous plan stay for as long as the collection is the same one, and its snapshot is kept, where there is one.
 */
export async function planStreams(end: MongoEnd, question: PlanQuestion, context: Context): Promise<Plan> {
  const { BSON: bson } = await import('mongodb')
  const { streams, previous, snapshots } = question
  const partitions: Partition[] = []
  const restart: { stream: string; reason: string }[] = []
  const uuids: Record<string, string> = {}
  const first = end.locate(streams[0]?.request.stream ?? '')
  const take = (link: Link): Promise<string> => takeSnapshot(link, bson, first, previous?.plan.snapshot)
  // A snapshot of a secondary may be older than what was read before.
  const isNewest = streams.some(({ request }) => request.complete)
  const snapshot = snapshots && !isNewest ? await end.use(context, 'Taking a snapshot', take) : undefined
  for (const asked of streams) {
    const { stream, nativeFilter } = asked.request
    if (nativeFilter !== undefined) parseFilter(bson, nativeFilter)
    const found = await findCollection(end, stream, context)
    uuids[stream] = found.uuid
    const { kept, reason } = keptOf(stream, { uuid: found.uuid, snapshot }, previous)
    if (reason !== undefined) restart.push({ stream, reason })
    partitions.push(...(kept ?? (await cutStream(end, asked, { found, ...question }, context))))
  }
  const proof: Proof = uuids
  const isLarge = ({ range }: Partition): boolean => ((range as Partial<IdRange>).documentBytes ?? 0) > LARGE_DOCUMENT
  const tasks = partitions.some(isLarge) ? { tasks: 1 } : {}
  return { partitions, proof, restart, ...tasks, ...(snapshot === undefined ? {} : { snapshot }) }
}

export interface PlanQuestion {
  readonly streams: readonly ReadStream[]
  readonly partitionBytes: number
  readonly previous: PreviousPlan | undefined
  /** All documents are read as of one moment. */
  readonly snapshots: boolean
  readonly drawn: DrawnIds
}

async function findCollection(end: MongoEnd, stream: string, context: Context): Promise<CollectionInfo> {
  const { database, collection: name } = end.locate(stream)
  const listed = await listCollections(end, database, { name }, context)
  const found = listed.find(({ collection }) => collection === name)
  if (found) return found
  throw new NebulaError('stream_not_found', { message: `${stream} is no longer there.`, stream })
}

/** The partitions of an interrupted run, where some are committed and fit; else why they do not. */
function keptOf(
  stream: string,
  now: { readonly uuid: string; readonly snapshot: string | undefined },
  previous: PreviousPlan | undefined,
): { readonly kept?: readonly Partition[]; readonly reason?: string } {
  if (!previous) return {}
  const { plan, committed } = previous
  const kept = plan.partitions.filter((partition) => partition.stream === stream)
  if (!kept.some(({ id }) => committed.some(({ partition }) => partition === id))) return {}
  if ((plan.proof as Proof)[stream] !== now.uuid) return { reason: 'the collection was dropped and made anew' }
  return plan.snapshot === now.snapshot ? { kept } : { reason: 'the server no longer keeps its snapshot' }
}

async function cutStream(
  end: MongoEnd,
  asked: ReadStream,
  { found, partitionBytes, drawn }: Pick<CutQuestion, 'found' | 'partitionBytes'> & Pick<PlanQuestion, 'drawn'>,
  context: Context,
): Promise<Partition[]> {
  const { stream, limit, complete } = asked.request
  const size = await collectionSize(end, found, context)
  // Nor may a document be missed that has an `_id` of a type of its own.
  const isWhole = limit !== undefined || complete || !found.indexed
  const declared = asked.schema.fields.find(({ name }) => name === '_id')?.declared
  const since = sinceId(asked)
  const question = { found, size, partitionBytes, declared, since, drawn: drawn.get(stream) ?? [] }
  const ranges = isWhole
    ? [whole(found.indexed, size)]
    : await end.use(context, `Planning ${stream}`, (link) => cut(link, question))
  return ranges.map((range, i) => ({ id: `${stream}#${String(i).padStart(5, '0')}`, stream, range: { ...range } }))
}

function whole(ordered: boolean, size: CollectionSize | undefined): IdRange {
  return size && size.rows > 0 ? { ordered, documentBytes: Math.ceil(size.bytes / size.rows) } : { ordered }
}

interface CutQuestion {
  readonly found: CollectionInfo
  readonly size: CollectionSize | undefined
  readonly partitionBytes: number
  /** Of the column `_id`, if it is read. */
  readonly declared: string | undefined
  /** The `_id` before which nothing is wanted. */
  readonly since: string | undefined
  /** `_id`s that are known already. */
  readonly drawn: readonly Uint8Array[]
}

/** `_id`s for each partition that is wanted, of which one becomes a boundary. */
const SAMPLES = 20
const MAX_SAMPLES = 10_000

/** All ranges together are the collection, whatever is written to it. */
async function cut(
  { client, signal }: Link,
  { found, size, partitionBytes, declared = '', since, drawn }: CutQuestion,
): Promise<IdRange[]> {
  const { BSON: bson } = await import('mongodb')
  const { rows = 0, bytes = 0 } = size ?? {}
  const count = Math.max(1, Math.min(rows, Math.ceil(bytes / partitionBytes)))
  const collection = client.db(found.database).collection(found.collection)
  // Where all `_id`s are of one type, their column says so.
  const code = aliasCode(declared)
  const ends = code < 0 ? (await idEnds(collection, signal)).map(idType) : [code & 0xff]
  const known = declared === 'objectId' ? drawn : []
  const between = count > 1 ? await sampleIds(collection, { rows, count, known }, signal) : []
  const [first = 0, last = first] = ends
  const bracket = BRACKETS.find((types) => types.includes(first))
  const range = whole(true, size)
  if (first === last && !bracket) return [range]
  const brackets = bracket?.includes(last) ? [bracket] : BRACKETS
  const others = brackets.length > 1 ? [{ ...range, types: BRACKETS.flat(), others: true } as const] : []
  return [
    ...brackets.flatMap((types) => rangesOf({ ...range, types }, boundaries(bson, types, between, count), since)),
    ...others,
  ]
}

/** In the server's order, which may be that of a collation. Documents with nothing else; `known` are ObjectIds. */
async function sampleIds(
  collection: Collection,
  { rows, count, known }: { readonly rows: number; readonly count: number; readonly known: readonly Uint8Array[] },
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const size = Math.min(MAX_SAMPLES, count * SAMPLES)
  if (known.length >= size) return known.toSorted(compareBytes)
  const sample = rows > size ? [{ $sample: { size } }] : []
  const ids = { $project: { _id: 1 } }
  // For more than a twentieth the server sorts all documents by chance: then it has only their ids to sort.
  const stages = [...(size * 20 > rows ? [ids, ...sample] : [...sample, ids]), { $sort: { _id: 1 } }]
  return (await collection.aggregate(stages, { raw: true, signal }).toArray()) as Uint8Array[]
}

/** Of evenly many sampled ids the last, where it is of the bracket and can be sent as it is; each once. */
function boundaries(bson: Bson, types: readonly number[], sampled: readonly Uint8Array[], count: number): string[] {
  const chosen = Array.from({ length: count - 1 }, (_, i) => sampled[Math.floor(((i + 1) * sampled.length) / count)])
  const texts = chosen.flatMap((document) => {
    if (!document || !types.includes(idType(document))) return []
    const text = sendableId(bson, document)
    return text === undefined || text.includes('NaN') ? [] : [text]
  })
  return [...new Set(texts)]
}

/** `since` is an ObjectId, as all bounds are then: their texts have their order. */
function rangesOf(range: IdRange, between: readonly string[], since: string | undefined): IdRange[] {
  const bounds = between.filter((bound) => since === undefined || bound > since)
  return [...bounds, undefined].map((to, i) => {
    const from = bounds[i - 1] ?? since
    return { ...range, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
  })
}
