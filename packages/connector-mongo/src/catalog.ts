import type { Catalog, Context, Field, StreamInfo } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import type { FieldOptions } from '@nebula/formats'
import { BSON_WIRE, documentFields, FieldSampler, idAlias, idDocument } from '@nebula/formats'
import type { Collection, Document, FindOptions } from 'mongodb'
import type { MongoConfig } from './config.ts'
import type { Link, MongoEnd, Namespace } from './connection.ts'
import { compareBytes, idType } from './id-range.ts'
import { batchSize } from './reply-cursor.ts'

/** What `listCollections` says of a collection, a view or a time series. */
export interface CollectionInfo extends Namespace {
  readonly type: string
  /** Of this collection and no later one of its name, in hexadecimal; empty where the server does not say. */
  readonly uuid: string
  /** Documents can be found in the order of their `_id`. */
  readonly indexed: boolean
  readonly options: Document
}

/** Documents, and their bytes together; undefined where nothing is known. */
export interface CollectionSize {
  readonly rows: number
  readonly bytes: number
}

/** Collections that are looked at once. */
const AT_ONCE = 4
/** Bytes of a sample, about. */
const SAMPLE_BYTES = 16_000_000
const LEAST_SAMPLE = 20
/** Each is a query of its own, and is committed on the way, behind the positions of its batches. */
const PARTITION_BYTES = 64_000_000
const OURS = /^(system\.|nebula_)/

/** By stream, documents with nothing but an `_id`, drawn by chance. */
export type DrawnIds = Map<string, readonly Uint8Array[]>

/** Where a catalog is made, and what else is learnt of it. */
export interface Survey {
  readonly end: MongoEnd
  readonly config: MongoConfig
  readonly drawn: DrawnIds
}

/** Everything that there is, without what is the server's own and Nebula's. */
export async function loadCatalog(survey: Survey, context: Context): Promise<Catalog> {
  const { end, config } = survey
  const collections = (await allCollections(end, context)).filter(({ collection }) => !OURS.test(collection))
  const streams: StreamInfo[] = []
  const denied: string[] = []
  const inspect = async (): Promise<void> => {
    for (let next = collections.shift(); next; next = collections.shift()) {
      const name = end.streamName(next)
      const info = await streamInfo(survey, next, context).catch((error: unknown) => {
        if (isNebulaError(error, 'permission_denied')) return undefined
        throw error
      })
      if (info) streams.push(info)
      else denied.push(name)
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, config.performance.maxConcurrency) }, inspect))
  return { streams: streams.toSorted((a, b) => (a.name < b.name ? -1 : 1)), denied: denied.toSorted() }
}

export const SYSTEM_DATABASES = ['admin', 'config', 'local']

async function allCollections(end: MongoEnd, context: Context): Promise<CollectionInfo[]> {
  if (end.database !== undefined) return listCollections(end, end.database, {}, context)
  const list = { listDatabases: 1, nameOnly: true, authorizedDatabases: true }
  const answer = await end.command(list, context)
  const names = (answer['databases'] as Document[]).map(({ name }) => String(name))
  const found: CollectionInfo[] = []
  for (const name of names.filter((one) => !SYSTEM_DATABASES.includes(one)))
    found.push(...(await listCollections(end, name, {}, context)))
  return found
}

/** Who may not list them all is told those that he may read, by name. */
export async function listCollections(
  end: MongoEnd,
  database: string,
  filter: Document,
  context: Context,
): Promise<CollectionInfo[]> {
  const list = (options: object): Promise<CollectionInfo[]> =>
    end.use(context, `Listing the collections of ${database}`, (link) => collectionsIn(link, database, filter, options))
  return list({}).catch((error: unknown) => {
    if (isNebulaError(error, 'permission_denied')) return list({ nameOnly: true, authorizedCollections: true })
    throw error
  })
}

export async function collectionsIn(
  { client, signal }: Link,
  database: string,
  filter: Document = {},
  more: object = {},
): Promise<CollectionInfo[]> {
  const found: Document[] = await client
    .db(database)
    .listCollections(filter, { ...more, signal })
    .toArray()
  return found.map(({ name, type = 'collection', info, idIndex, options = {} }) => ({
    database,
    collection: String(name),
    type: String(type),
    uuid: String(info?.uuid?.toString('hex') ?? ''),
    indexed: type === 'collection' && (idIndex !== undefined || info === undefined),
    options: options as Document,
  }))
}

/** Without the privilege, and for views, nothing is known. */
export async function collectionSize(
  end: MongoEnd,
  { database, collection }: Namespace,
  context: Context,
): Promise<CollectionSize | undefined> {
  try {
    const { count, size } = await end.command({ collStats: collection }, context, database)
    return { rows: Number(count), bytes: Number(size) }
  } catch (error) {
    if (isNebulaError(error) && !error.retryable && error.code !== 'aborted') return undefined
    throw error
  }
}

async function streamInfo(
  { end, config, drawn }: Survey,
  found: CollectionInfo,
  context: Context,
): Promise<StreamInfo> {
  const name = end.streamName(found)
  const size = await collectionSize(end, found, context)
  const sample = await end.use(context, `Looking at ${name}`, (link) => takeSample(link, found, size, config))
  drawn.set(name, sample.ids)
  return {
    name,
    schema: { fields: fieldsOf(name, found, sample, config) },
    key: found.indexed ? ['_id'] : [],
    wire: [BSON_WIRE],
    filters: ['native'],
    consistency: config.snapshot ? 'snapshot' : 'row',
    ...size,
    ...(found.type === 'collection' ? {} : { comment: found.type }),
    ...(found.indexed ? { partitionBytes: PARTITION_BYTES } : { mayMiss: true }),
  }
}

/** What is known of the documents of a collection. */
interface Sample {
  readonly sampler: FieldSampler
  /** Of the last `_id`; where there is none, of the first one that comes. */
  readonly idTypes: readonly string[]
  /** Of documents that were drawn by chance, with nothing else. */
  readonly ids: readonly Uint8Array[]
}

/** The first documents, and of a large collection some at random. */
async function takeSample(
  { client, signal }: Link,
  found: CollectionInfo,
  size: CollectionSize | undefined,
  { sample: most, objects, arrays }: MongoConfig,
): Promise<Sample> {
  const collection = client.db(found.database).collection(found.collection)
  const { first, drawn, average } = sampleSizes(found, size, most)
  const order = found.indexed ? { sort: { _id: 1 } as const } : {}
  const sampler = new FieldSampler(objects !== 'json' || arrays !== 'json')
  const ids: Uint8Array[] = []
  // Twenty documents may be 320 MB.
  const reply = { raw: true, batchSize: batchSize({ rows: first, bytes: SAMPLE_BYTES / 2 }, average), signal }
  await using drawing = drawn > 0 ? collection.aggregate([{ $sample: { size: drawn } }], reply) : undefined
  // The server looks for them while the first ones are looked at here.
  const isDrawn = drawing?.hasNext()
  isDrawn?.catch(() => {})
  await eachRaw(collection.find({}, { ...reply, limit: first, ...order }), (document) => sampler.observe(document))
  sampler.draw()
  if (drawing && (await isDrawn))
    await eachRaw(drawing, (document) => {
      sampler.observe(document)
      ids.push(idDocument(document))
    })
  return { sampler, idTypes: found.indexed ? await lastIdType(collection, ids, signal) : [], ids }
}

/** How many documents are looked at, and of how many bytes they are, about. */
function sampleSizes(
  { indexed }: CollectionInfo,
  size: CollectionSize | undefined,
  most: number,
): { readonly first: number; readonly drawn: number; readonly average: number } {
  const average = size && size.rows > 0 ? size.bytes / size.rows : 1
  const wanted = Math.min(most, Math.max(LEAST_SAMPLE, Math.floor(SAMPLE_BYTES / average)))
  if (!indexed || !size || size.rows <= wanted) return { first: wanted, drawn: 0, average }
  const first = Math.ceil(wanted / 4)
  return { first, drawn: Math.min(wanted - first, Math.ceil(SAMPLE_BYTES / average)), average }
}

async function eachRaw(cursor: AsyncIterable<unknown>, look: (document: Uint8Array) => void): Promise<void> {
  for await (const document of cursor) look(document as Uint8Array)
}

/** The type of the last `_id`; those of the first ones are in the sample. */
async function lastIdType(
  collection: Collection,
  drawn: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<string[]> {
  const { ObjectId } = await import('mongodb')
  const greatest = drawn
    .filter((document) => idType(document) === OBJECT_ID)
    .toSorted(compareBytes)
    .at(-1)
  // What is no lower ObjectId has the last one among it, and not every server finds it without sorting what it looks at.
  const filter = greatest ? { _id: { $not: { $lt: new ObjectId(greatest.subarray(9, 21)) } } } : {}
  const [last] = await oneId(collection, filter, { sort: { _id: -1 } }, signal)
  // Who writes the first one without an `_id` is given an ObjectId.
  return [last ? idAlias(last, 0, last.length) : 'objectId']
}

const OBJECT_ID = 7

/** Documents with nothing but the first and the last `_id`; none of an empty collection. */
export async function idEnds(collection: Collection, signal: AbortSignal): Promise<Uint8Array[]> {
  const end = (order: 1 | -1): Promise<Uint8Array[]> => oneId(collection, {}, { sort: { _id: order } }, signal)
  return [...(await end(1)), ...(await end(-1))]
}

async function oneId(
  collection: Collection,
  filter: Document,
  options: FindOptions,
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const found = collection.find(filter, { raw: true, projection: { _id: 1 }, limit: 1, signal, ...options })
  return (await found.toArray()) as unknown as Uint8Array[]
}

function fieldsOf(stream: string, found: CollectionInfo, { sampler, idTypes }: Sample, config: MongoConfig): Field[] {
  const { overflow, documents } = config
  const schema = found.options['validator']?.$jsonSchema as FieldOptions['schema']
  const fields = documentFields(sampler, { overflow, idTypes, documents, nesting: config, schema })
  const taken = [...sampler.fields(), ...fields.slice(0, -1)].some(({ name }) => name === overflow)
  if (documents || !taken) return fields
  throw new NebulaError('config_invalid', {
    message: `${stream} has a field ${overflow}, which is the name of the column for what no other column holds.`,
    fix: 'Give that column another name: overflow.',
    stream,
  })
}
