import { NebulaError } from '@nebula/core'
import type { FindCursor } from 'mongodb'

/** What is internal to the driver's cursors, and may be missing one day: then documents are taken one by one. */
interface Internals {
  readonly documents?: { readonly batch?: { toBytes?(): Uint8Array }; clear?(): void } | null
  readonly cursorOptions?: { batchSize?: number }
}

/** Where documents lie: `starts[i]` to `ends[i]` of `data`. */
export interface Reply {
  readonly data: Uint8Array
  readonly starts: Int32Array
  readonly ends: Int32Array
  readonly rows: number
}

/** Documents and bytes that a reply should have. */
export interface ReplyLimits {
  readonly rows: number
  readonly bytes: number
}

/** Takes the replies of a raw cursor whole; the next one is under way while one is used. */
export class ReplyCursor {
  readonly #cursor: FindCursor
  readonly #limits: ReplyLimits
  #next: Promise<boolean> | undefined

  /** The cursor is its own from now on. */
  constructor(cursor: FindCursor, limits: ReplyLimits) {
    this.#cursor = cursor
    this.#limits = limits
  }

  /** Undefined at the end. */
  async next(): Promise<Reply | undefined> {
    while (await (this.#next ?? this.#cursor.hasNext())) {
      const reply = this.#take()
      this.#adapt(reply)
      this.#next = this.#cursor.hasNext()
      // Who waits for it is told.
      this.#next.catch(() => {})
      if (reply.rows > 0) return reply
    }
    return undefined
  }

  async close(): Promise<void> {
    await this.#cursor.close()
  }

  #take(): Reply {
    const { documents } = this.#cursor as unknown as Internals
    const array = documents?.batch?.toBytes?.()
    if (!array || !documents?.clear) return joined(this.#cursor.readBufferedDocuments() as unknown as Uint8Array[])
    documents.clear()
    return elementsOf(array)
  }

  /** The server counts documents, and stops at 16 MB. */
  #adapt({ data, rows }: Reply): void {
    const { cursorOptions } = this.#cursor as unknown as Internals
    if (cursorOptions && rows > 0) cursorOptions.batchSize = batchSize(this.#limits, data.length / rows)
  }
}

/** Documents that make a reply of about so many bytes. */
export function batchSize({ rows, bytes }: ReplyLimits, documentBytes: number): number {
  return Math.max(1, Math.min(rows, Math.floor(bytes / Math.max(1, documentBytes))))
}

const HEAD = 4

/** The documents of a BSON array: after its length a type, an index that ends with NUL, and a document, again and again. */
function elementsOf(data: Uint8Array): Reply {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let starts = new Int32Array(1024)
  let ends = new Int32Array(1024)
  let rows = 0
  for (let at = HEAD; data[at] === 3;) {
    do at++
    while (data[at] !== 0)
    at++
    if (rows === starts.length) {
      starts = grown(starts)
      ends = grown(ends)
    }
    const end = at + view.getInt32(at, true)
    if (end <= at || end >= data.length)
      throw new NebulaError('data_invalid', { message: 'A reply of MongoDB is damaged.' })
    starts[rows] = at
    ends[rows++] = end
    at = end
  }
  return { data, starts, ends, rows }
}

function grown(from: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const to = new Int32Array(from.length * 2)
  to.set(from)
  return to
}

function joined(documents: readonly Uint8Array[]): Reply {
  const ends = new Int32Array(documents.length)
  const starts = new Int32Array(documents.length)
  let bytes = 0
  for (const [row, document] of documents.entries()) {
    starts[row] = bytes
    bytes += document.length
    ends[row] = bytes
  }
  return { data: Buffer.concat(documents), starts, ends, rows: documents.length }
}
