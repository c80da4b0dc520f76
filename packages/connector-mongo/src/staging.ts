import { createHash } from 'node:crypto'
import type { Run, StreamPlan } from '@nebula/core'
import type { CollectionInfo, Document } from 'mongodb'
import type { Link } from './checkpoint-collection.ts'
import type { Namespace } from './connection.ts'
import { DURABLE } from './raw-insert.ts'

/** Of a collection that stands; a stand-in has no UUIDs. */
export interface Standing extends Namespace {
  readonly type: 'collection' | 'view' | 'timeseries'
  readonly options: Document
  readonly uuid: string
}

/** Begins the names of all staging collections of a pipeline. */
export function pipelinePrefix(pipeline: string): string {
  return `nebula_stage_${hash(pipeline)}_`
}

/**
 * Begins the name of the collection in which a stream is put together; then comes the epoch. Who takes a run over renames
 * it, so that what an overtaken process still writes lies elsewhere. Where rows are written in transactions that is not
 * needed, and would wait for those of the overtaken one.
 */
export function stagingPrefix(run: Run, { request, generation }: StreamPlan): string {
  return `${pipelinePrefix(run.pipeline)}${hash(run.id, request.stream)}_${generation}_`
}

function hash(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12)
}

/** The collection that the last process of a run left to the next. */
export function latestStaging(standing: readonly Standing[], database: string, prefix: string): Standing | undefined {
  const epochOf = ({ collection }: Standing): number => Number(collection.slice(prefix.length))
  return standing
    .filter((staging) => staging.database === database && staging.collection.startsWith(prefix))
    .sort((a, b) => epochOf(a) - epochOf(b))
    .at(-1)
}

/** The collections of databases whose names a condition allows; not every server can be told to leave out the others. */
export async function findCollections(
  { client, signal }: Link,
  databases: ReadonlySet<string>,
  isWanted: (name: string) => boolean,
): Promise<Standing[]> {
  const found: Standing[] = []
  for (const database of databases) {
    for (const listed of await client.db(database).listCollections({}, { signal }).toArray()) {
      const { name, type = 'collection', options = {}, info } = listed as CollectionInfo
      const uuid = info?.uuid?.toString('hex') ?? ''
      if (isWanted(name)) found.push({ database, collection: name, type: type as Standing['type'], options, uuid })
    }
  }
  return found
}

/** What stands under each name. */
export async function findNamed(link: Link, names: readonly Namespace[]): Promise<(Standing | undefined)[]> {
  const databases = new Set(names.map(({ database }) => database).filter((name) => name !== ''))
  const wanted = new Set(names.map(({ collection }) => collection))
  const found = await findCollections(link, databases, (name) => wanted.has(name))
  const standing = new Map(found.map((one) => [spell(one), one]))
  return names.map((name) => standing.get(spell(name)))
}

export function spell({ database, collection }: Namespace): string {
  return `${database}.${collection}`
}

/** Creates a staging collection; rows that its target would refuse are refused there, by name. */
export async function createStaging(link: Link, staging: Namespace, target: Standing | undefined): Promise<void> {
  // A collection of limited size would forget rows before they are moved.
  const { capped: _capped, size: _size, max: _max, ...options } = target?.options ?? {}
  const { client, signal } = link
  await client
    .db(staging.database)
    .command({ create: staging.collection, ...options, writeConcern: DURABLE }, { signal })
}

/** Puts indexes of a target on the collection that is to take its place, or whose rows are. Idempotent. */
export async function copyIndexes(
  { client, signal }: Link,
  { database, collection, options }: Standing,
  staging: Namespace,
  isWanted: (index: Document) => boolean,
): Promise<void> {
  const db = client.db(database)
  const { cursor } = await db.command({ listIndexes: collection }, { signal })
  // One without a collation would get that of the collection.
  const plain = options['collation'] === undefined ? {} : { collation: { locale: 'simple' } }
  const indexes = (cursor as { firstBatch: Document[] }).firstBatch
    .filter((index) => index['name'] !== '_id_' && isWanted(index))
    .map(({ ns: _ns, ...index }) => ({ ...plain, ...index }))
  if (indexes.length === 0) return
  await db.command({ createIndexes: staging.collection, indexes, writeConcern: DURABLE }, { signal })
}

/** Gives a collection another name of its database, in place of the one that has it. */
export async function rename({ client, signal }: Link, from: Namespace, to: Namespace): Promise<void> {
  const command = { renameCollection: spell(from), to: spell(to), dropTarget: true, writeConcern: DURABLE }
  await client.db('admin').command(command, { signal })
}

/** Drops a collection that stands. */
export async function drop({ client, signal }: Link, { database, collection }: Namespace): Promise<void> {
  await client.db(database).command({ drop: collection, writeConcern: DURABLE }, { signal })
}
