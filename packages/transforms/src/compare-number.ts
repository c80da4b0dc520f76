/** An exact number of a condition, brought to the scale of a column: the integer below or at it, and whether it is at it. */
export interface Threshold {
  readonly floor: bigint
  readonly exact: boolean
}

/** `text` is canonical: digits, a point, a minus. `scale` is that of the column. */
export function thresholdOf(text: string, scale: number): Threshold {
  const minus = text.startsWith('-')
  const [whole = '', fraction = ''] = (minus ? text.slice(1) : text).split('.')
  const kept = fraction.slice(0, scale).padEnd(scale, '0')
  const exact = fraction.length <= scale
  const size = BigInt(whole + kept)
  return { floor: minus ? (exact ? -size : -size - 1n) : size, exact }
}

/** A number in the text of a numeric: `[+-]digits[.digits][e[+-]digits]`, as it lies in a column. */
interface Parts {
  /** -1, 0 or 1. */
  sign: number
  /** Of digits that count, the first and the end of the last; a point may lie between. */
  from: number
  to: number
  /** The number is 0.DIGITS times ten to this. */
  exponent: number
}

const ZERO = 0x30
const POINT = 0x2e
const MINUS = 0x2d
const PLUS = 0x2b

/**
 * Compares the numeric texts of a column with one number, exactly: -1, 0 or 1. As PostgreSQL has it, NaN equals itself
 * and is greater than everything, infinities included.
 */
export class NumericComparer {
  readonly #data: Uint8Array
  readonly #parts: Parts = { sign: 0, from: 0, to: 0, exponent: 0 }
  /** Of the row that is compared. */
  readonly #row: Parts = { sign: 0, from: 0, to: 0, exponent: 0 }

  /** `text` is canonical, or NaN or an infinity. */
  constructor(text: string) {
    this.#data = new TextEncoder().encode(text)
    takeApart(this.#data, 0, this.#data.length, this.#parts)
  }

  compare(data: Uint8Array, start: number, end: number): number {
    const row = this.#row
    const other = this.#parts
    takeApart(data, start, end, row)
    if (row.sign !== other.sign) return row.sign < other.sign ? -1 : 1
    if (row.exponent !== other.exponent) return row.exponent < other.exponent === row.sign > 0 ? -1 : 1
    const order = compareDigits(data, row, this.#data, other)
    return row.sign < 0 ? -order : order
  }
}

/** NaN lies above infinity, and both above every exponent; zero has no digits. */
function takeApart(data: Uint8Array, start: number, end: number, parts: Parts): void {
  const first = data[start] as number
  const at = first === MINUS || first === PLUS ? start + 1 : start
  parts.sign = first === MINUS ? -1 : 1
  parts.from = parts.to = end
  const letter = data[at] as number
  if (letter > 0x39) parts.exponent = letter === 0x4e ? Infinity : Number.MAX_VALUE
  else takeDigits(data, at, end, parts)
}

function takeDigits(data: Uint8Array, start: number, end: number, parts: Parts): void {
  /** Digits before the point from the first that counts, less the zeros behind the point before it. */
  let exponent = 0
  let counted = false
  let pointed = false
  let at = start
  for (; at < end; at++) {
    const byte = data[at] as number
    if (byte === POINT) pointed = true
    else if (byte < ZERO || byte > 0x39) break
    else {
      if (byte !== ZERO) {
        if (!counted) parts.from = at
        counted = true
        parts.to = at + 1
      }
      if (counted !== pointed) exponent += counted ? 1 : -1
    }
  }
  if (!counted) parts.sign = 0
  parts.exponent = counted ? exponent + (at < end ? exponentAt(data, at + 1, end) : 0) : 0
}

function exponentAt(data: Uint8Array, from: number, end: number): number {
  const sign = data[from]
  let value = 0
  for (let at = sign === MINUS || sign === PLUS ? from + 1 : from; at < end; at++)
    value = value * 10 + (data[at] as number) - ZERO
  return sign === MINUS ? -value : value
}

/** Digits of one sign and exponent, which end with one that is not zero. */
function compareDigits(a: Uint8Array, left: Parts, b: Uint8Array, right: Parts): number {
  let i = left.from
  let j = right.from
  for (;;) {
    if (i < left.to && a[i] === POINT) i++
    if (j < right.to && b[j] === POINT) j++
    if (i >= left.to || j >= right.to) return i < left.to ? 1 : j < right.to ? -1 : 0
    const difference = (a[i++] as number) - (b[j++] as number)
    if (difference !== 0) return difference < 0 ? -1 : 1
  }
}
