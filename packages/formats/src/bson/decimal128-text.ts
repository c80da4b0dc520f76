import type { BytesBuilder } from '@nebula/core'
import { putAscii } from './text-output.ts'

/**
 * Decimal128 in its binary encoding (IEEE 754-2008, 3.5.2): sign, exponent and a coefficient of at most 34 digits, as
 * four little-endian words.
 */

const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const BIAS = 6176
const SIGN = 0x80000000
const NAN = 0x7c000000
const INFINITY = 0x78000000
const MAX_DIGITS = 34
/** The largest coefficient, 10^34 - 1, highest word first. What is above stands for zero, and loses its bits as text. */
const MAX_TOP = 0x1ed09
const MAX_REST = 0xbead87c0378d8e63ffffffffn
const WORD = 4_294_967_296

interface Decimal {
  readonly negative: boolean
  readonly digits: string
  readonly exponent: number
}

/** Appends it without an exponent; false, and nothing is written, when the text would not give back the same bits. */
export function putDecimal(out: BytesBuilder, view: DataView, at: number): boolean {
  const top = view.getUint32(at + 12, true)
  const scale = BIAS - ((top >>> 17) & 0x3fff)
  const middle = view.getUint32(at + 4, true)
  const isShort = (top & 0x6001ffff) < 0x60000000 && (top & 0x1ffff) === 0 && view.getInt32(at + 8, true) === 0
  const coefficient = middle * WORD + view.getUint32(at, true)
  if (isShort && middle < 0x200000 && coefficient > 0 && scale >= 0 && scale < MAX_DIGITS) {
    putScaled(out, coefficient, scale, (top & SIGN) !== 0)
    return true
  }
  const text = plainDecimal(view, at)
  if (text === undefined) return false
  putAscii(out, text)
  return true
}

/** Appends an exact integer with a point before its last `scale` digits. */
function putScaled(out: BytesBuilder, coefficient: number, scale: number, negative: boolean): void {
  let digits = 1
  for (let bound = 10; bound <= coefficient; bound *= 10) digits++
  const length = Math.max(digits, scale + 1)
  const size = length + (negative ? 1 : 0) + (scale > 0 ? 1 : 0)
  out.ensure(size)
  const { data } = out
  let to = (out.size += size)
  let rest = coefficient
  for (let i = 0; i < length; i++) {
    if (i === scale && i > 0) data[--to] = POINT
    const quotient = Math.floor(rest / 10)
    data[--to] = ZERO + rest - quotient * 10
    rest = quotient
  }
  if (negative) data[--to] = MINUS
}

/** Undefined when the text would not give back the same bits. */
function plainDecimal(view: DataView, at: number): string | undefined {
  const decimal = readDecimal(view, at)
  if (typeof decimal !== 'object') return decimal
  const { negative, digits, exponent } = decimal
  // Behind all the digits there are, zeros can be nothing but the exponent.
  if ((exponent > 0 && digits.length < MAX_DIGITS) || (negative && digits === '0')) return undefined
  return (negative ? '-' : '') + (exponent > 0 ? digits + '0'.repeat(exponent) : pointed(digits, exponent))
}

/** As text in the scientific notation of the standard; undefined when the text would not give back the same bits. */
export function decimalText(view: DataView, at: number): string | undefined {
  const decimal = readDecimal(view, at)
  if (typeof decimal !== 'object') return decimal
  const { negative, digits, exponent } = decimal
  const sign = negative ? '-' : ''
  const power = exponent + digits.length - 1
  if (exponent <= 0 && power >= -6) return sign + pointed(digits, exponent)
  const mantissa = digits.length > 1 ? `${digits.slice(0, 1)}.${digits.slice(1)}` : digits
  return `${sign}${mantissa}E${power < 0 ? '' : '+'}${power}`
}

/** Digits times a power of ten that is not positive. */
function pointed(digits: string, exponent: number): string {
  if (exponent === 0) return digits
  const padded = digits.padStart(1 - exponent, '0')
  return `${padded.slice(0, exponent)}.${padded.slice(exponent)}`
}

function readDecimal(view: DataView, at: number): Decimal | string | undefined {
  const top = view.getUint32(at + 12, true)
  const upper = view.getUint32(at + 8, true)
  const middle = view.getUint32(at + 4, true)
  const lower = view.getUint32(at, true)
  if ((top & INFINITY) === INFINITY) {
    if (upper !== 0 || middle !== 0 || lower !== 0) return undefined
    if (top === NAN) return 'NaN'
    if ((top & ~SIGN) !== INFINITY) return undefined
    return top === INFINITY ? 'Infinity' : '-Infinity'
  }
  // With these bits the coefficient would begin with binary 100, and be too large.
  if ((top & 0x60000000) === 0x60000000) return undefined
  const negative = (top & SIGN) !== 0
  const exponent = ((top >>> 17) & 0x3fff) - BIAS
  const first = top & 0x1ffff
  if (first === 0 && upper === 0 && middle < 0x200000)
    return { negative, digits: String(middle * WORD + lower), exponent }
  const rest = (BigInt(upper) << 64n) | (BigInt(middle) << 32n) | BigInt(lower)
  if (first > MAX_TOP || (first === MAX_TOP && rest > MAX_REST)) return undefined
  return { negative, digits: String((BigInt(first) << 96n) | rest), exponent }
}
