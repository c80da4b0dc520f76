import type { RecordBatch, Rejection } from '@nebula/core'
import { DocumentEncoder } from './document-encoder.ts'
import type { DocumentPlanOptions } from './document-plan.ts'
import type { DocumentSection, SectionLimits } from './document-sections.ts'
import { cutDocuments, largeDocuments } from './document-sections.ts'
import { generatedId } from './generated-id.ts'

export interface SectionEncoderOptions extends DocumentPlanOptions {
  /** Rows that come as documents are taken as they are. */
  readonly takesWire: boolean
  readonly limits: SectionLimits
}

/** Makes of batches, of columns or of documents, the sections of messages. */
export class SectionEncoder {
  readonly #options: SectionEncoderOptions
  #encoder: DocumentEncoder | undefined
  #seed: Uint8Array | undefined
  /** Rows that were taken behind the seed. */
  #rows = 0
  /** Of the row 0 of a batch. */
  #numberOfFirst = 0

  constructor(options: SectionEncoderOptions) {
    this.#options = options
  }

  /** A row without `_id` gets one from now on: of these eight bytes, and of its number. Never called: it is rejected. */
  begin(seed: Uint8Array): void {
    this.#seed = seed
    this.#rows = 0
  }

  /**
   * Returns the sections of rows `from` to `to`, each copied when it is asked for, before the next call; and the rows that
   * are in none, because no document can hold them, or none so large. Rows keep their numbers until they are `taken`.
   */
  encode(
    batch: RecordBatch,
    from: number,
    to: number,
  ): { readonly sections: Iterable<DocumentSection>; readonly rejected: Rejection[] } {
    const { takesWire, limits, pool } = this.#options
    const wire = takesWire ? batch.wire : undefined
    this.#numberOfFirst = this.#rows - from
    const { rejected, ...documents } = wire
      ? { data: wire.data, offsets: wire.offsets.subarray(from, to + 1), rows: undefined, rejected: [] }
      : (this.#encoder ??= this.#open()).encode(batch, from, to)
    const range = { ...documents, from }
    const large = largeDocuments(range, limits).map(({ row, bytes }): Rejection => {
      const reason = `The document has ${bytes} bytes; MongoDB takes ${limits.documentBytes}.`
      return { row, code: 'row_rejected', reason, place: batch.place(row) }
    })
    return { sections: cutDocuments(range, limits, pool), rejected: [...rejected, ...large] }
  }

  /** So many rows will not come again. */
  taken(rows: number): void {
    this.#rows += rows
  }

  /** Gives its memory back; it may go on, with memory that it takes then. */
  free(): void {
    this.#encoder?.free()
  }

  #open(): DocumentEncoder {
    const generateId = (row: number, bytes: Uint8Array, at: number): void =>
      generatedId(this.#seed as Uint8Array, this.#numberOfFirst + row, bytes, at)
    return new DocumentEncoder({ ...this.#options, ...(this.#seed && { generateId }) })
  }
}
