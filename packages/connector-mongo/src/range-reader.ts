import { unlessAborted } from '@nebula/base'
import type { Context, ReadStream, ReadTask } from '@nebula/core'
import { fieldIndex } from '@nebula/core'
import type { DocumentReply } from '@nebula/formats'
import { DOCUMENT, OVERFLOW, replyDocument } from '@nebula/formats'
import type { ClientSession, Document, FindOptions, MongoClient } from 'mongodb'
import type { Lease, MongoEnd } from './connection.ts'
import type { Bson, IdRange } from './id-range.ts'
import { idFilter, parseFilter, sendableId } from './id-range.ts'
import { batchSize, ReplyCursor } from './reply-cursor.ts'
import { sinceFilter } from './since.ts'
import { snapshotSession } from './snapshot.ts'

/** Bytes of a document of which nothing is known. */
const UNKNOWN_BYTES = 100_000

/** Reads the documents of one task. When its cursor dies, it goes on behind the last one that it gave. */
export class RangeReader {
  readonly #end: MongoEnd
  readonly #task: ReadTask
  readonly #range: IdRange
  readonly #bson: Bson
  #lease: Lease | undefined
  #cursor: ReplyCursor | undefined
  /** Of a snapshot. */
  #session: ClientSession | undefined
  /** Where to go on, when a cursor has to be opened: behind this `_id`; undefined: at the beginning. */
  #after: string | undefined
  #hasBegun = false

  /** `bson` is the driver's. */
  constructor(end: MongoEnd, task: ReadTask, bson: Bson) {
    this.#end = end
    this.#task = task
    this.#range = task.partition.range as unknown as IdRange
    this.#bson = bson
    this.#after = typeof task.from === 'string' ? task.from : undefined
  }

  /** Undefined at the end. Takes as long as it needs. */
  async next(context: Context): Promise<DocumentReply | undefined> {
    const canResume = !this.#hasBegun || this.#after !== undefined
    const doing = `Reading ${this.#task.partition.stream}`
    const options = { unbounded: true, idempotent: canResume }
    const reply = await this.#end.use(context, doing, () => this.#reply(context), options)
    if (reply) {
      this.#hasBegun = true
      this.#after = this.position(reply, reply.rows - 1)
    }
    return reply
  }

  /** What reading can go on behind: the `_id` of a document, where there is an order and a query can say it. */
  position(reply: DocumentReply, row: number): string | undefined {
    const { types, others } = this.#range
    if (!types || others) return undefined
    return sendableId(this.#bson, replyDocument(reply, row))
  }

  async close(): Promise<void> {
    this.#lease?.release()
    await this.#cursor?.close()
    await this.#session?.endSession()
  }

  async #reply(context: Context): Promise<DocumentReply | undefined> {
    try {
      const { client, signal } = (this.#lease ??= await this.#end.lend(context))
      this.#cursor ??= this.#open(client, signal)
      // It says goodbye to a server that is gone, and waits for it to come back.
      return await unlessAborted(this.#cursor.next(), signal)
    } catch (error) {
      this.#lease?.release()
      await this.#session?.endSession()
      this.#lease = this.#cursor = this.#session = undefined
      throw error
    }
  }

  #open(client: MongoClient, signal: AbortSignal): ReplyCursor {
    const { stream, partition, batch, snapshot } = this.#task
    const { ordered, documentBytes = UNKNOWN_BYTES } = this.#range
    const { limit, nativeFilter, complete } = stream.request
    const { database, collection } = this.#end.locate(partition.stream)
    const range = idFilter(this.#bson, this.#range, this.#after)
    const native = nativeFilter === undefined ? undefined : parseFilter(this.#bson, nativeFilter)
    const others = [sinceFilter(this.#bson, stream), native].filter((term) => term !== undefined)
    const filter = others.length > 0 ? { $and: [range, ...others] } : range
    const options: FindOptions = {
      raw: true,
      batchSize: batchSize(batch, documentBytes),
      ...projection(stream),
      ...(ordered ? { sort: { _id: 1 } } : {}),
      ...(limit === undefined ? {} : { limit }),
      // By another index a document may move to where it was read already, and a secondary may not know of it yet.
      ...(complete ? { hint: { _id: 1 }, readPreference: 'primary' } : {}),
    }
    if (snapshot !== undefined) options.session = this.#session = snapshotSession(client, this.#bson, snapshot)
    const cursor = client
      .db(database)
      .collection(collection)
      .find(filter, { ...options, signal })
    return new ReplyCursor(cursor, batch)
  }
}

/** The fields that are asked for, and `_id`; all, where what is left of a document is asked for, too. */
function projection({ schema, wire }: ReadStream): FindOptions {
  const names = schema.fields.map(({ name, path }) => path?.[0] ?? name)
  const isWhole = schema.fields.some(({ declared }) => declared === OVERFLOW) || fieldIndex(schema, DOCUMENT) >= 0
  // To the server these are paths and operators.
  if (isWhole || names.some((name) => /^\$|\.|^$/.test(name))) return {}
  const fields: Document = Object.fromEntries(names.map((name) => [name, 1]))
  // Rows that pass through as they are have no more than what is asked for.
  return { projection: { _id: wire === undefined ? 1 : 0, ...fields } }
}
