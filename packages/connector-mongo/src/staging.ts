import type { Document } from 'mongodb'
import type { CollectionInfo } from './catalog.ts'
import { collectionsIn } from './catalog.ts'
import type { Link, Namespace } from './connection.ts'
import { write } from './connection.ts'

/** All collections of databases; not every server can be told to leave out some. */
export async function findCollections(link: Link, databases: ReadonlySet<string>): Promise<CollectionInfo[]> {
  const found: CollectionInfo[] = []
  for (const database of databases) found.push(...(await collectionsIn(link, database)))
  return found
}

/** What stands under each name. */
export async function findNamed(link: Link, names: readonly Namespace[]): Promise<(CollectionInfo | undefined)[]> {
  const databases = new Set(names.map(({ database }) => database).filter((name) => name !== ''))
  const standing = new Map((await findCollections(link, databases)).map((one) => [spell(one), one]))
  return names.map((name) => standing.get(spell(name)))
}

export function spell({ database, collection }: Namespace): string {
  return `${database}.${collection}`
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
