import type { Catalog, Context, StreamInfo } from '@nebula/core'
import { isNebulaError } from '@nebula/core'
import type { CollectionFacts, CollectionSize, FieldOptions } from '@nebula/formats'
import { collectionStream, documentFields, FieldSampler, fromGreatest, idAlias, planSample } from '@nebula/formats'
import type { AggregationCursor, Collection, Document, FindCursor } from 'mongodb'
import type { MongoConfig } from './config.ts'
import type { Link, MongoEnd, Namespace } from './connection.ts'
import { driver } from './driver.ts'
import { mongoError } from './errors.ts'
import { parseFilter } from './queries.ts'
import { eachReply } from './reply-cursor.ts'

/** What `listCollections` says of a collection, a view or a time series. */
export interface CollectionInfo extends Namespace, Omit<CollectionFacts, 'size'> {
  /** Of this collection and no later one of its name, in hexadecimal; empty where the server does not say. */
  readonly uuid: string
  readonly options: Document
}

/** Collections that are looked at once. */
const AT_ONCE = 4
const OURS = /^(system\.|nebula_)/

/** By stream, documents with nothing but an `_id`, drawn by chance. */
export type DrawnIds = Map<string, readonly Uint8Array[]>

/** Everything that there is, without what is the server's own and Nebula's. */
export async function loadCatalog(end: MongoEnd, drawn: DrawnIds, context: Context): Promise<Catalog> {
  const collections = (await allCollections(end, context)).filter(({ collection }) => !OURS.test(collection))
  const streams: StreamInfo[] = []
  const denied: string[] = []
  const inspect = async (): Promise<void> => {
    for (let next = collections.shift(); next; next = collections.shift()) {
      const name = end.streamName(next)
      const info = await streamInfo(end, next, drawn, context).catch((error: unknown) => {
        if (isNebulaError(error, 'permission_denied')) return undefined
        throw mongoError(error).at({ stream: name })
      })
      if (info) streams.push(info)
      else denied.push(name)
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, end.config.performance.maxConcurrency) }, inspect))
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
    // A validator is given on with its values as they are.
    .listCollections(filter, { ...more, promoteValues: false, signal })
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
  found: CollectionInfo,
  drawn: DrawnIds,
  context: Context,
): Promise<StreamInfo> {
  const { config } = end
  const name = end.streamName(found)
  const facts = { ...found, size: await collectionSize(end, found, context) }
  const look = (link: Link): ReturnType<typeof takeSample> => takeSample(link, facts, config)
  const { sampler, idTypes } = await end.use(context, `Looking at ${name}`, look)
  drawn.set(name, sampler.drawnIds)
  const { overflow, documents, snapshot } = config
  const schema = found.options['validator']?.$jsonSchema as FieldOptions['schema']
  const fields = documentFields(sampler, { overflow, documents, nesting: config, idTypes, schema })
  const stream = collectionStream(name, facts, fields, snapshot)
  return found.options['validator'] === undefined ? stream : { ...stream, rules: rulesOf(found.options) }
}

/** Everything about the validator of a collection, as Extended JSON. */
function rulesOf(options: Document): string {
  const said = Object.entries(options).filter(([key]) => key.startsWith('valid'))
  return driver().BSON.EJSON.stringify(Object.fromEntries(said), { relaxed: false })
}

/** Looks at the first documents, and in a large collection at some by chance; gives the types of the last `_id`, too. */
async function takeSample(
  { client, signal }: Link,
  facts: CollectionFacts & Namespace,
  { sample: most, objects, arrays }: MongoConfig,
): Promise<{ readonly sampler: FieldSampler; readonly idTypes: readonly string[] }> {
  const collection = client.db(facts.database).collection(facts.collection)
  const { first, drawn, reply, batchSize } = planSample(facts, most)
  const sampler = new FieldSampler(objects !== 'json' || arrays !== 'json')
  const options = { raw: true, batchSize, signal }
  const order = facts.indexed ? { sort: { _id: 1 } as const } : {}
  const look = async (cursor: FindCursor | AggregationCursor): Promise<void> => {
    for await (const documents of eachReply(cursor, reply)) for (const document of documents) sampler.observe(document)
  }
  await look(collection.find({}, { ...options, ...order, limit: first }))
  sampler.draw()
  if (drawn > 0) await look(collection.aggregate([{ $sample: { size: drawn } }], options))
  if (!facts.indexed) return { sampler, idTypes: [] }
  // What is no lower than a drawn one has the last one among it, and not every server finds it without sorting what it looks at.
  const last = await endId(collection, -1, signal, parseFilter(fromGreatest(sampler.drawnIds)))
  // Who writes the first one without an `_id` is given an ObjectId.
  return { sampler, idTypes: [last ? idAlias(last, 0, last.length) : 'objectId'] }
}

/** Documents with nothing but the first and the last `_id`; none of an empty collection. */
export async function endIds(collection: Collection, signal: AbortSignal): Promise<Uint8Array[]> {
  const ends = [await endId(collection, 1, signal), await endId(collection, -1, signal)]
  return ends.filter((document) => document !== undefined)
}

async function endId(
  collection: Collection,
  order: 1 | -1,
  signal: AbortSignal,
  filter: Document = {},
): Promise<Uint8Array | undefined> {
  const options = { raw: true, projection: { _id: 1 }, sort: { _id: order }, limit: 1, signal }
  const [found] = await collection.find(filter, options).toArray()
  return found as Uint8Array | undefined
}
