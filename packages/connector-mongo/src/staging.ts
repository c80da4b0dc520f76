import type { Document } from 'mongodb'
import type { CollectionInfo } from './catalog.ts'
import { collectionsIn } from './catalog.ts'
import type { Link, Namespace } from './connection.ts'
import { write } from './connection.ts'

/** The collections of databases whose names a condition allows; not every server can be told to leave out the others. */
export async function findCollections(
  link: Link,
  databases: ReadonlySet<string>,
  isWanted: (name: string) => boolean,
): Promise<CollectionInfo[]> {
  const found: CollectionInfo[] = []
  for (const database of databases) found.push(...(await collectionsIn(link, database)))
  return found.filter(({ collection }) => isWanted(collection))
}

/** What stands under each name. */
export async function findNamed(link: Link, names: readonly Namespace[]): Promise<(CollectionInfo | undefined)[]> {
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
export async function createStaging(link: Link, staging: Namespace, target: CollectionInfo | undefined): Promise<void> {
  // A collection of limited size would forget rows before they are moved.
  const { capped: _capped, size: _size, max: _max, ...options } = target?.options ?? {}
  await write(link, staging.database, { create: staging.collection, ...options })
}

/** Puts indexes of a target on the collection that is to take its place, or whose rows are. Idempotent. */
export async function copyIndexes(
  link: Link,
  { database, collection, options }: CollectionInfo,
  staging: Namespace,
  isWanted: (index: Document) => boolean,
): Promise<void> {
  const { client, signal } = link
  const { cursor } = await client.db(database).command({ listIndexes: collection }, { signal })
  // One without a collation would get that of the collection.
  const plain = options['collation'] === undefined ? {} : { collation: { locale: 'simple' } }
  const indexes = (cursor as { firstBatch: Document[] }).firstBatch
    .filter((index) => index['name'] !== '_id_' && isWanted(index))
    .map(({ ns: _ns, ...index }) => ({ ...plain, ...index }))
  if (indexes.length > 0) await write(link, database, { createIndexes: staging.collection, indexes })
}

/** Gives a collection another name of its database, in place of the one that has it. */
export async function rename(link: Link, from: Namespace, to: Namespace): Promise<void> {
  await write(link, 'admin', { renameCollection: spell(from), to: spell(to), dropTarget: true })
}

/** Drops a collection that stands. */
export async function drop(link: Link, { database, collection }: Namespace): Promise<void> {
  await write(link, database, { drop: collection })
}
