import { NebulaError } from '@nebula/core'
import { joinDocuments, replaceDocuments } from '@nebula/formats'
import type { Link, Namespace } from './connection.ts'
import type { Refused } from './insert-documents.ts'
import { bytesKey, idsOf, insertDocuments, mergeDocuments, storedWithIds } from './insert-documents.ts'
import { eachReply } from './reply-cursor.ts'

/** Documents of which nothing is known yet; then so many that the bytes are reached. */
const FIRST_DOCUMENTS = 100
const BATCH = { rows: 10_000, bytes: 8_000_000 }
/** Conflicts that are named. */
const NAMED = 5

/**
 * Adds the staged documents to those of the target. Nothing is added where one has the `_id` of another document; one that
 * is there with the same bytes is there already, so it can be done again after a kill.
 */
export async function appendToTarget(link: Link, staging: Namespace, target: Namespace): Promise<void> {
  const conflicts: Uint8Array[] = []
  for await (const documents of batches(link, staging)) {
    const ours = new Set(documents.map(bytesKey))
    const stored = await storedWithIds(link, target, documents)
    conflicts.push(...stored.filter((document) => !ours.has(bytesKey(document))))
    if (conflicts.length >= NAMED) break
  }
  if (conflicts.length > 0) {
    const { BSON } = await import('mongodb')
    const ids = (await idsOf(conflicts.slice(0, NAMED))).map((id) => BSON.EJSON.stringify(id))
    throw refused(target, `it has other documents with an _id that is to be added, such as ${ids.join(', ')}`)
  }
  for await (const documents of batches(link, staging))
    refuseAny(target, await insertDocuments(link, target, joinDocuments(documents)))
}

/** Puts the staged documents in the place of those of the target with their `_id`, or adds them. Idempotent. */
export async function mergeIntoTarget(link: Link, staging: Namespace, target: Namespace): Promise<void> {
  for await (const documents of batches(link, staging))
    refuseAny(target, await mergeDocuments(link, target, replaceDocuments(documents)))
}

function refuseAny(target: Namespace, [failed]: readonly Refused[]): void {
  if (failed) throw refused(target, `behind others that it took it refuses a document: ${failed.reason}`)
}

function batches({ client, signal }: Link, { database, collection }: Namespace): AsyncGenerator<Uint8Array[]> {
  const options = { raw: true, sort: { _id: 1 }, batchSize: FIRST_DOCUMENTS, signal } as const
  return eachReply(client.db(database).collection(collection).find({}, options), BATCH)
}

function refused({ collection }: Namespace, why: string): NebulaError {
  return new NebulaError('target_incompatible', {
    message: `No more is added to ${collection}: ${why.replace(/\.$/, '')}.`,
    fix: 'Change the target or the rows, or give the stream another target.',
  })
}
