import { digitsOf, POWERS_OF_TEN } from './digits.ts'

/**
 * Decimals of up to 15 digits before and 18 behind the point, rounded once, in pairs of doubles whose sum carries 106
 * bits (T. J. Dekker, "A floating-point technique for extending the available precision", 1971).
 */

const PLUS = 0x2b
const MINUS = 0x2d
const POINT = 0x2e
const POWERS = POWERS_OF_TEN

/** The result of `exactFloat`. */
export const exact: Float64Array = new Float64Array(1)

/** The parts of the decimal: digits before the point, and behind it two groups, of which the last has eight. */
const parts = { places: 0, whole: 0, upper: 0, lower: 0 }

/**
 * Into `exact` the double nearest to a plain decimal; false when the text is none, has more digits, or lies so near to
 * the middle of two doubles that the pair cannot tell.
 */
export function exactFloat(view: DataView, start: number, end: number): boolean {
  const sign = start < end ? view.getUint8(start) : 0
  const from = sign === MINUS || sign === PLUS ? start + 1 : start
  if (!scan(view, from, end)) return false
  const power = POWERS[parts.places] as number
  // whole * power + upper * 10^8 + lower, exactly but for the last bits of `rest`; upper * 10^8 is exact as
  // upper * 5^8 < 2^53.
  const product = parts.whole * power
  const high = parts.upper * 1e8
  const sum = product + high
  const total = sum + parts.lower
  const rest =
    productError(parts.whole, power, product) + sumError(product, high, sum) + sumError(sum, parts.lower, total)
  const quotient = total / power
  const back = quotient * power
  const correction = (total - back - productError(quotient, power, back) + rest) / power
  // The correction is off by less than a 2^-103rd of the quotient; with 2^-100 more or less the result is the same.
  const margin = quotient * 2 ** -100
  const value = quotient + (correction - margin)
  if (value !== quotient + (correction + margin)) return false
  exact[0] = sign === MINUS ? -value : value
  return true
}

/** What rounding took from `a * b = product`. */
function productError(a: number, b: number, product: number): number {
  const upperA = upperHalf(a)
  const upperB = upperHalf(b)
  const lowerA = a - upperA
  const lowerB = b - upperB
  return upperA * upperB - product + upperA * lowerB + lowerA * upperB + lowerA * lowerB
}

/** The upper 26 bits. */
function upperHalf(value: number): number {
  const scaled = value * 134_217_729
  return scaled - (scaled - value)
}

/** What rounding took from `a + b = sum`. */
function sumError(a: number, b: number, sum: number): number {
  const second = sum - a
  return a - (sum - second) + (b - second)
}

/** Reads `parts`; false when the text has another form. */
function scan(view: DataView, from: number, end: number): boolean {
  let point = from
  while (point < end && view.getUint8(point) !== POINT) point++
  const fraction = Math.min(point + 1, end)
  const places = end - fraction
  if (point - from > 15 || places > 18 || point - from + places < 1) return false
  const split = Math.max(from, point - 8)
  const last = Math.max(fraction, end - 8)
  const middle = Math.max(fraction, end - 16)
  const top = digitsOf(view, from, split)
  const bottom = digitsOf(view, split, point)
  const first = digitsOf(view, fraction, middle)
  const second = digitsOf(view, middle, last)
  parts.lower = digitsOf(view, last, end)
  parts.whole = top * 1e8 + bottom
  parts.upper = first * 1e8 + second
  parts.places = places
  return (top | bottom | first | second | parts.lower) >= 0
}
