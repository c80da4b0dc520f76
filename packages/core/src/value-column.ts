import type { BufferPool } from './buffer-pool.ts'
import type { ColumnBuilder } from './builder.ts'
import { BoolBuilder, BytesBuilder, columnBuilder, FixedBuilder, WordsBuilder } from './builder.ts'
import type { Column } from './column.ts'
import { copyValue } from './gather.ts'
import { parseColumn } from './text/parse.ts'
import type { LogicalType } from './types.ts'
import { typeName } from './types.ts'
import type { Interval, Value } from './value.ts'

/**
 * What a program may give for a value: as `valueAt` returns it, or its text; numbers also where BigInts are exact, a
 * Date for a timestamp or, at midnight UTC, for a date, and any JSON value for json. Undefined is null.
 */
export type ValueInput = Value | Date | undefined | readonly ValueInput[] | { readonly [name: string]: ValueInput }

/** A column that is filled value by value, in the order of the rows. Its buffers are from the pool until `free`. */
export interface ValueColumn {
  /** Sets a row that is not set. Returns how many bytes it takes, or -1 when the value is not of the type. */
  put(row: number, value: ValueInput): number
  /** Takes back what the last `put` did. */
  clear(row: number): void
  /** The column of the first `rows` rows; valid until `free`. */
  finish(rows: number): Column
  free(): void
}

type Setter = (row: number, value: Exclude<ValueInput, null | undefined>) => number

/** A column of `capacity` rows at most. Throws `unsupported` for lists and structs, which have no builder. */
export class PlainColumn implements ValueColumn {
  readonly #builder: ColumnBuilder
  readonly #pool: BufferPool
  readonly #set: Setter
  /** For values that come as text. */
  #parsed: ColumnBuilder | undefined

  constructor(type: LogicalType, pool: BufferPool, capacity: number) {
    this.#pool = pool
    this.#builder = columnBuilder(type, pool)
    this.#builder.start(capacity)
    this.#set = this.#setter(type)
  }

  put(row: number, value: ValueInput): number {
    if (value !== null && value !== undefined) return this.#set(row, value)
    this.#builder.appendNull(row)
    return 0
  }

  /** Sets the first rows to those of a column. */
  copy(column: Column): void {
    for (let row = 0; row < column.length; row++) copyValue(column, row, this.#builder, row)
  }

  clear(row: number): void {
    this.#builder.clear(row)
  }

  finish(rows: number): Column {
    this.#builder.rows = rows
    return this.#builder.finish()
  }

  free(): void {
    this.#builder.free()
    this.#parsed?.free()
    this.#parsed = undefined
  }

  #setter(type: LogicalType): Setter {
    const builder = this.#builder
    if (builder instanceof BoolBuilder) return (row, value) => this.#setBool(builder, row, value)
    if (builder instanceof FixedBuilder) {
      if (type.kind === 'float32' || type.kind === 'float64') return (row, value) => this.#setFloat(builder, row, value)
      return (row, value) => this.#setInteger(builder, row, value)
    }
    if (builder instanceof WordsBuilder) {
      if (builder.layout === 'fixed64') return (row, value) => this.#setWords(builder, row, value)
      return (row, value) => this.#setWide(builder, row, value)
    }
    if (type.kind === 'utf8') return (row, value) => appendText(builder, row, value)
    if (type.kind === 'binary' || type.kind === 'native') return (row, value) => this.#setBytes(builder, row, value)
    return (row, value) => this.#setText(row, textOf(type, value))
  }

  #setBool(builder: BoolBuilder, row: number, value: ValueInput): number {
    if (typeof value !== 'boolean') return this.#setText(row, value)
    if (value) builder.setTrue(row)
    return 1
  }

  #setFloat(builder: FixedBuilder, row: number, value: ValueInput): number {
    const number = typeof value === 'bigint' && BigInt(Number(value)) === value ? Number(value) : value
    if (typeof number !== 'number') return this.#setText(row, value)
    builder.values[row] = number
    return builder.values.BYTES_PER_ELEMENT
  }

  /** Integers up to 32 bits, and days. */
  #setInteger(builder: FixedBuilder, row: number, value: ValueInput): number {
    const { values, type } = builder
    const days = value instanceof Date && type.kind === 'date' ? value.getTime() / DAY_MS : value
    const number = typeof days === 'bigint' ? Number(days) : days
    if (typeof number !== 'number') return this.#setText(row, value)
    values[row] = number
    return values[row] === number ? values.BYTES_PER_ELEMENT : -1
  }

  #setWords(builder: WordsBuilder, row: number, value: ValueInput): number {
    const { kind } = builder.type
    const integer = kind === 'int64' || kind === 'uint64'
    let units: ValueInput = value
    if (value instanceof Date && kind === 'timestamp') {
      if (Number.isNaN(value.getTime())) return -1
      units = BigInt(value.getTime()) * 1000n
    } else if (integer && Number.isSafeInteger(value)) units = BigInt(value as number)
    if (typeof units !== 'bigint') return this.#setText(row, value)
    if (units !== (kind === 'uint64' ? BigInt.asUintN(64, units) : BigInt.asIntN(64, units))) return -1
    putWords(builder.words, row * 2, units, 2)
    return 8
  }

  /** decimal, uuid, interval. */
  #setWide(builder: WordsBuilder, row: number, value: ValueInput): number {
    const { type, words } = builder
    if (type.kind === 'decimal' && typeof value === 'bigint') {
      if ((value < 0n ? -value : value) >= 10n ** BigInt(type.precision)) return -1
      putWords(words, row * 4, value, 4)
      return 16
    }
    if (type.kind !== 'interval' || !isInterval(value)) return this.#setText(row, textOf(type, value))
    const { months, days, micros } = value
    words[row * 4] = months
    words[row * 4 + 1] = days
    putWords(words, row * 4 + 2, micros, 2)
    return words[row * 4] === months && words[row * 4 + 1] === days && micros === BigInt.asIntN(64, micros) ? 16 : -1
  }

  #setBytes(builder: BytesBuilder, row: number, value: ValueInput): number {
    if (!(value instanceof Uint8Array)) return builder.type.kind === 'binary' ? this.#setText(row, value) : -1
    builder.append(row, value, 0, value.length)
    return value.length + 4
  }

  /** A value by its text, as `parseColumn` reads it. */
  #setText(row: number, text: ValueInput): number {
    if (typeof text !== 'string' || !text.isWellFormed()) return -1
    const builder = (this.#parsed ??= columnBuilder(this.#builder.type, this.#pool))
    const data = encoder.encode(text)
    const slices = { data, starts: START, ends: Int32Array.of(data.length), base: 0, stride: 1, rows: 1 }
    let faulty = false
    parseColumn(slices, builder, () => (faulty = true))
    if (faulty) return -1
    copyValue(builder.finish(), 0, this.#builder, row)
    return data.length
  }
}

const DAY_MS = 86_400_000
const START = Int32Array.of(0)
const encoder = new TextEncoder()

/** Up to this length the bytes of a text are copied one by one, while they are ASCII. */
const SHORT_TEXT = 24

/** Appends a string to a utf8 column; -1 for what is no string, or has half a surrogate pair. */
export function appendText(builder: BytesBuilder, row: number, value: ValueInput): number {
  if (typeof value !== 'string') return -1
  const start = builder.size
  builder.ensure(value.length * 3)
  const { data } = builder
  let at = start
  if (value.length <= SHORT_TEXT) {
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) break
      data[at++] = code
    }
  }
  if (at - start < value.length) {
    if (!value.isWellFormed()) return -1
    at = start + encoder.encodeInto(value, data.subarray(start)).written
  }
  builder.size = at
  builder.offsets[row + 1] = at
  return at - start + 4
}

/** The text of a value that has no shorter way into a column of the type. */
function textOf(type: LogicalType, value: ValueInput): ValueInput {
  if (typeof value === 'string') return value
  if (type.kind === 'json') return jsonText(value)
  const isNumber = type.kind === 'decimal' || type.kind === 'numeric'
  return isNumber && (typeof value === 'number' || typeof value === 'bigint') ? String(value) : undefined
}

/** Undefined for what JSON would change: BigInts, NaN and the infinities, bytes. */
function jsonText(value: ValueInput): string | undefined {
  let exact = true
  const text = JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== 'bigint' && !(typeof item === 'number' && !Number.isFinite(item)) && !ArrayBuffer.isView(item))
      return item
    exact = false
    return null
  })
  return exact ? text : undefined
}

function isInterval(value: ValueInput): value is Interval {
  const { months, days, micros } = (value ?? {}) as Partial<Interval>
  return typeof months === 'number' && typeof days === 'number' && typeof micros === 'bigint'
}

/** Two's complement, lowest word first. */
function putWords(words: Int32Array, at: number, value: bigint, count: number): void {
  for (let i = 0; i < count; i++) words[at + i] = Number(BigInt.asIntN(32, value >> BigInt(32 * i)))
}

/** How people are told that a value does not fit. */
export function unfit(type: LogicalType): string {
  return `the value is no ${typeName(type)}`
}
