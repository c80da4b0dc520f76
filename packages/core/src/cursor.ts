import type { RecordBatch } from './batch.ts'
import { DAY_MICROS, FIRST_DAY } from './calendar.ts'
import type { Column, Fixed64Column, FixedColumn } from './column.ts'
import { DATE_INFINITY, DATE_MINUS_INFINITY, HIGH_WORD_MAX, isNull } from './column.ts'
import type { Condition } from './condition.ts'
import type { ReadStream } from './contract.ts'
import { EXACT_NUMBERS } from './bind-condition.ts'
import { parseText, textAt } from './text/parse-text.ts'
import type { Field } from './schema.ts'
import type { Kind, LogicalType } from './types.ts'
import { utf8 } from './types.ts'
import { valueAt } from './value.ts'

/** Types whose values have one order, which is that of `where`. */
const ORDERED: ReadonlySet<Kind> = new Set<Kind>([...EXACT_NUMBERS, 'date', 'timestamp', 'utf8'])

/** The type in which rows can be found again by how high their value of a field is; undefined: they cannot. */
export function cursorType({ type, ordered }: Field): LogicalType | undefined {
  if (ordered) return utf8
  return ORDERED.has(type.kind) && type.kind !== 'numeric' ? type : undefined
}

/**
 * The rows that may have come since a value was the highest of a column: those that have it, too, because others with it
 * may have been written later; and those that have none, which nobody could find otherwise.
 */
export function rowsSince(column: string, type: LogicalType, text: string): Condition {
  const literal = { kind: EXACT_NUMBERS.has(type.kind) ? 'number' : 'text', text } as const
  return {
    kind: 'or',
    terms: [
      { kind: 'compare', column, operator: '>=', literal },
      { kind: 'null', column },
    ],
  }
}

const DAY_MS = 86_400_000
const FIRST_MICROS = BigInt(FIRST_DAY) * BigInt(DAY_MICROS)

/** The text of a finite date or timestamp so much earlier, in whole milliseconds; undefined for other types. */
export function earlier(type: LogicalType, text: string, ms: number): string | undefined {
  const column = parseText(text, type)
  if (column?.layout === 'fixed' && type.kind === 'date') {
    const days = (column.values[0] as number) - Math.ceil(ms / DAY_MS)
    column.values[0] = Math.max(days, FIRST_DAY)
    return textAt(column, 0)
  }
  if (column?.layout !== 'fixed64' || type.kind !== 'timestamp') return undefined
  const { words } = column
  const micros = (valueAt(column, 0) as bigint) - BigInt(ms) * 1000n
  new BigInt64Array(words.buffer, words.byteOffset, 1)[0] = micros < FIRST_MICROS ? FIRST_MICROS : micros
  return textAt(column, 0)
}

type Ordered = number | bigint | string

/** The highest value of a column over many batches; nulls, NaN and infinities, behind which nothing comes, do not count. */
export class HighestValue {
  readonly #type: LogicalType
  readonly #index: number
  #value: Ordered | undefined
  /** As canonical text; undefined when there was none. */
  text: string | undefined

  /** `index` is that of the column in batches. */
  constructor(type: LogicalType, index = 0) {
    this.#type = type
    this.#index = index
  }

  /** Of the cursor of a stream, where it has one. */
  static of({ request: { cursor }, schema: { fields } }: ReadStream): HighestValue | undefined {
    const index = fields.findIndex(({ name }) => name === cursor)
    const field = fields[index]
    return field && new HighestValue(field.type, index)
  }

  observeRows(batch: RecordBatch): void {
    this.observe(batch.column(this.#index))
  }

  observe(column: Column): void {
    const row = highestRow(column)
    if (row < 0) return
    const value = valueAt(column, row) as Ordered
    if (this.#value !== undefined && !isHigher(value, this.#value)) return
    this.#value = value
    this.text = textAt(column, row)
  }

  /** A value that was the highest of others. */
  observeText(text: string | undefined): void {
    const column = text === undefined ? undefined : parseText(text, this.#type)
    if (column) this.observe(column)
  }
}

/** -1 when no value counts. */
function highestRow(column: Column): number {
  if (column.layout === 'fixed') return highestFixed(column)
  if (column.layout === 'fixed64') return highestWords(column)
  const isDecimal = column.type.kind === 'decimal'
  let highest = -1
  let most: Ordered | undefined
  for (let row = 0; row < column.length; row++) {
    const value = valueAt(column, row) as Ordered | null
    if (value === null || (isDecimal && value === DECIMAL_NAN) || (most !== undefined && !isHigher(value, most)))
      continue
    most = value
    highest = row
  }
  return highest
}

/** See `DECIMAL_NAN_WORD`. */
const DECIMAL_NAN = -(1n << 127n)

function highestFixed(column: FixedColumn): number {
  const { values, type } = column
  const isDate = type.kind === 'date'
  let highest = -1
  for (let row = 0; row < column.length; row++) {
    const value = values[row] as number
    if (highest >= 0 && value <= (values[highest] as number)) continue
    if (isNull(column, row) || (isDate && (value === DATE_INFINITY || value === DATE_MINUS_INFINITY))) continue
    highest = row
  }
  return highest
}

function highestWords(column: Fixed64Column): number {
  const { words, type } = column
  const isUnsigned = type.kind === 'uint64'
  const isTime = type.kind === 'timestamp'
  let highest = -1
  let mostHigh = 0
  let mostLow = 0
  for (let row = 0; row < column.length; row++) {
    const low = (words[row * 2] as number) >>> 0
    const signed = words[row * 2 + 1] as number
    const high = isUnsigned ? signed >>> 0 : signed
    if (highest >= 0 && (high < mostHigh || (high === mostHigh && low <= mostLow))) continue
    if (isNull(column, row) || (isTime && isInfinite(high, low))) continue
    highest = row
    mostHigh = high
    mostLow = low
  }
  return highest
}

function isInfinite(high: number, low: number): boolean {
  return (high === HIGH_WORD_MAX && low === 0xffffffff) || (high === -HIGH_WORD_MAX - 1 && low === 0)
}

function isHigher(value: Ordered, other: Ordered): boolean {
  if (typeof value !== 'string' || typeof other !== 'string') return value > other
  const at = firstDifference(value, other)
  return at < value.length && (at === other.length || rank(value, at) > rank(other, at))
}

function firstDifference(some: string, others: string): number {
  const shared = Math.min(some.length, others.length)
  let at = 0
  while (at < shared && some.charCodeAt(at) === others.charCodeAt(at)) at++
  return at
}

/** Code units in the order of the code points that they belong to: surrogates lie above all others. */
function rank(text: string, at: number): number {
  const unit = text.charCodeAt(at)
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit
}
