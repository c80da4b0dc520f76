import type { BufferPool, Column, Schema } from '@nebula/core'
import { BytesBuilder, fieldIndex } from '@nebula/core'
import type { ColumnTarget } from './column-target.ts'
import { DAMAGED, HELD, MISFIT } from './column-target.ts'
import type { DocumentColumn } from './document-columns.ts'
import { documentColumns, spread } from './document-columns.ts'
import type { Bson } from './elements.ts'
import { bsonOf, nameEnd, NULL, OBJECT, valueEnd } from './elements.ts'
import { ExtendedJsonWriter } from './extended-json-writer.ts'
import { DOCUMENT, typeAlias } from './field-types.ts'
import { NameIndex } from './name-index.ts'

/** Documents whose lengths fit: row `i` begins at `starts[i]`. */
export interface Documents {
  readonly data: Uint8Array
  readonly starts: Int32Array
  readonly rows: number
}

export interface DecoderOptions {
  readonly schema: Schema
  /** The columns that are looked at. */
  readonly wanted: readonly number[]
  /** The name of the overflow column. */
  readonly overflow: string
  /** One column has whole documents. */
  readonly documents: boolean
  readonly pool: BufferPool
}

const HEAD = 4

/** Why a row cannot be one. */
export interface DocumentFault {
  readonly reason: string
  readonly column?: string
}

export const DAMAGE: DocumentFault = { reason: 'the document is damaged' }
const NO_ID: DocumentFault = { column: '_id', reason: 'the document has no "_id"' }

/** What becomes of a value that its column cannot hold: it goes to the overflow column, nobody asks, or none is there. */
type Spill = 'keep' | 'leave' | 'refuse'

/** Documents to columns, in one pass over their bytes. The columns are valid until the next `decode`, or `free`. */
export class DocumentDecoder {
  readonly #columns: readonly DocumentColumn[]
  readonly #targets: readonly ColumnTarget[]
  readonly #index: NameIndex
  readonly #spill: Spill
  readonly #overflow: WrittenColumn | undefined
  readonly #whole: WrittenColumn | undefined
  #bson: Bson = bsonOf(new Uint8Array(0))
  /** Where elements begin that go to the overflow column. */
  #spilled = new Int32Array(16)
  #spills = 0
  /** The row at hand, and how many columns have a value in it. */
  #row = 0
  #held = 0
  /** Values of the last batch that lie in the overflow column; undefined where it is not looked at. */
  overflowed: number | undefined

  constructor(options: DecoderOptions) {
    const { schema, wanted, overflow, documents, pool } = options
    const { fields } = schema
    const place = documents ? -1 : fieldIndex(schema, overflow)
    const keeps = wanted.includes(place)
    const written = (index: number): WrittenColumn | undefined =>
      wanted.includes(index) ? new WrittenColumn(index, pool) : undefined
    this.#overflow = written(place)
    this.#whole = documents ? written(fieldIndex(schema, DOCUMENT)) : undefined
    this.#spill = keeps ? 'keep' : place < 0 ? 'refuse' : 'leave'
    // What goes to the overflow column is known only where all columns are tried.
    this.#columns = documentColumns({
      fields,
      isLeftOut: (index) => index === place || (documents && fields[index]?.name === DOCUMENT),
      isWanted: (index) => keeps || wanted.includes(index),
      isPart: this.#spill === 'refuse',
      pool,
    })
    this.#targets = this.#columns.map(({ target }) => target)
    this.#index = new NameIndex(this.#targets.map(({ head }) => head.subarray(1)))
  }

  /** Columns by their place in the schema. Of rows that are reported as faulty they have no more than a part. */
  decode({ data, starts, rows }: Documents, onFault: (row: number, fault: DocumentFault) => void): Column[] {
    const bson = bsonOf(data)
    this.#bson = bson
    this.overflowed = this.#overflow ? 0 : undefined
    for (const column of [...this.#targets, this.#overflow, this.#whole]) column?.start(bson, rows)
    for (let row = 0; row < rows; row++) {
      const start = starts[row] as number
      const end = start + bson.view.getInt32(start, true)
      const fault = this.#document(row, start, end)
      if (fault) onFault(row, fault)
    }
    return this.#finish()
  }

  #document(row: number, start: number, end: number): DocumentFault | undefined {
    this.#row = row
    this.#spills = this.#held = 0
    return this.#settle(this.#walk(start + HEAD, end - 1) ?? this.#write(start, end))
  }

  free(): void {
    for (const column of [...this.#targets, this.#overflow, this.#whole]) column?.free()
  }

  /** Puts the values of a document into the columns that have them, and notes the others. */
  #walk(from: number, last: number): DocumentFault | undefined {
    const bson = this.#bson
    const { bytes } = bson
    const targets = this.#targets
    const count = targets.length
    let next = 0
    let repeated: ColumnTarget | undefined
    for (let at = from; at !== last;) {
      // Most documents of a collection have the same fields in the same order.
      let target = next < count ? targets[next] : undefined
      let value = 0
      if (target?.begins(bson, at, last)) {
        value = at + target.head.length
        next++
      } else {
        const name = nameEnd(bytes, at + 1, last)
        if (name < 0) return DAMAGE
        const index = this.#index.find(bytes, at + 1, name)
        target = index < 0 ? undefined : targets[index]
        value = name + 1
        if (target) next = index + 1
      }
      const to = valueEnd(bson, bytes[at] as number, value, last)
      if (to < 0) return DAMAGE
      if (!target) this.#note(at)
      else if (target.seen === this.#row) {
        this.#takeBack(target)
        repeated = target
      } else {
        const fault = this.#take(target, at, value, to)
        if (fault) return fault
      }
      at = to
    }
    return repeated ? this.#repeat(repeated, from, last) : undefined
  }

  #take(target: ColumnTarget, at: number, value: number, to: number): DocumentFault | undefined {
    const bson = this.#bson
    const row = this.#row
    const type = bson.bytes[at] as number
    target.seen = row
    const outcome = target.turnTo(type) ? target.put(bson, row, value, to) : MISFIT
    if (outcome === HELD) {
      target.held = row
      this.#held++
      return undefined
    }
    if (outcome === DAMAGED) return DAMAGE
    this.#note(at)
    // Where nothing keeps a value it must not be lost; that there is none is as much as NULL says.
    if (!target.isId && (this.#spill !== 'refuse' || type === NULL)) return undefined
    const { name, declared } = target.field
    const alias = typeAlias(bson.bytes, type, value, to)
    const reason = alias === declared ? `this ${alias} is none that its column holds` : `a value of type ${alias}`
    return { column: name, reason: `"${name}": ${reason}, in a column of ${declared}` }
  }

  #takeBack(target: ColumnTarget): void {
    if (target.held !== this.#row) return
    target.undo(this.#row)
    this.#held--
  }

  /** A document has names twice: all values of theirs go to the overflow column, in their order. */
  #repeat(repeated: ColumnTarget, from: number, last: number): DocumentFault | undefined {
    const bson = this.#bson
    const { bytes } = bson
    this.#spills = 0
    for (let at = from; at !== last;) {
      const name = nameEnd(bytes, at + 1, last)
      const index = this.#index.find(bytes, at + 1, name)
      const target = index < 0 ? undefined : this.#targets[index]
      if (target?.held !== this.#row) {
        if (target?.isId) repeated = target
        this.#note(at)
      }
      at = valueEnd(bson, bytes[at] as number, name + 1, last)
    }
    if (this.#spill !== 'refuse' && !repeated.isId) return undefined
    const { name } = repeated.field
    return { column: name, reason: `the document has "${name}" more than once` }
  }

  /** Remembers an element for the overflow column. */
  #note(at: number): void {
    if (this.#spill !== 'keep') return
    if (this.#spills === this.#spilled.length) {
      const larger = new Int32Array(this.#spills * 2)
      larger.set(this.#spilled)
      this.#spilled = larger
    }
    this.#spilled[this.#spills++] = at
  }

  /** Writes what is not one value: the overflow, and the whole document. */
  #write(start: number, end: number): DocumentFault | undefined {
    const overflow = this.#overflow
    const whole = this.#whole
    if (overflow && this.#spills > 0) {
      if (!overflow.json.members(this.#spilled, this.#spills, end - 1)) return DAMAGE
      overflow.held = this.#row
      this.overflowed = (this.overflowed ?? 0) + this.#spills
    }
    if (whole) {
      if (!whole.json.value(OBJECT, start, end)) return DAMAGE
      whole.held = this.#row
    }
    return undefined
  }

  /** Ends the row in every column. */
  #settle(fault: DocumentFault | undefined): DocumentFault | undefined {
    const row = this.#row
    this.#overflow?.settle(row)
    this.#whole?.settle(row)
    if (this.#held === this.#targets.length) return fault
    let missing: DocumentFault | undefined
    for (const target of this.#targets) {
      if (target.held === row) continue
      target.miss(row)
      if (target.isId) missing = NO_ID
    }
    return fault ?? missing
  }

  #finish(): Column[] {
    const columns: Column[] = []
    for (const { target, place } of this.#columns) spread(target.finish(), place, columns)
    for (const written of [this.#overflow, this.#whole]) if (written) columns[written.index] = written.builder.finish()
    return columns
  }
}

/** A column of Extended JSON of more than one value, or of none. */
class WrittenColumn {
  readonly index: number
  readonly builder: BytesBuilder
  readonly json: ExtendedJsonWriter
  held = -1

  constructor(index: number, pool: BufferPool) {
    this.index = index
    this.builder = new BytesBuilder({ kind: 'json' }, pool)
    this.json = new ExtendedJsonWriter('exact', this.builder)
  }

  start(bson: Bson, rows: number): void {
    this.held = -1
    this.builder.start(rows)
    this.json.turnTo(bson)
  }

  settle(row: number): void {
    if (this.held === row) this.builder.offsets[row + 1] = this.builder.size
    else this.builder.appendNull(row)
  }

  free(): void {
    this.builder.free()
  }
}
