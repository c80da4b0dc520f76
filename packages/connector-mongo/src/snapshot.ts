import type { Json } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { ClientSession, MongoClient, Timestamp } from 'mongodb'
import type { Link, Namespace } from './connection.ts'
import { driver } from './driver.ts'
import { mongoError } from './errors.ts'

/** What the driver keeps of a session for snapshots, and lets nobody set: the moment that is read. */
interface Moment {
  snapshotTime?: Timestamp
}

/** A session whose reads are those of a moment, as text; without one, its first read chooses it. */
export function snapshotSession(client: MongoClient, moment?: Json): ClientSession {
  const session = client.startSession({ snapshot: true })
  if (typeof moment === 'string') (session as Moment).snapshotTime = driver().Timestamp.fromString(moment, 10)
  return session
}

/**
 * The moment at which all documents are to be read: `earlier`, for as long as the server keeps it, or now. Throws
 * `unsupported` where there are no snapshots (MongoDB manual, "Read Concern snapshot").
 */
export async function takeSnapshot(link: Link, { database, collection }: Namespace, earlier?: Json): Promise<string> {
  const { client, signal } = link
  const session = snapshotSession(client, earlier)
  try {
    await client
      .db(database)
      .collection(collection)
      .findOne({}, { projection: { _id: 1 }, session, signal })
    const { snapshotTime } = session as Moment
    if (snapshotTime) return String(snapshotTime.toBigInt())
    throw noSnapshots()
  } catch (error) {
    const { code } = mongoError(error)
    if (code === 'source_changed' && earlier !== undefined) return await takeSnapshot(link, { database, collection })
    throw code === 'unsupported' || code === 'query_failed' ? noSnapshots(error) : error
  } finally {
    await session.endSession()
  }
}

/** Why `snapshot` cannot be. */
export function noSnapshots(cause?: unknown): NebulaError {
  return new NebulaError('unsupported', {
    message: 'This MongoDB has no snapshots; they take a replica set or shards, and version 5.0 or newer.',
    fix: 'Leave out `snapshot`: each document is then read as it is when its turn comes.',
    cause,
  })
}
