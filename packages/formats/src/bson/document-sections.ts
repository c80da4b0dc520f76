import type { BufferPool } from '@nebula/core'
import { removal, replacement } from './replacement.ts'

/**
 * A section of kind 1 (MongoDB wire protocol, OP_MSG): its kind, its length, the name of a field of the command with a
 * NUL, then documents without gaps.
 */
export interface DocumentSection {
  readonly bytes: Uint8Array
  readonly count: number
  document(index: number): Uint8Array
  /** The row that a document was, by its place among those that were cut. */
  row(index: number): number
  /** Gives its memory back: once, by its user. */
  free(): void
}

/** What one message may hold. */
export interface SectionLimits {
  readonly documentBytes: number
  readonly sectionBytes: number
  readonly documents: number
}

/** Documents without gaps: `i` is `data[offsets[i]] .. data[offsets[i + 1]]`. */
export interface DocumentRange {
  readonly data: Uint8Array
  readonly offsets: Int32Array
  /** Which rows they are; undefined: all from `from` on. */
  readonly rows: Int32Array | undefined
  readonly from: number
}

/** The field: that of `insert`, of `update`, or of `delete`. */
const headOf = (field: string): Uint8Array => new TextEncoder().encode(`\x01\0\0\0\0${field}\0`)
const HEAD = headOf('documents')
const UPDATES_HEAD = headOf('updates')
const DELETES_HEAD = headOf('deletes')

/** The rows whose documents are larger than a message may hold, with their bytes. */
export function largeDocuments(
  range: DocumentRange,
  { documentBytes }: SectionLimits,
): { row: number; bytes: number }[] {
  const large: { row: number; bytes: number }[] = []
  for (let i = 0; i < range.offsets.length - 1; i++) {
    const bytes = sizeOf(range, i)
    if (bytes > documentBytes) large.push({ row: rowOf(range, i), bytes })
  }
  return large
}

/** Cuts documents into sections, but for those that are too large. Each is copied when it is asked for. */
export function* cutDocuments(
  range: DocumentRange,
  limits: SectionLimits,
  pool: BufferPool,
): Generator<DocumentSection> {
  const count = range.offsets.length - 1
  for (let first = 0; first < count;) {
    const end = sectionEnd(range, first, limits)
    if (end > first) yield copied(range, first, end, pool)
    first = Math.max(end, first + 1)
  }
}

/** A section of its own with some of the documents of another. */
export function keepDocuments(section: DocumentSection, isKept: (row: number) => boolean): DocumentSection {
  const kept = Array.from({ length: section.count }, (_, index) => index).filter((index) => isKept(section.row(index)))
  return joinDocuments(
    kept.map((index) => section.document(index)),
    kept.map((index) => section.row(index)),
  )
}

/** The section of documents that lie apart; `rows`: which they are. */
export function joinDocuments(documents: readonly Uint8Array[], rows?: readonly number[]): DocumentSection {
  return joined(HEAD, documents, documents, rows)
}

/** The section that puts documents, which are stored, in the place of those with their `_id`, or adds them. */
export function replaceDocuments(documents: readonly Uint8Array[]): DocumentSection {
  return joined(UPDATES_HEAD, documents, documents.map(replacement))
}

/** The section that removes the documents with the `_id`s of these. */
export function removeDocuments(documents: readonly Uint8Array[]): DocumentSection {
  return joined(DELETES_HEAD, documents, documents.map(removal))
}

function joined(
  head: Uint8Array,
  documents: readonly Uint8Array[],
  sent: readonly Uint8Array[],
  rows?: readonly number[],
): DocumentSection {
  const bytes = new Uint8Array(sent.reduce((sum, { length }) => sum + length, head.length))
  let at = head.length
  for (const document of sent) {
    bytes.set(document, at)
    at += document.length
  }
  putHead(bytes, head)
  const document = (index: number): Uint8Array => documents[index] as Uint8Array
  return { bytes, count: documents.length, document, row: (index) => rows?.[index] ?? index, free() {} }
}

/** Behind the last document of the section that begins with `first`; `first` itself where that is too large. */
function sectionEnd(range: DocumentRange, first: number, limits: SectionLimits): number {
  const last = Math.min(range.offsets.length - 1, first + limits.documents)
  let bytes = HEAD.length
  let end = first
  for (; end < last; end++) {
    const size = sizeOf(range, end)
    bytes += size
    if (size > limits.documentBytes || (bytes > limits.sectionBytes && end > first)) break
  }
  return end
}

function copied(
  { data, offsets, rows, from }: DocumentRange,
  first: number,
  end: number,
  pool: BufferPool,
): DocumentSection {
  const places = offsets.slice(first, end + 1)
  const start = places[0] as number
  const stop = places[end - first] as number
  const memory = pool.take(HEAD.length + stop - start)
  const bytes = memory.subarray(0, HEAD.length + stop - start)
  bytes.set(data.subarray(start, stop), HEAD.length)
  putHead(bytes, HEAD)
  const numbers = rows?.slice(first, end)
  const at = (index: number): number => HEAD.length + (places[index] as number) - start
  return {
    bytes,
    count: end - first,
    document: (index) => bytes.subarray(at(index), at(index + 1)),
    row: (index) => numbers?.[index] ?? from + first + index,
    free: () => pool.give(memory),
  }
}

function putHead(bytes: Uint8Array, head: Uint8Array): void {
  bytes.set(head)
  new DataView(bytes.buffer, bytes.byteOffset).setInt32(1, bytes.length - 1, true)
}

function sizeOf({ offsets }: DocumentRange, index: number): number {
  return (offsets[index + 1] as number) - (offsets[index] as number)
}

function rowOf({ rows, from }: DocumentRange, index: number): number {
  return rows?.[index] ?? from + index
}
