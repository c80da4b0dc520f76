import type { Context, Partition, Plan, PreviousPlan, ReadStream } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { aliasCode } from '@nebula/formats'
import type { Collection } from 'mongodb'
import type { CollectionInfo, CollectionSize } from './catalog.ts'
import { collectionSize, idEnds, listCollections } from './catalog.ts'
import type { MongoEnd } from './connection.ts'
import type { Bson, IdRange } from './id-range.ts'
import { BRACKETS, idType, parseFilter, sendableId } from './id-range.ts'

/** What must be as it was for committed partitions to stay: the collections themselves, by uuid. JSON. */
interface Proof {
  readonly [stream: string]: string | null
}

/**
 * Cuts collections into ranges of `_id`. It never changes, so a document stays in its range, and the committed ranges of
 * a previous plan stay for as long as the collection is the same one.
 */
export async function planStreams(
  end: MongoEnd,
  { streams, partitionBytes, previous }: PlanQuestion,
  context: Context,
): Promise<Plan> {
  const { BSON: bson } = await import('mongodb')
  const partitions: Partition[] = []
  const restart: { stream: string; reason: string }[] = []
  const proof: { [stream: string]: string | null } = {}
  for (const read of streams) {
    const { request } = read
    const { stream } = request
    if (request.nativeFilter !== undefined) parseFilter(bson, request.nativeFilter)
    const place = end.locate(stream)
    const listed = await listCollections(end, place.database, { name: place.collection }, context)
    const found = listed.find(({ collection }) => collection === place.collection)
    if (!found) throw new NebulaError('stream_not_found', { message: `${stream} is no longer there.`, stream })
    proof[stream] = found.uuid ?? null
    const earlier = previous?.plan.partitions.filter((partition) => partition.stream === stream) ?? []
    const isCommitted = earlier.some(({ id }) => previous?.committed.some(({ partition }) => partition === id))
    const isSame = (previous?.plan.proof as Proof | undefined)?.[stream] === proof[stream]
    if (isCommitted && isSame) {
      partitions.push(...earlier)
      continue
    }
    if (isCommitted) restart.push({ stream, reason: 'the collection was dropped and made anew' })
    const size = (await collectionSize(end, found, context)) ?? { rows: 0, bytes: 0 }
    const ranges = await cut(end, { read, found, size, partitionBytes, bson }, context)
    partitions.push(
      ...ranges.map((range, i) => ({ id: `${stream}#${String(i).padStart(5, '0')}`, stream, range: { ...range } })),
    )
  }
  return { partitions, proof, restart }
}

export interface PlanQuestion {
  readonly streams: readonly ReadStream[]
  readonly partitionBytes: number
  readonly previous: PreviousPlan | undefined
}

interface Cut {
  readonly read: ReadStream
  readonly found: CollectionInfo
  readonly size: CollectionSize
  readonly partitionBytes: number
  readonly bson: Bson
}

/** All ranges together are the collection, whatever is written to it. */
async function cut(
  end: MongoEnd,
  { read, found, size: { rows, bytes }, partitionBytes, bson }: Cut,
  context: Context,
): Promise<IdRange[]> {
  const whole: IdRange = { ordered: found.indexed, ...(rows > 0 ? { documentBytes: Math.ceil(bytes / rows) } : {}) }
  if (read.request.limit !== undefined || !found.indexed) return [whole]
  const count = Math.max(1, Math.min(rows, Math.ceil(bytes / partitionBytes)))
  // Where all `_id`s are of one type, their column says so.
  const code = aliasCode(read.schema.fields.find(({ name }) => name === '_id')?.declared ?? '')
  const [[first = 0, last = first], between] = await end.use(
    context,
    async (client, signal) => {
      const collection = client.db(found.database).collection(found.collection)
      const types = code < 0 ? (await idEnds(collection, signal)).map(idType) : [code & 0xff]
      return [types, count > 1 ? await sampleIds(collection, { rows, count }, signal) : []]
    },
    { doing: `Planning ${end.streamName(found)}` },
  )
  const bracket = BRACKETS.find((types) => types.includes(first))
  if (first === last && !bracket) return [whole]
  const brackets = bracket?.includes(last) ? [bracket] : BRACKETS
  const others = brackets.length > 1 ? [{ ...whole, types: BRACKETS.flat(), others: true } as const] : []
  return [
    ...brackets.flatMap((types) => rangesOf({ ...whole, types }, boundaries(bson, types, between, count))),
    ...others,
  ]
}

/** `_id`s for each partition that is wanted, of which one becomes a boundary. */
const SAMPLES = 20
const MAX_SAMPLES = 10_000

/** In the server's order, which may be that of a collation. Documents with nothing else. */
async function sampleIds(
  collection: Collection,
  { rows, count }: { readonly rows: number; readonly count: number },
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const size = Math.min(MAX_SAMPLES, count * SAMPLES)
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

function rangesOf(range: IdRange, bounds: readonly string[]): IdRange[] {
  return [...bounds, undefined].map((to, i) => {
    const from = bounds[i - 1]
    return { ...range, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
  })
}
