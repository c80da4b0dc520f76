import type { Column, RecordBatch, Rejection } from '@nebula/core'
import { BsonOutput } from './bson-output.ts'
import { DocumentOverflow } from './document-overflow.ts'
import type { DocumentPlan, DocumentPlanOptions, FieldPlan } from './document-plan.ts'
import { planDocuments } from './document-plan.ts'
import type { DocumentSink, FieldSource } from './document-values.ts'
import { hasValue, putField, REFUSED, sourceOf } from './document-values.ts'
import * as t from './elements.ts'
import { ExtendedJsonParser } from './extended-json-parser.ts'

export interface DocumentEncoderOptions extends DocumentPlanOptions {
  /**
   * Writes the 12 bytes of an ObjectId to `bytes[at]`, for a row of the batch that has no `_id`. Left out: such rows go
   * without where there is no such column, and are refused where it is null.
   */
  readonly generateId?: (row: number, bytes: Uint8Array, at: number) => void
}

/** Documents without gaps, in memory that is valid until the next call. */
export interface EncodedDocuments {
  readonly data: Uint8Array
  /** Document `i` is `data[offsets[i]] .. data[offsets[i + 1]]`. */
  readonly offsets: Int32Array
  /** Which rows of the batch they are; undefined: all that were asked for. */
  readonly rows: Int32Array | undefined
  /** Rows that no document can hold. Their reasons quote no values. */
  readonly rejected: readonly Rejection[]
}

/**
 * Encodes rows as BSON documents: `_id` first, then the columns in order, then the fields of the overflow column, which
 * may not be among those before. Row by row, without an object per row or value. Timestamps lose what is below a
 * millisecond; numbers are exact, or their row is refused.
 */
export class DocumentEncoder {
  readonly #plan: DocumentPlan
  readonly #generateId: DocumentEncoderOptions['generateId']
  readonly #hasId: boolean
  readonly #out: BsonOutput
  readonly #sink: DocumentSink
  readonly #overflow: DocumentOverflow | undefined
  #fields: readonly FieldSource[] = []

  /** Throws `target_incompatible` and `unsupported` for columns that documents cannot hold. */
  constructor(options: DocumentEncoderOptions) {
    this.#plan = planDocuments(options)
    this.#generateId = options.generateId
    this.#hasId = this.#plan.names[0] === '_id'
    this.#out = new BsonOutput(options.pool)
    this.#out.slack = this.#plan.fields.reduce((sum, field) => sum + field.bytes, 64)
    this.#sink = { out: this.#out, parser: new ExtendedJsonParser(this.#out), type: 0, column: '', reason: '' }
    const isIdOurs = this.#hasId || options.generateId !== undefined
    const { overflow } = this.#plan
    if (overflow) this.#overflow = new DocumentOverflow({ ...this.#plan, overflow }, isIdOurs, options.pool)
  }

  /** Encodes rows `from` to `to`. Throws `data_invalid` when they take more than 2 GB. */
  encode(batch: RecordBatch, from: number, to: number): EncodedDocuments {
    const offsets = this.#out.start(to - from)
    const rows = { from, to }
    const columnAt = (index: number): Column => batch.column(index)
    this.#fields = this.#plan.fields.map((plan) => sourceOf(plan, columnAt, rows))
    this.#overflow?.begin(this.#fields, columnAt, rows)
    const kept: number[] = []
    const rejected: Rejection[] = []
    let at = 0
    let count = 0
    for (let row = from; row < to; row++) {
      const end = this.#document(row, at)
      if (end < 0) {
        if (rejected.length === 0) for (let before = from; before < row; before++) kept.push(before)
        rejected.push(this.#rejection(batch, row))
        continue
      }
      at = end
      offsets[++count] = at
      if (rejected.length > 0) kept.push(row)
    }
    return {
      data: this.#out.bytes.subarray(0, at),
      offsets: offsets.subarray(0, count + 1),
      rows: rejected.length > 0 ? Int32Array.from(kept) : undefined,
      rejected,
    }
  }

  /** Writes a row's document to `start`; returns its end. */
  #document(row: number, start: number): number {
    const out = this.#out
    const fields = this.#fields
    const overflow = this.#overflow
    out.ensure(start, 0)
    if (overflow && !overflow.read(row, this.#sink)) return REFUSED
    let at = start + 4
    let first = 0
    if (!this.#hasId || !hasValue(fields[0] as FieldSource, row)) {
      at = this.#generated(row, at)
      first = this.#hasId ? 1 : 0
    }
    for (let i = first; i < fields.length && at >= 0; i++)
      if (!overflow?.replaces(i, row)) at = putField(fields[i] as FieldSource, row, this.#sink, at)
    if (at < 0) return REFUSED
    if (overflow) at = overflow.append(out, at)
    out.bytes[at++] = 0
    out.view.setInt32(start, at - start, true)
    return at
  }

  /** Writes the `_id` of a row that has none. */
  #generated(row: number, at: number): number {
    const { view, bytes } = this.#out
    if (this.#generateId) {
      view.setInt32(at, ID_HEAD)
      bytes[at + 4] = 0
      this.#generateId(row, bytes, at + 5)
      return at + 17
    }
    if (!this.#hasId) return at
    this.#sink.column = this.#plan.fields[0]?.column ?? ''
    this.#sink.reason = 'null, where a document needs its _id'
    return REFUSED
  }

  #rejection(batch: RecordBatch, row: number): Rejection {
    const { column, reason } = this.#sink
    return { row, column, code: 'row_rejected', reason: `Column ${column} holds ${reason}.`, place: batch.place(row) }
  }

  /** Gives all memory back; it may go on encoding, with memory that it takes then. */
  free(): void {
    this.#fields = []
    this.#out.free()
    this.#overflow?.free()
    freeTexts(this.#plan.fields)
  }
}

/** Type and name of an `_id` that is an ObjectId. */
const ID_HEAD = (t.OBJECT_ID << 24) | 0x5f6964

function freeTexts(plans: readonly FieldPlan[]): void {
  for (const { text, children } of plans) {
    text?.free()
    freeTexts(children)
  }
}
