import type { Catalog, Context, Field, StreamInfo } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import type { FieldOptions } from '@nebula/formats'
import { BSON_WIRE, documentFields, FieldSampler, idAlias } from '@nebula/formats'
import type { Collection, Document } from 'mongodb'
import type { MongoConfig } from './config.ts'
import type { Link, MongoEnd, Namespace } from './connection.ts'
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

/** Everything that there is, without what is the server's own and Nebula's. */
export async function loadCatalog(end: MongoEnd, config: MongoConfig, context: Context): Promise<Catalog> {
  const collections = (await allCollections(end, context)).filter(({ collection }) => !OURS.test(collection))
  const streams: StreamInfo[] = []
  const denied: string[] = []
  const inspect = async (): Promise<void> => {
    for (let next = collections.shift(); next; next = collections.shift()) {
      const name = end.streamName(next)
      const info = await streamInfo(end, config, next, context).catch((error: unknown) => {
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
  end: MongoEnd,
  config: MongoConfig,
  found: CollectionInfo,
  context: Context,
): Promise<StreamInfo> {
  const name = end.streamName(found)
  const size = await collectionSize(end, found, context)
  const sample = await end.use(context, `Looking at ${name}`, (link) => takeSample(link, found, size, config))
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

/** What is known of the documents of a collection, and the types of its first and last `_id`. */
interface Sample {
  readonly sampler: FieldSampler
  readonly idTypes: readonly string[]
}

/** The first documents, and of a large collection some at random. */
async function takeSample(
  { client, signal }: Link,
  found: CollectionInfo,
  size: CollectionSize | undefined,
  { sample: most, objects, arrays }: MongoConfig,
): Promise<Sample> {
  const collection = client.db(found.database).collection(found.collection)
  const average = size && size.rows > 0 ? size.bytes / size.rows : 1
  const wanted = Math.min(most, Math.max(LEAST_SAMPLE, Math.floor(SAMPLE_BYTES / average)))
  const isWhole = !found.indexed || !size || size.rows <= wanted
  const limit = isWhole ? wanted : Math.ceil(wanted / 4)
  const order = found.indexed ? { sort: { _id: 1 } as const } : {}
  const sampler = new FieldSampler(objects !== 'json' || arrays !== 'json')
  // Twenty documents may be 320 MB.
  const reply = { raw: true, batchSize: batchSize({ rows: wanted, bytes: SAMPLE_BYTES / 2 }, average), signal }
  const observe = async (documents: AsyncIterable<Document>): Promise<void> => {
    for await (const document of documents) sampler.observe(document as Uint8Array)
  }
  await observe(collection.find({}, { ...reply, limit, ...order }))
  sampler.draw()
  if (!isWhole) {
    const random = [{ $sample: { size: Math.min(wanted - limit, Math.ceil(SAMPLE_BYTES / average)) } }]
    await observe(collection.aggregate(random, reply))
  }
  const ends = found.indexed ? await idEnds(collection, signal) : []
  const idTypes = ends.map((document) => idAlias(document, 0, document.length))
  // Who writes the first one without an `_id` is given an ObjectId.
  return { sampler, idTypes: idTypes.length > 0 || !found.indexed ? idTypes : ['objectId'] }
}

/** Documents with nothing but the first and the last `_id`; none of an empty collection. */
export async function idEnds(collection: Collection, signal: AbortSignal): Promise<Uint8Array[]> {
  const end = (order: 1 | -1): Promise<Document[]> =>
    collection.find({}, { raw: true, projection: { _id: 1 }, sort: { _id: order }, limit: 1, signal }).toArray()
  return [...(await end(1)), ...(await end(-1))] as Uint8Array[]
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
