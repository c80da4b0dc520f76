import type { Catalog, Context, Field, StreamInfo } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import { aliasCode, BSON_WIRE, columnType, documentFields, FieldSampler, idAlias, offersOf } from '@nebula/formats'
import type { Collection, Document } from 'mongodb'
import type { MongoConfig } from './config.ts'
import type { MongoEnd, Namespace } from './connection.ts'
import { batchSize } from './reply-cursor.ts'

/** What `listCollections` says of a collection, a view or a time series. */
export interface CollectionInfo extends Namespace {
  readonly type: string
  /** Of this collection and no later one of its name, in hexadecimal; undefined where the server does not say. */
  readonly uuid: string | undefined
  /** Documents can be found in the order of their `_id`. */
  readonly indexed: boolean
  /** `$jsonSchema` of its validator. */
  readonly schema: Document | undefined
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
/** A field that only few documents of a large collection have is none of its columns: names may be data, too. */
const LEAST_SHARE = 0.01
const MAX_FIELDS = 1000
const OURS = /^(system\.|nebula_)/

/** Everything that there is, without what is the server's own and Nebula's. */
export async function loadCatalog(end: MongoEnd, config: MongoConfig, context: Context): Promise<Catalog> {
  const collections = (await allCollections(end, context)).filter(({ collection }) => !OURS.test(collection))
  const streams: StreamInfo[] = []
  const denied: string[] = []
  const waiting = [...collections]
  const inspect = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
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

const SYSTEM_DATABASES = ['admin', 'config', 'local']

async function allCollections(end: MongoEnd, context: Context): Promise<CollectionInfo[]> {
  if (end.database !== undefined) return listCollections(end, end.database, {}, context)
  const list = { listDatabases: 1, nameOnly: true, authorizedDatabases: true }
  const answer = await end.command(list, context, { doing: 'Listing databases' })
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
  const list = (nameOnly: boolean): Promise<Document[]> =>
    end.use(
      context,
      (client, signal) =>
        client.db(database).listCollections(filter, { nameOnly, authorizedCollections: nameOnly, signal }).toArray(),
      { doing: `Listing the collections of ${database}` },
    )
  const found = await list(false).catch((error: unknown) => {
    if (isNebulaError(error, 'permission_denied')) return list(true)
    throw error
  })
  return found.map(({ name, type = 'collection', info, idIndex, options }) => ({
    database,
    collection: String(name),
    type: String(type),
    uuid: info?.uuid?.toString('hex') as string | undefined,
    indexed: type === 'collection' && (idIndex !== undefined || info === undefined),
    schema: options?.validator?.$jsonSchema as Document | undefined,
  }))
}

/** Without the privilege, and for views, nothing is known. */
export async function collectionSize(
  end: MongoEnd,
  { database, collection }: Namespace,
  context: Context,
): Promise<CollectionSize | undefined> {
  try {
    const { count, size } = await end.command({ collStats: collection }, context, { database })
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
  const sample = await end.use(
    context,
    (client, signal) =>
      takeSample(client.db(found.database).collection(found.collection), { config, found, size }, signal),
    { doing: `Looking at ${name}` },
  )
  return {
    name,
    schema: { fields: fieldsOf(name, sample, found, config) },
    key: found.indexed ? ['_id'] : [],
    wire: [BSON_WIRE],
    filters: ['native'],
    ...size,
    ...(found.type === 'collection' ? {} : { comment: found.type }),
  }
}

interface Sample {
  readonly sampler: FieldSampler
  /** Fields of the documents that are looked at every time, in order of first sight. */
  readonly steady: readonly string[]
  /** Types of the first and the last `_id`. */
  readonly idTypes: readonly string[]
}

interface Sampled {
  readonly config: MongoConfig
  readonly found: CollectionInfo
  readonly size: CollectionSize | undefined
}

/** The first documents, and of a large collection some at random. */
async function takeSample(
  collection: Collection,
  { config, found, size }: Sampled,
  signal: AbortSignal,
): Promise<Sample> {
  const average = size && size.rows > 0 ? size.bytes / size.rows : 1
  const wanted = Math.min(config.sample, Math.max(LEAST_SAMPLE, Math.floor(SAMPLE_BYTES / average)))
  const isWhole = !found.indexed || !size || size.rows <= wanted
  const limit = isWhole ? wanted : Math.ceil(wanted / 4)
  const order = found.indexed ? { sort: { _id: 1 } as const } : {}
  const sampler = new FieldSampler()
  // Twenty documents may be 320 MB.
  const reply = { raw: true, batchSize: batchSize({ rows: wanted, bytes: SAMPLE_BYTES / 2 }, average), signal }
  const observe = async (documents: AsyncIterable<Document>): Promise<void> => {
    for await (const document of documents) sampler.observe(document as Uint8Array)
  }
  await observe(collection.find({}, { ...reply, limit, ...order }))
  const steady = sampler.fields().map(({ name }) => name)
  if (!isWhole) {
    const random = [{ $sample: { size: wanted - limit } }]
    await observe(collection.aggregate(random, reply))
  }
  const ends = found.indexed ? await idEnds(collection, signal) : []
  return { sampler, steady, idTypes: ends.map((document) => idAlias(document, 0, document.length)) }
}

/** Documents with nothing but the first and the last `_id`; none of an empty collection. */
export async function idEnds(collection: Collection, signal: AbortSignal): Promise<Uint8Array[]> {
  const end = (order: 1 | -1): Promise<Document[]> =>
    collection.find({}, { raw: true, projection: { _id: 1 }, sort: { _id: order }, limit: 1, signal }).toArray()
  return [...(await end(1)), ...(await end(-1))] as Uint8Array[]
}

/** The same again for the same documents, but for what only chance brings to light. */
function fieldsOf(stream: string, sample: Sample, found: CollectionInfo, config: MongoConfig): Field[] {
  const { sampler, steady } = sample
  const { overflow, documents } = config
  const isKnown = new Set(steady)
  const sampled = sampler.fields()
  if (!documents && sampled.some(({ name }) => name === overflow))
    throw new NebulaError('config_invalid', {
      message: `${stream} has a field ${overflow}, which is the name of the column for what no other column holds.`,
      fix: 'Give that column another name: overflow.',
      stream,
    })
  const idTypes = found.indexed && sample.idTypes.length === 0 ? ['objectId'] : sample.idTypes
  const fields = documentFields(sampler, { overflow, idTypes, documents })
  if (documents) return fields
  const chance = sampled.filter(({ name, present }) => !isKnown.has(name) && present >= sampler.documents * LEAST_SHARE)
  const names = [...steady, ...chance.map(({ name }) => name).toSorted()].slice(0, MAX_FIELDS)
  const byName = new Map(fields.map((field) => [field.name, field]))
  const validated = validatedFields(found.schema, new Set([overflow, ...byName.keys()]))
  return ['_id', ...names.filter((name) => name !== '_id'), overflow].flatMap((name) => {
    const field = byName.get(name)
    return [...(name === overflow ? validated : []), ...(field ? [field] : [])]
  })
}

/** Fields of which the validator knows one type, and the sample nothing. */
function validatedFields(schema: Document | undefined, known: ReadonlySet<string>): Field[] {
  return Object.entries((schema?.['properties'] ?? {}) as Document).flatMap(([name, property]): Field[] => {
    const declared = (property as Document)['bsonType'] as unknown
    if (known.has(name) || typeof declared !== 'string' || aliasCode(declared) < 0) return []
    const type = columnType(declared)
    const comment = 'in no document of the sample; its type is that of the validator'
    return [{ name, type, nullable: true, vendor: 'mongo', declared, offers: offersOf(type), comment }]
  })
}
