import type { BufferPool, Column, LogicalType, ReadStream, RecordBatch, RejectedRecord } from '@nebula/core'
import { columnBuilder, createBatch } from '@nebula/core'
import type { Format, FormatBatch, FormatReader, Preamble } from '@nebula/formats'
import { readFully } from './byte-stream.ts'
import { contentStream } from './head.ts'
import type { OpenContent, RecordCounter } from './record-counter.ts'
import type { OpenFile } from './store.ts'

/** The file of a record, which says what its columns are. */
export interface RecordFile {
  readonly format: Format
  readonly file: OpenFile
  readonly preamble: Preamble
  readonly records: RecordCounter
}

const CHUNK_BYTES = 64 * 1024

/** One record as a batch: its row, or the rejection that says why it still gives none. */
export async function rereadRecord(
  from: RecordFile,
  stream: ReadStream,
  { origin, raw }: RejectedRecord,
  { columns, pool }: { readonly columns: readonly number[]; readonly pool: BufferPool },
): Promise<RecordBatch> {
  const shared = { stream: stream.request.stream, schema: stream.schema }
  const place = `${origin.path} line ${origin.line}`
  const text = raw ?? (await recordBytes(from, origin.path, origin.record))
  const width = from.preamble.names.length
  const limits = { offset: 0, rows: 2, bytes: Math.max(1, text.length) }
  const reader = from.format.reader({ schema: stream.schema, columns, width, pool, ...limits })
  const batches = batchesOf(reader, text)
  const faults = batches.flatMap((batch) => batch.faults)
  const count = batches.reduce((sum, batch) => sum + batch.rows, faults.length)
  const onRelease = (): void => {
    for (const batch of batches) batch.release()
    reader.free()
  }
  const [batch] = batches
  if (batch?.rows === 1 && count === 1) {
    const where = { place: () => place, origin: async () => origin }
    return createBatch({ ...shared, rows: 1, columns: batch.columns, ...where, onRelease })
  }
  const none = stream.schema.fields.map(({ type }) => noRows(type, pool))
  const many = { code: 'row_invalid', reason: `there are ${count} records instead of one`, column: undefined }
  const { code, reason, column } = (count === 1 ? faults[0] : undefined) ?? many
  const rejected = [{ code, reason, place, origin: async () => origin, ...(column === undefined ? {} : { column }) }]
  return createBatch({ ...shared, rows: 0, columns: none, rejected, onRelease })
}

function noRows(type: LogicalType, pool: BufferPool): Column {
  const builder = columnBuilder(type, pool)
  builder.start(0)
  try {
    return builder.finish()
  } finally {
    builder.free()
  }
}

/** The bytes of a record, by its number; none when the file has fewer. */
async function recordBytes({ file, records }: RecordFile, path: string, record: number): Promise<Uint8Array> {
  const open: OpenContent = (from) => contentStream(file, path, from)
  const begin = await records.offset(record, open)
  if (begin === undefined) return new Uint8Array(0)
  const end = (await records.offset(record + 1, open)) ?? Infinity
  const stream = await open(begin)
  try {
    const chunks: Uint8Array[] = []
    for (let left = end - begin; left > 0;) {
      const chunk = new Uint8Array(Math.min(left, CHUNK_BYTES))
      const bytes = await readFully(stream, chunk)
      chunks.push(chunk.subarray(0, bytes))
      if (bytes < chunk.length) break
      left -= bytes
    }
    return Buffer.concat(chunks)
  } finally {
    await stream.close()
  }
}

/** Everything that a reader makes of a text. */
function batchesOf(reader: FormatReader, text: Uint8Array): FormatBatch[] {
  const batches: FormatBatch[] = []
  for (let at = 0; at <= text.length;) {
    const space = reader.space()
    const piece = text.subarray(at, at + space.length)
    space.set(piece)
    if (piece.length > 0) reader.filled(piece.length)
    else reader.end()
    for (let batch = reader.next(); batch; batch = reader.next()) batches.push(batch)
    at += Math.max(1, piece.length)
  }
  return batches
}
