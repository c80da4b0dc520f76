import type { ColumnBuilder, Interval, Kind, LogicalType, Value } from '@nebula/core'
import { BufferPool, columnBuilder, parseColumn, valueAt } from '@nebula/core'
import type { OutputValue } from './define-transform.ts'

/** What `toValue` gives for a value that is none of the type. */
export const MISFIT: unique symbol = Symbol('misfit')

const encoder = new TextEncoder()
/** Types that no number or boolean is a value of. */
const TEXT_ONLY: ReadonlySet<Kind> = new Set<Kind>(['utf8', 'binary', 'uuid', 'interval'])

/** Brings what a function returned into the form in which `valueAt` gives values of a type. */
export class ValueReader {
  readonly #type: LogicalType
  readonly #scratch: ColumnBuilder

  constructor(type: LogicalType) {
    this.#type = type
    this.#scratch = columnBuilder(type, new BufferPool(0))
  }

  toValue(value: OutputValue): Value | typeof MISFIT {
    const { kind } = this.#type
    if (value === null) return null
    if (value === undefined) return MISFIT
    if (kind === 'json') return this.#parsed(typeof value === 'string' ? value : jsonText(value))
    if (typeof value === 'string') return kind === 'utf8' ? wellFormed(value) : this.#parsed(value)
    if (value instanceof Date) return this.#date(value)
    if (value instanceof Uint8Array) return kind === 'binary' ? value : MISFIT
    if (typeof value === 'object') return kind === 'interval' ? this.#interval(value) : MISFIT
    return this.#scalar(value)
  }

  #scalar(value: boolean | number | bigint): Value | typeof MISFIT {
    const { kind } = this.#type
    if (kind === 'bool' || typeof value === 'boolean') {
      return kind === 'bool' && typeof value === 'boolean' ? value : MISFIT
    }
    if (TEXT_ONLY.has(kind)) return MISFIT
    if (typeof value === 'bigint') return this.#integer(value)
    if (kind === 'date') return (value | 0) === value ? value : MISFIT
    if (kind === 'time' || kind === 'timestamp') return MISFIT
    const isFloat = kind === 'float64' || (kind === 'float32' && Object.is(Math.fround(value), value))
    return isFloat ? value : this.#parsed(String(value))
  }

  #integer(value: bigint): Value | typeof MISFIT {
    const { kind } = this.#type
    if (kind === 'decimal') return this.#scaled(value)
    if (kind === 'time' || kind === 'timestamp') return BigInt.asIntN(64, value) === value ? value : MISFIT
    return kind === 'date' || kind === 'float32' || kind === 'float64' ? MISFIT : this.#parsed(String(value))
  }

  /** A decimal as the integer that it is without its point. */
  #scaled(value: bigint): Value | typeof MISFIT {
    const { precision } = this.#type as Extract<LogicalType, { kind: 'decimal' }>
    return value > -(10n ** BigInt(precision)) && value < 10n ** BigInt(precision) ? value : MISFIT
  }

  #date(value: Date): Value | typeof MISFIT {
    const { kind } = this.#type
    const ms = value.getTime()
    if (Number.isNaN(ms)) return MISFIT
    if (kind === 'timestamp') return BigInt(ms) * 1000n
    return kind === 'date' ? Math.floor(ms / 86_400_000) : MISFIT
  }

  #interval(value: object): Value | typeof MISFIT {
    const { months, days, micros } = value as Partial<Interval>
    const fits = (months ?? 0.5) === ((months ?? 0) | 0) && (days ?? 0.5) === ((days ?? 0) | 0)
    return fits && typeof micros === 'bigint' && BigInt.asIntN(64, micros) === micros ? (value as Interval) : MISFIT
  }

  #parsed(text: string | undefined): Value | typeof MISFIT {
    if (text === undefined) return MISFIT
    const data = encoder.encode(text)
    let fits = true
    const slices = { data, starts: Int32Array.of(0), ends: Int32Array.of(data.length), base: 0, stride: 1, rows: 1 }
    parseColumn(slices, this.#scratch, () => (fits = false))
    return fits ? valueAt(this.#scratch.finish(), 0) : MISFIT
  }
}

function wellFormed(text: string): string | typeof MISFIT {
  return text.isWellFormed() ? text : MISFIT
}

function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/** Sets `row` to a value in the form of `valueAt`; rows of a bytes builder are set in order. */
export function writeValue(builder: ColumnBuilder, row: number, value: Value): void {
  if (builder.layout === 'bytes') {
    if (value === null) builder.appendNull(row)
    else {
      const bytes = value instanceof Uint8Array ? value : encoder.encode(value as string)
      builder.append(row, bytes, 0, bytes.length)
    }
  } else if (value === null) builder.setNull(row)
  else if (builder.layout === 'bool') {
    if (value === true) builder.setTrue(row)
  } else if (builder.layout === 'fixed') builder.values[row] = value as number
  else if (builder.layout === 'fixed64') writeLimbs(builder.words, row * 2, 2, value as bigint)
  else if (builder.type.kind === 'decimal') writeLimbs(builder.words, row * 4, 4, value as bigint)
  else if (builder.type.kind === 'uuid') writeUuid(builder.bytes, row * 16, value as string)
  else {
    const { months, days, micros } = value as Interval
    builder.words[row * 4] = months
    builder.words[row * 4 + 1] = days
    writeLimbs(builder.words, row * 4 + 2, 2, micros)
  }
}

function writeLimbs(words: Int32Array, at: number, count: number, value: bigint): void {
  for (let i = 0; i < count; i++) words[at + i] = Number(BigInt.asIntN(32, value >> BigInt(i * 32)))
}

function writeUuid(bytes: Uint8Array, at: number, text: string): void {
  const digits = text.replaceAll('-', '')
  for (let i = 0; i < 16; i++) bytes[at + i] = Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16)
}
