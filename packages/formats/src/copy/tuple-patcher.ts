import type { Column, WireRows } from '@nebula/core'
import { NebulaError, viewOf } from '@nebula/core'
import { FIELD_HEAD, TUPLE_HEAD } from './decode-tuples.ts'
import type { Output, RowEncoder } from './frame.ts'
import { FRAME_HEAD } from './frame.ts'
import type { EncodedField, FieldSource } from './tuple-fields.ts'
import { putField, TupleFields } from './tuple-fields.ts'

/** Longer runs are copied by the engine's own routine. */
const LONG = 512

/** Writes binary tuples as they came, but for some fields, whose values are those of columns. */
export class TuplePatcher implements RowEncoder {
  readonly #replaced: readonly number[]
  readonly #fields: TupleFields
  #wire: WireRows | undefined
  #from = 0
  #to = 0

  /** `replaced`: the places of the fields in a tuple, ascending. */
  constructor(fields: readonly EncodedField[], replaced: readonly number[]) {
    this.#replaced = replaced
    this.#fields = new TupleFields(fields)
  }

  /** `columns` are those of the replaced fields. */
  begin(columns: readonly Column[], from: number, to: number, wire?: WireRows): number {
    if (!wire) throw new NebulaError('internal', { message: 'There are no wire rows to be patched.' })
    this.#wire = wire
    this.#from = from
    this.#to = to
    return this.#fields.begin(columns, from, to) + (wire.offsets[to] as number) - (wire.offsets[from] as number)
  }

  write(out: Output, at: number): number {
    const { data, offsets } = this.#wire as WireRows
    const rows = { bytes: data, view: viewOf(data) }
    const { sources } = this.#fields
    const replaced = this.#replaced
    let end = at
    for (let row = this.#from; row < this.#to; row++) {
      /** The end of the last replaced field, which the bytes up to the next one follow. */
      let run = (offsets[row] as number) + FRAME_HEAD
      let place = (offsets[row] as number) + TUPLE_HEAD
      for (let i = 0, field = 0; i < replaced.length; i++, field++) {
        for (; field < (replaced[i] as number); field++) place = skipField(rows.view, place)
        copyRun(rows, run, out, { at: end, length: place - run })
        end = putField(sources[i] as FieldSource, row, out, end + place - run)
        run = place = skipField(rows.view, place)
      }
      const rest = (offsets[row + 1] as number) - run
      copyRun(rows, run, out, { at: end, length: rest })
      end += rest
    }
    return end
  }

  free(): void {
    this.#fields.sources = []
    this.#wire = undefined
  }
}

function skipField(view: DataView, at: number): number {
  const length = view.getInt32(at)
  return at + FIELD_HEAD + (length > 0 ? length : 0)
}

function copyRun(rows: Output, start: number, out: Output, { at, length }: { at: number; length: number }): void {
  if (length > LONG) {
    out.bytes.set(rows.bytes.subarray(start, start + length), at)
    return
  }
  let i = 0
  for (; i < length - 3; i += 4) out.view.setInt32(at + i, rows.view.getInt32(start + i))
  for (; i < length; i++) out.bytes[at + i] = rows.bytes[start + i] as number
}
