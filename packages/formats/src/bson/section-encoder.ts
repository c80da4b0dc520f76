import type { BufferPool, RecordBatch, Rejection } from '@nebula/core'
import { DocumentEncoder } from './document-encoder.ts'
import type { DocumentPlanOptions } from './document-plan.ts'
import type { DocumentRange, DocumentSection, SectionLimits } from './document-sections.ts'
import { cutDocuments, largeDocuments } from './document-sections.ts'
import { generatedId } from './generated-id.ts'

export interface SectionEncoderOptions {
  /** How columns become documents. */
  readonly encoding: Omit<DocumentPlanOptions, 'pool'>
  /** Rows that come as documents are taken as they are. */
  readonly takesWire: boolean
  readonly limits: SectionLimits
  readonly pool: BufferPool
}

/** What rows become. */
export interface EncodedSections {
  /** Each is copied when it is asked for, and until then what it is copied from is valid. */
  readonly sections: Iterable<DocumentSection>
  /** Rows that are in none of them, because no document can hold them, or none so large. */
  readonly rejected: Rejection[]
}

/** Makes of batches the sections of messages, of documents that are columns or documents there. */
export class SectionEncoder {
  readonly #options: SectionEncoderOptions
  #encoder: DocumentEncoder | undefined
  #seed: Uint8Array | undefined
  /** Behind the seed. */
  #rows = 0
  /** Of the row 0 of a batch. */
  #numberOfFirst = 0

  constructor(options: SectionEncoderOptions) {
    this.#options = options
  }

  /** Rows without `_id` get one, of these eight bytes and of their number from now on. Never called: they are rejected. */
  begin(seed: Uint8Array): void {
    this.#seed = seed
    this.#rows = 0
  }

  /** The sections are valid until the next call. Rows keep their numbers until `taken`. */
  encode(batch: RecordBatch, from: number, to: number): EncodedSections {
    const { takesWire, limits, pool } = this.#options
    const wire = takesWire ? batch.wire : undefined
    this.#numberOfFirst = this.#rows - from
    const { rejected, ...documents } = wire
      ? { data: wire.data, offsets: wire.offsets.subarray(from, to + 1), rows: undefined, rejected: [] }
      : (this.#encoder ??= this.#open()).encode(batch, from, to)
    const range = { ...documents, from }
    return {
      sections: cutDocuments(range, limits, pool),
      rejected: [...rejected, ...tooLarge(range, batch, limits)],
    }
  }

  /** Rows that were encoded will not come again. */
  taken(rows: number): void {
    this.#rows += rows
  }

  /** Gives its memory back; it may go on, with memory that it takes then. */
  free(): void {
    this.#encoder?.free()
  }

  #open(): DocumentEncoder {
    const { encoding, pool } = this.#options
    const generateId = (row: number, bytes: Uint8Array, at: number): void =>
      generatedId(this.#seed as Uint8Array, this.#numberOfFirst + row, bytes, at)
    return new DocumentEncoder({ ...encoding, pool, ...(this.#seed && { generateId }) })
  }
}

function tooLarge(documents: DocumentRange, batch: RecordBatch, limits: SectionLimits): Rejection[] {
  return largeDocuments(documents, limits).map(({ row, bytes }) => {
    const reason = `The document has ${bytes} bytes; MongoDB takes ${limits.documentBytes}.`
    return { row, code: 'row_rejected', reason, place: batch.place(row) }
  })
}
