import type { FixedBuilder } from '../builder.ts'
import { asciiText, isWord, longDigitsOf, POWERS_OF_TEN } from './digits.ts'
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
  const { values } = builder
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const value = shortFloat(data, start, end)
    if (value === value) values[row] = value
    else if (!longFloat(data.subarray(start, end), values as Float64Array, row)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

export function parseFloat32(slices: Slices, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { values } = builder
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const value = shortFloat(data, start, end)
    if (value === value) values[row] = value
    else if (!longFloat(data.subarray(start, end), values as Float32Array, row)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/**
 * Plain decimals of at most 15 digits; NaN when the text is anything else. The digits are an integer below 2^53 and the
 * power of ten is exact, so their quotient is rounded once and is the nearest double.
 */
function shortFloat(data: Uint8Array, start: number, end: number): number {
  const sign = data[start] as number
  const from = sign === MINUS || sign === PLUS ? start + 1 : start
  if (end - from > 16 || end <= from) return NaN
  let point = from
  while (point < end && data[point] !== POINT) point++
  if (point === end) {
    const value = end - from > 15 ? -1 : longDigitsOf(data, from, end)
    return value < 0 ? NaN : sign === MINUS ? -value : value
  }
  const places = end - point - 1
  const whole = longDigitsOf(data, from, point)
  const fraction = longDigitsOf(data, point + 1, end)
  if (whole < 0 || fraction < 0 || end - from === 1) return NaN
  const power = POWERS[places] as number
  const value = (whole * power + fraction) / power
  return sign === MINUS ? -value : value
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
