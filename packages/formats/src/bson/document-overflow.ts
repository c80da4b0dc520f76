import type { BufferPool, Column } from '@nebula/core'
import { BsonOutput } from './bson-output.ts'
import { ascii } from './bson-values.ts'
import type { DocumentPlan, FieldPlan } from './document-plan.ts'
import type { DocumentSink, FieldSource, Rows } from './document-values.ts'
import { hasValue, putValue, sourceOf } from './document-values.ts'
import * as t from './elements.ts'
import { ExtendedJsonParser } from './extended-json-parser.ts'

const ID = '_id'

/** The overflow column of a batch: documents whose fields stand behind those of the other columns. */
export class DocumentOverflow {
  readonly #plan: FieldPlan
  readonly #out: BsonOutput
  readonly #sink: DocumentSink
  /** Which field has a name, by its bytes as characters; -1: none, but it must not be there. */
  readonly #names = new Map<string, number>()
  /** By field: the row after the last in which the overflow has its name. */
  readonly #replaced: Int32Array
  #fields: readonly FieldSource[] = []
  #source: FieldSource | undefined
  #end = 0

  /** `isIdOurs`: every document gets its `_id` elsewhere. */
  constructor({ overflow, names }: DocumentPlan & { overflow: FieldPlan }, isIdOurs: boolean, pool: BufferPool) {
    this.#plan = overflow
    this.#out = new BsonOutput(pool)
    this.#sink = { out: this.#out, parser: new ExtendedJsonParser(this.#out), type: 0, column: '', reason: '' }
    this.#replaced = new Int32Array(names.length)
    for (const [i, name] of names.entries()) {
      const bytes = new TextEncoder().encode(name)
      this.#names.set(ascii(bytes, 0, bytes.length), i)
    }
    if (isIdOurs) this.#names.set(ID, -1)
  }

  /** Turns to the columns of a batch. */
  begin(fields: readonly FieldSource[], columnAt: (index: number) => Column, rows: Rows): void {
    this.#fields = fields
    this.#source = sourceOf(this.#plan, columnAt, rows)
    this.#replaced.fill(0)
  }

  /** Reads the document of a row; false, with the reason in `sink`, when its fields cannot be put into the row's. */
  read(row: number, sink: DocumentSink): boolean {
    this.#end = 0
    const source = this.#source
    if (!source || !hasValue(source, row)) return true
    const end = putValue(source, row, this.#sink, 0)
    sink.column = this.#plan.column
    if (end < 0) sink.reason = this.#sink.reason
    else if (this.#sink.type !== t.OBJECT) sink.reason = 'no document'
    else if (this.#claim(row, end, sink)) {
      this.#end = end
      return true
    }
    return false
  }

  /** Looks at the names in a document. */
  #claim(row: number, end: number, sink: DocumentSink): boolean {
    const { bytes } = this.#out
    const last = end - 1
    for (let at = 4; at < last;) {
      const name = t.nameEnd(bytes, at + 1, last)
      const next = name < 0 ? -1 : t.valueEnd(this.#out, bytes[at] as number, name + 1, last)
      if (next < 0) {
        sink.reason = 'a document that is not well-formed'
        return false
      }
      const field = this.#names.get(ascii(bytes, at + 1, name))
      at = next
      if (field === undefined) continue
      if (field < 0 || hasValue(this.#fields[field] as FieldSource, row)) {
        const column = field < 0 ? ID : this.#fields[field]?.plan.column
        sink.reason = `a field that column ${column} has set already`
        return false
      }
      this.#replaced[field] = row + 1
    }
    return true
  }

  /** True when the document read last has the name of a field that is null in this row. */
  replaces(field: number, row: number): boolean {
    return this.#replaced[field] === row + 1
  }

  /** Writes the fields of the document read last to `at`; returns their end. */
  append(out: BsonOutput, at: number): number {
    if (this.#end === 0) return at
    const length = this.#end - 5
    out.ensure(at, length)
    out.bytes.set(this.#out.bytes.subarray(4, 4 + length), at)
    return at + length
  }

  free(): void {
    this.#fields = []
    this.#source = undefined
    this.#out.free()
  }
}
