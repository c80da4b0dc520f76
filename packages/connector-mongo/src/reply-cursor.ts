import type { BatchLimits } from '@nebula/core'
import type { DocumentReply } from '@nebula/formats'
import { arrayReply, freeReply, joinedReply, replyDocuments, replyRows } from '@nebula/formats'
import type { AggregationCursor, FindCursor } from 'mongodb'

/** What is internal to the driver's cursors, and may be missing one day: then documents are taken one by one. */
interface Internals {
  readonly documents?: { readonly batch?: { toBytes?(): Uint8Array }; clear?(): void } | null
  readonly cursorOptions?: { batchSize?: number }
}

/** Documents and bytes that a reply should have. */
type ReplyLimits = Pick<BatchLimits, 'rows' | 'bytes'>

/** The documents of each reply of a raw cursor; they are valid until the next ones are asked for. */
export async function* eachReply(
  cursor: FindCursor | AggregationCursor,
  limits: ReplyLimits,
): AsyncGenerator<Uint8Array[]> {
  const replies = new ReplyCursor(cursor, limits)
  try {
    for (let reply = await replies.next(); reply; reply = await replies.next()) {
      yield replyDocuments(reply)
      freeReply(reply)
    }
  } finally {
    await replies.close()
  }
}

/** Takes the replies of a raw cursor whole; the next one is under way while one is used. */
export class ReplyCursor {
  readonly #cursor: FindCursor | AggregationCursor
  readonly #limits: ReplyLimits
  #next: Promise<boolean> | undefined

  /** The cursor is its own from now on. */
  constructor(cursor: FindCursor | AggregationCursor, limits: ReplyLimits) {
    this.#cursor = cursor
    this.#limits = limits
  }

  /** Undefined at the end. */
  async next(): Promise<DocumentReply | undefined> {
    while (await (this.#next ?? this.#cursor.hasNext())) {
      const reply = this.#take()
      this.#adapt(reply)
      this.#next = reply.rows === 1 && reply.data.length > this.#limits.bytes ? undefined : this.#cursor.hasNext()
      // Who waits for it is told.
      this.#next?.catch(() => {})
      if (reply.rows > 0) return reply
    }
    return undefined
  }

  async close(): Promise<void> {
    await this.#cursor.close()
  }

  #take(): DocumentReply {
    const { documents } = this.#cursor as unknown as Internals
    const array = documents?.batch?.toBytes?.()
    if (!array || !documents?.clear) return joinedReply(this.#cursor.readBufferedDocuments() as unknown as Uint8Array[])
    documents.clear()
    return arrayReply(array)
  }

  /** The server counts documents, and stops at 16 MB. */
  #adapt({ data, rows }: DocumentReply): void {
    const { cursorOptions } = this.#cursor as unknown as Internals
    if (cursorOptions && rows > 0) cursorOptions.batchSize = replyRows(this.#limits, data.length / rows)
  }
}
