import type { BufferPool, Column, Position, RecordBatch, Rejection, Schema } from '@nebula/core'
import { createBatch, gatherWire, NebulaError, rowsWithout } from '@nebula/core'
import type { DocumentFault, Documents } from './document-decoder.ts'
import { DAMAGE, DocumentDecoder } from './document-decoder.ts'
import { bsonOf, isFramed } from './elements.ts'
import { idText } from './extended-json.ts'

/** Whole documents as they travel, one a row. */
export const BSON_WIRE = 'mongodb/bson'

/** Documents of one batch: row `i` is `data[offsets[i]] .. data[offsets[i + 1]]`, without gaps. */
export interface ReadDocuments {
  readonly data: Uint8Array
  readonly offsets: Int32Array
  readonly rows: number
  /** Behind the last of them. */
  readonly position?: Position
  /** Gives the memory back. */
  readonly release: () => void
}

export interface DocumentBatchOptions {
  readonly stream: string
  /** Columns of MongoDB, as `documentFields` has them. */
  readonly schema: Schema
  /** The format to hand over; undefined: columns alone. */
  readonly wire: string | undefined
  /** Columns that somebody looks at, where the format is handed over. */
  readonly decode: readonly number[]
  readonly pool: BufferPool
  /** The name of the column for what the others cannot hold; without it such values are refused rows. */
  readonly overflow: string
  /** True: `_id`, and the column `document` with all of it. */
  readonly documents?: boolean
}

/** Makes batches of documents: in their wire format, with columns where somebody looks at them, or as columns. */
export class DocumentBatches {
  readonly #options: DocumentBatchOptions
  readonly #wanted: readonly number[]
  /** Builders of released batches. */
  readonly #spare: DocumentDecoder[] = []
  #closed = false

  constructor(options: DocumentBatchOptions) {
    const { wire, schema, decode } = options
    if (wire !== undefined && wire !== BSON_WIRE) {
      throw new NebulaError('unsupported', { message: `Documents are not handed over in the format ${wire}.` })
    }
    this.#options = options
    this.#wanted = wire === undefined ? schema.fields.map((_, index) => index) : decode
  }

  /** The batch owns the rows. What is looked at is decoded at once; documents that its columns cannot hold are rejected. */
  make(read: ReadDocuments): RecordBatch {
    const { stream, schema, wire: format } = this.#options
    const { data, offsets } = read
    const place = (row: number): string => idText(data, offsets[row] as number, offsets[row + 1] as number) || NO_ID
    const rejected = new Map<number, Rejection>()
    const refuse = (row: number, fault: DocumentFault): void => {
      const raw = data.slice(offsets[row], offsets[row + 1])
      rejected.set(row, { ...fault, code: 'row_rejected', place: place(row), raw })
    }
    checkFrames(read, refuse)
    let kept = keptOf(read, rejected)
    const decoder = this.#wanted.length === 0 ? undefined : (this.#spare.pop() ?? this.#decoder(this.#wanted))
    let columns = decoder?.decode(documentsOf(read, kept), (i, fault) => refuse(kept?.[i] ?? i, fault))
    if (rejected.size > (kept ? read.rows - kept.length : 0)) {
      kept = keptOf(read, rejected)
      columns = decoder?.decode(documentsOf(read, kept), () => {})
    }
    const documents = documentsOf(read, kept)
    let others: DocumentDecoder | undefined
    const all = (): readonly (Column | undefined)[] => {
      others = this.#decoder(schema.fields.map((_, index) => index))
      return others.decode(documents, () => {})
    }
    const overflowed = decoder?.overflowed
    const wire = format === undefined ? undefined : { format, offsets, data }
    return createBatch({
      stream,
      schema,
      rows: documents.rows,
      rejected: [...rejected].sort(([a], [b]) => a - b).map(([, rejection]) => rejection),
      place: (row) => place(kept?.[row] ?? row),
      columns: (everything) => (everything ? all() : (columns ?? [])),
      onRelease: () => {
        if (decoder) this.#giveBack(decoder)
        others?.free()
        read.release()
      },
      ...(wire ? { wire: kept ? gatherWire(wire, kept) : wire } : {}),
      ...(overflowed === undefined ? {} : { overflowed }),
      ...(read.position === undefined ? {} : { position: read.position }),
    })
  }

  /** No more batches are made: what released ones leave is not kept. */
  close(): void {
    this.#closed = true
    for (const decoder of this.#spare.splice(0)) decoder.free()
  }

  /** Buffers that are only kept for the next batch must not keep it from being read. */
  #giveBack(decoder: DocumentDecoder): void {
    const { pool } = this.#options
    if (this.#closed || pool.isFull) decoder.free()
    else this.#spare.push(decoder)
  }

  #decoder(wanted: readonly number[]): DocumentDecoder {
    const { schema, overflow, documents = false, pool } = this.#options
    return new DocumentDecoder({ schema, wanted, overflow, documents, pool })
  }
}

const NO_ID = 'a document without an _id'

/** Reports the rows that are not one document each. */
function checkFrames(
  { data, offsets, rows }: ReadDocuments,
  onFault: (row: number, fault: DocumentFault) => void,
): void {
  const bson = bsonOf(data)
  for (let row = 0; row < rows; row++)
    if (!isFramed(bson, offsets[row] as number, offsets[row + 1] as number)) onFault(row, DAMAGE)
}

/** The rows that are not rejected; undefined: all. */
function keptOf({ rows }: ReadDocuments, rejected: ReadonlyMap<number, Rejection>): Int32Array | undefined {
  return rejected.size === 0 ? undefined : rowsWithout(rows, rejected)
}

function documentsOf({ data, offsets, rows }: ReadDocuments, kept: Int32Array | undefined): Documents {
  if (!kept) return { data, starts: offsets, rows }
  return { data, starts: kept.map((row) => offsets[row] as number), rows: kept.length }
}
