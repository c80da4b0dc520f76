import type { BatchLimits, BufferPool } from '@nebula/core'
import { NebulaError, viewOf } from '@nebula/core'
import type { ReadDocuments } from './document-batches.ts'

/** Documents as a server sends them: whatever lies between, `rows` of them begin at `starts` of `data`. */
export interface DocumentReply {
  readonly data: Uint8Array
  readonly starts: Int32Array
  readonly rows: number
}

const HEAD = 4

/** The documents of a BSON array: after its length a type, an index that ends with NUL, and a document, again and again. */
export function arrayReply(data: Uint8Array): DocumentReply {
  const view = viewOf(data)
  let starts = new Int32Array(1024)
  let rows = 0
  for (let at = HEAD; data[at] === 3;) {
    do at++
    while (data[at] !== 0)
    at++
    if (rows === starts.length) {
      const grown = new Int32Array(rows * 2)
      grown.set(starts)
      starts = grown
    }
    starts[rows++] = at
    const length = view.getInt32(at, true)
    at += length
    if (length <= HEAD || at >= data.length)
      throw new NebulaError('data_invalid', { message: 'A reply of MongoDB is damaged.' })
  }
  return { data, starts, rows }
}

/** What is less may lie in memory that others have a part of. */
const OWN_BYTES = 1_000_000

/** Frees a reply that nobody looks at again, if it is large: the collector comes late for what lies outside its heap. */
export function freeReply({ data: { buffer, length } }: DocumentReply): void {
  if (length > OWN_BYTES && buffer.byteLength < 2 * length && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** Documents that lie apart. */
export function joinedReply(documents: readonly Uint8Array[]): DocumentReply {
  const starts = new Int32Array(documents.length)
  for (let i = 1; i < documents.length; i++) starts[i] = (starts[i - 1] as number) + (documents[i - 1]?.length ?? 0)
  return { data: Buffer.concat(documents), starts, rows: documents.length }
}

/** Behind the last document of the batch that begins with `from`: one at least. */
export function batchEnd({ data, starts, rows }: DocumentReply, from: number, limits: BatchLimits): number {
  const view = viewOf(data)
  const most = Math.min(rows, from + limits.rows)
  let bytes = view.getInt32(starts[from] as number, true)
  let to = from + 1
  while (to < most && (bytes += view.getInt32(starts[to] as number, true)) <= limits.bytes) to++
  return to
}

/** One document of a reply, where it lies. */
export function replyDocument({ data, starts }: DocumentReply, row: number): Uint8Array {
  const start = starts[row] as number
  return data.subarray(start, start + viewOf(data).getInt32(start, true))
}

/** All of them. */
export function replyDocuments(reply: DocumentReply): Uint8Array[] {
  return Array.from({ length: reply.rows }, (_, row) => replyDocument(reply, row))
}

/** Some documents of a reply, without what lies between them, in memory of the pool. */
export function copyDocuments(
  { data, starts }: DocumentReply,
  from: number,
  to: number,
  pool: BufferPool,
): ReadDocuments {
  const source = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const end = (row: number): number => (starts[row] as number) + source.readInt32LE(starts[row])
  const copy = pool.take(end(to - 1) - (starts[from] as number))
  const offsets = new Int32Array(to - from + 1)
  for (let row = from, at = 0; row < to; row++) {
    at += source.copy(copy, at, starts[row], end(row))
    offsets[row - from + 1] = at
  }
  return { data: copy, offsets, rows: to - from, release: () => pool.give(copy) }
}
