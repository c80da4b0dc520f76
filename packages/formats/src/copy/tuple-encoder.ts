import type { Column } from '@nebula/core'
import type { Output, RowEncoder } from './frame.ts'
import type { EncodedField, FieldSource } from './tuple-fields.ts'
import { putField, TupleFields } from './tuple-fields.ts'

/**
 * Encodes binary tuples (docs, SQL command COPY, "Tuples"), row by row: where a field begins depends on all before it,
 * and finding that out first, to fill column by column, took 1.7 times as long on a table of 16 columns.
 */
export class TupleEncoder implements RowEncoder {
  readonly #fields: TupleFields
  #from = 0
  #to = 0

  constructor(fields: readonly EncodedField[]) {
    this.#fields = new TupleFields(fields)
  }

  begin(columns: readonly Column[], from: number, to: number): number {
    this.#from = from
    this.#to = to
    return this.#fields.begin(columns, from, to) + 2 * (to - from)
  }

  write(out: Output, at: number): number {
    const { sources } = this.#fields
    let end = at
    for (let row = this.#from; row < this.#to; row++) {
      out.view.setInt16(end, sources.length)
      end += 2
      for (let i = 0; i < sources.length; i++) end = putField(sources[i] as FieldSource, row, out, end)
    }
    return end
  }

  free(): void {
    this.#fields.sources = []
  }
}
