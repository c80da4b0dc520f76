import type { BufferPool } from './buffer-pool.ts'
import type { Column } from './column.ts'
import type { Field, Schema } from './schema.ts'
import { TextColumn } from './text-column.ts'
import type { ValueColumn, ValueInput } from './value-column.ts'
import { PlainColumn, unfit } from './value-column.ts'

/** A row as a program has it: values by column name, in own properties. */
export type RowObject = { readonly [name: string]: ValueInput }

/** Why a row does not fit. */
export interface RowFault {
  readonly column: string
  readonly reason: string
}

/** The columns of a batch, filled row by row. */
export class RowColumns {
  rows = 0
  /** Bytes of the rows, about. */
  bytes = 0
  readonly #fields: readonly Field[]
  readonly #columns: readonly ValueColumn[]

  /** For at most `capacity` rows; with `dictionaries`, text that repeats is kept once. */
  constructor(schema: Schema, pool: BufferPool, capacity: number, dictionaries: boolean) {
    this.#fields = schema.fields
    this.#columns = schema.fields.map(({ type }) =>
      dictionaries && type.kind === 'utf8' ? new TextColumn(pool, capacity) : new PlainColumn(type, pool, capacity),
    )
  }

  /** Adds a row; or returns why it does not fit, and is as before. */
  add(row: RowObject): RowFault | undefined {
    let found = 0
    let bytes = 0
    for (let i = 0; i < this.#fields.length; i++) {
      const { name, nullable, type } = this.#fields[i] as Field
      const known = Object.hasOwn(row, name)
      const value = known ? row[name] : undefined
      if (known) found++
      const missing = (value === null || value === undefined) && !nullable
      const size = missing ? -1 : (this.#columns[i] as ValueColumn).put(this.rows, value)
      if (size < 0) return this.#undone(i, { column: name, reason: missing ? 'it must have a value' : unfit(type) })
      bytes += size
    }
    const names = Object.keys(row)
    if (names.length > found) {
      const column = names.find((name) => !this.#fields.some((field) => field.name === name)) ?? ''
      return this.#undone(this.#fields.length, { column, reason: 'there is no such column' })
    }
    this.rows++
    this.bytes += bytes
    return undefined
  }

  /** Valid until `clear` or `free`. */
  finish(): Column[] {
    return this.#columns.map((column) => column.finish(this.rows))
  }

  /** Takes the last row back. */
  removeLast(): void {
    this.rows--
    for (const column of this.#columns) column.clear(this.rows)
  }

  free(): void {
    for (const column of this.#columns) column.free()
  }

  #undone(columns: number, fault: RowFault): RowFault {
    for (let i = 0; i < columns; i++) (this.#columns[i] as ValueColumn).clear(this.rows)
    return fault
  }
}
