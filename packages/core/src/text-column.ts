import type { BufferPool } from './buffer-pool.ts'
import { BytesBuilder, FixedBuilder } from './builder.ts'
import type { BytesColumn, Column, DictionaryColumn } from './column.ts'
import { utf8 } from './types.ts'
import type { ValueColumn, ValueInput } from './value-column.ts'
import { appendText, PlainColumn } from './value-column.ts'

/** A dictionary never has more entries. */
const MOST_ENTRIES = 1024
/** An entry pays where it is used so often. */
const LEAST_USES = 4
/** After so many rows it is known whether that will be. */
const TRIAL_ROWS = 256

/**
 * A utf8 column that is a dictionary while values repeat, and its plain bytes once they do not: the rows so far are
 * then copied, once, so a column costs time linear in its rows whatever its values are.
 */
export class TextColumn implements ValueColumn {
  readonly #pool: BufferPool
  readonly #capacity: number
  readonly #indices: FixedBuilder
  readonly #entries: BytesBuilder
  readonly #places = new Map<string, number>()
  #plain: PlainColumn | undefined

  constructor(pool: BufferPool, capacity: number) {
    this.#pool = pool
    this.#capacity = capacity
    this.#indices = new FixedBuilder({ kind: 'int32' }, pool)
    this.#indices.start(capacity)
    this.#entries = new BytesBuilder(utf8, pool)
    this.#entries.start(MOST_ENTRIES)
  }

  put(row: number, value: ValueInput): number {
    if (this.#plain) return this.#plain.put(row, value)
    if (value === null || value === undefined) {
      this.#indices.values[row] = 0
      this.#indices.setNull(row)
      return 0
    }
    if (typeof value !== 'string') return -1
    const known = this.#places.get(value)
    if (known !== undefined) {
      this.#indices.values[row] = known
      return 4
    }
    const distinct = this.#places.size
    const unlike = row >= TRIAL_ROWS && distinct * LEAST_USES >= row
    if (unlike || distinct === MOST_ENTRIES) return this.#toPlain(row).put(row, value)
    const bytes = appendText(this.#entries, distinct, value)
    if (bytes < 0) return -1
    this.#places.set(value, distinct)
    this.#indices.values[row] = distinct
    return bytes + 4
  }

  /** An entry that no row uses stays. */
  clear(row: number): void {
    if (this.#plain) return this.#plain.clear(row)
    const { validity } = this.#indices
    const bit = 1 << (row & 7)
    if (((validity[row >> 3] as number) & bit) !== 0) return
    validity[row >> 3] = (validity[row >> 3] as number) | bit
    this.#indices.nulls--
  }

  finish(rows: number): Column {
    const distinct = this.#places.size
    if (!this.#plain && distinct > 0 && distinct * LEAST_USES <= rows) return this.#dictionary(rows)
    return this.#toPlain(rows).finish(rows)
  }

  free(): void {
    this.#indices.free()
    this.#entries.free()
    this.#plain?.free()
  }

  #dictionary(rows: number): DictionaryColumn {
    this.#indices.rows = rows
    this.#entries.rows = this.#places.size
    const { validity, values } = this.#indices.finish()
    const dictionary: BytesColumn = { ...this.#entries.finish(), validity: null }
    return { layout: 'dictionary', type: utf8, length: rows, validity, indices: values as Int32Array, dictionary }
  }

  /** Copies the first `rows` rows out of the dictionary. */
  #toPlain(rows: number): PlainColumn {
    if (this.#plain) return this.#plain
    const plain = new PlainColumn(utf8, this.#pool, this.#capacity)
    plain.copy(this.#dictionary(rows))
    this.#places.clear()
    this.#plain = plain
    return plain
  }
}
