import { unlessAborted } from '@nebula/base'
import type { Context, ReadTask } from '@nebula/core'
import type { DocumentReply, IdRange } from '@nebula/formats'
import { documentQuery, replyDocument } from '@nebula/formats'
import type { ClientSession } from 'mongodb'
import type { Lease, Link, MongoEnd } from './connection.ts'
import { parseFilter, sendableId } from './queries.ts'
import { ReplyCursor } from './reply-cursor.ts'
import { snapshotSession } from './snapshot.ts'

/** Reads the documents of one task. When its cursor dies, it goes on behind the last one that it gave. */
export class RangeReader {
  readonly #end: MongoEnd
  readonly #task: ReadTask
  #lease: Lease | undefined
  #cursor: ReplyCursor | undefined
  /** Of a snapshot. */
  #session: ClientSession | undefined
  /** Where to go on, when a cursor has to be opened: behind this `_id`; undefined: at the beginning. */
  #after: string | undefined
  #hasBegun = false

  constructor(end: MongoEnd, task: ReadTask) {
    this.#end = end
    this.#task = task
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
    const { resumable } = this.#task.partition.range as unknown as IdRange
    return resumable ? sendableId(replyDocument(reply, row)) : undefined
  }

  async close(): Promise<void> {
    this.#lease?.release()
    await this.#cursor?.close()
    await this.#session?.endSession()
  }

  async #reply(context: Context): Promise<DocumentReply | undefined> {
    try {
      const link = (this.#lease ??= await this.#end.lend(context))
      this.#cursor ??= this.#open(link)
      // It says goodbye to a server that is gone, and waits for it to come back.
      return await unlessAborted(this.#cursor.next(), link.signal)
    } catch (error) {
      this.#lease?.release()
      await this.#session?.endSession()
      this.#lease = this.#cursor = this.#session = undefined
      throw error
    }
  }

  #open({ client, signal }: Link): ReplyCursor {
    const { partition, batch, snapshot } = this.#task
    const { database, collection } = this.#end.locate(partition.stream)
    const { filter, ...options } = documentQuery(this.#task, this.#after)
    if (snapshot !== undefined) this.#session = snapshotSession(client, snapshot)
    const session = this.#session ? { session: this.#session } : {}
    const found = client.db(database).collection(collection)
    return new ReplyCursor(found.find(parseFilter(filter), { ...options, ...session, raw: true, signal }), batch)
  }
}
