import type { FixedBuilder } from '../builder.ts'
import { asciiText, digitsOf, isWord, POWERS_OF_TEN, viewOf } from './digits.ts'
import { exact, exactFloat } from './exact-float.ts'
import type { Slices } from './slices.ts'

/**
 * float32, float64: decimal numbers as JavaScript reads them, rounded to the nearest; NaN, Infinity, inf, in any case
 * and with a sign. A finite number beyond the largest float is a fault.
 */

const PLUS = 0x2b
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const POWERS = POWERS_OF_TEN

export function parseFloat64(slices: Slices, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const values = builder.values as Float64Array
  const view = viewOf(data)
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    if (shortFloat(data, start, end)) values[row] = short[0] as number
    else if (plainFloat(view, start, end)) values[row] = short[0] as number
    else if (exactFloat(view, start, end)) values[row] = exact[0] as number
    else if (!longFloat(data.subarray(start, end), values, row)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

export function parseFloat32(slices: Slices, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const values = builder.values as Float32Array
  const view = viewOf(data)
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    if (shortFloat(data, start, end)) values[row] = short[0] as number
    else if (plainFloat(view, start, end)) values[row] = short[0] as number
    else if (exactFloat(view, start, end)) values[row] = exact[0] as number
    else if (!longFloat(data.subarray(start, end), values, row)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** The result of `shortFloat` and `plainFloat`. */
const short = new Float64Array(1)

/**
 * Decimals of at most nine digits into `short`; false when the text is anything else. The digits are an integer below
 * 2^53 and the power of ten is exact, so their quotient is rounded once and is the nearest double.
 */
function shortFloat(data: Uint8Array, start: number, end: number): boolean {
  const minus = start < end && data[start] === MINUS
  const from = minus ? start + 1 : start
  if (end - from > 10) return false
  let value = 0
  let point = end
  for (let i = from; i < end; i++) {
    const digit = (data[i] as number) - ZERO
    if (digit >>> 0 <= 9) value = (value * 10 + digit) | 0
    else if (digit === POINT - ZERO && point === end) point = i
    else return false
  }
  const places = point < end ? end - point - 1 : 0
  const digits = point - from + places
  if (digits < 1 || digits > 9) return false
  const size = value / (POWERS[places] as number)
  short[0] = minus ? -size : size
  return true
}

/** `shortFloat` for at most eight digits on each side of the point, 15 together. */
function plainFloat(view: DataView, start: number, end: number): boolean {
  const from = digitsStart(view, start, end)
  const point = pointOf(view, from, Math.min(end, from + 9))
  const places = point < end ? end - point - 1 : 0
  const length = point - from + places
  if (point - from > 8 || places > 8 || length > 15 || length < 1) return false
  const whole = digitsOf(view, from, point)
  const fraction = digitsOf(view, end - places, end)
  if ((whole | fraction) < 0) return false
  const power = POWERS[places] as number
  const size = (whole * power + fraction) / power
  short[0] = from > start && view.getUint8(start) === MINUS ? -size : size
  return true
}

/** Behind the sign, if there is one. */
function digitsStart(view: DataView, start: number, end: number): number {
  if (start >= end) return end
  const sign = view.getUint8(start)
  return sign === MINUS || sign === PLUS ? start + 1 : start
}

/** Where the point is, or `end`. */
function pointOf(view: DataView, from: number, end: number): number {
  let at = from
  while (at < end && view.getUint8(at) !== POINT) at++
  return at
}

/** Every other form into `values[row]`; false when the text is no number, or too large. */
function longFloat(text: Uint8Array, values: Float64Array | Float32Array, row: number): boolean {
  const special = specialFloat(text)
  if (special !== undefined) {
    values[row] = special
    return true
  }
  let digits = 0
  for (let i = 0; i < text.length; i++) {
    const byte = text[i] as number
    if ((byte - ZERO) >>> 0 <= 9) digits++
    else if (byte !== POINT && byte !== MINUS && byte !== PLUS && (byte | 32) !== 0x65) return false
  }
  if (digits === 0) return false
  const value = Number(asciiText(text, 0, text.length))
  values[row] = value
  return Number.isFinite(values[row])
}

function specialFloat(text: Uint8Array): number | undefined {
  const signed = text[0] === MINUS || text[0] === PLUS
  const from = signed ? 1 : 0
  if (isWord(text, 0, text.length, 'nan')) return NaN
  if (!isWord(text, from, text.length, 'infinity') && !isWord(text, from, text.length, 'inf')) return undefined
  return text[0] === MINUS ? -Infinity : Infinity
}
