import type { FixedBuilder, WordsBuilder } from '../builder.ts'
import { digitsOf, longDigitsOf } from './digits.ts'
import type { Slices } from './slices.ts'

/** Integers: an optional sign and decimal digits, within the range of the type. */

const PLUS = 0x2b
const MINUS = 0x2d
const ZERO = 0x30
const WORD = 4_294_967_296

/** int8, int16, int32. */
export function parseSigned(slices: Slices, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { values } = builder
  const least = -(2 ** (values.BYTES_PER_ELEMENT * 8 - 1))
  const most = -least - 1
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const value = shortInteger(data, start, ends[at] as number)
    if (value >= least && value <= most) values[row] = value
    else rareInteger(slices, builder, row, onFault)
  }
}

/** uint8, uint16, uint32. The twin of `parseSigned`, so that each loop sees few kinds of arrays. */
export function parseUnsigned(slices: Slices, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { values } = builder
  const most = 2 ** (values.BYTES_PER_ELEMENT * 8) - 1
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const value = shortInteger(data, start, ends[at] as number)
    if (value >= 0 && value <= most) values[row] = value
    else rareInteger(slices, builder, row, onFault)
  }
}

/** A number with leading zeros that made it long, or a fault. */
function rareInteger(slices: Slices, builder: FixedBuilder, row: number, onFault: (row: number) => void): void {
  const at = slices.base + row * slices.stride
  const { values } = builder
  if (wideInteger(slices.data, slices.starts[at] as number, slices.ends[at] as number)) {
    const value = wide.high * WORD + (wide.low >>> 0)
    values[row] = value
    if (values[row] === value) return
  }
  builder.setNull(row)
  onFault(row)
}

/** int64. */
export function parseInt64(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { words } = builder
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const value = shortInteger(data, start, end)
    if (value === value) {
      words[row * 2] = value
      words[row * 2 + 1] = Math.floor(value / WORD)
    } else if (wideInteger(data, start, end)) {
      words[row * 2] = wide.low
      words[row * 2 + 1] = wide.high
    } else {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** uint64. */
export function parseUint64(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { words } = builder
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const value = shortInteger(data, start, end)
    if (value >= 0) {
      words[row * 2] = value
      words[row * 2 + 1] = Math.floor(value / WORD)
    } else if (wideMagnitude(data, start, end) && (data[start] !== MINUS || (wide.low | wide.high) === 0)) {
      words[row * 2] = wide.low
      words[row * 2 + 1] = wide.high
    } else {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** A signed integer of at most 15 digits; NaN when the text is anything else. */
export function shortInteger(data: Uint8Array, start: number, end: number): number {
  if (start >= end) return NaN
  const sign = data[start] as number
  const from = sign === MINUS || sign === PLUS ? start + 1 : start
  const value = from < end && end - from <= 15 ? longDigitsOf(data, from, end) : -1
  if (value < 0) return NaN
  return sign === MINUS ? -value : value
}

/** The result of `wideInteger` and `wideMagnitude`. */
const wide = { low: 0, high: 0 }

/** Any int64 into `wide`; false when the text is none. */
function wideInteger(data: Uint8Array, start: number, end: number): boolean {
  if (!wideMagnitude(data, start, end)) return false
  const { low, high } = wide
  if (data[start] !== MINUS) return high >= 0
  wide.low = -low | 0
  wide.high = low === 0 ? -high | 0 : ~high
  return high >= 0 || (high === -0x80000000 && low === 0)
}

/**
 * The digits behind an optional sign into `wide`, as an unsigned 64-bit integer; false when it is larger or none.
 * With `value = upper * 10^9 + lower` the low word is exact by wrapping multiplication, and the high word is exact
 * because the error of the double, below 2^12, vanishes in the division by 2^32.
 */
function wideMagnitude(data: Uint8Array, start: number, end: number): boolean {
  const sign = data[start]
  let from = sign === MINUS || sign === PLUS ? start + 1 : start
  if (from >= end) return false
  while (from < end - 9 && data[from] === ZERO) from++
  const length = end - from
  if (length > 20) return false
  const split = Math.max(from, end - 9)
  const middle = Math.max(from, end - 18)
  const top = digitsOf(data, from, middle)
  const next = digitsOf(data, middle, split)
  const lower = digitsOf(data, split, end)
  if ((top | next | lower) < 0) return false
  const upper = top * 1e9 + next
  if (upper > 18_446_744_073 || (upper === 18_446_744_073 && lower > 709_551_615)) return false
  wide.low = (Math.imul(upper, 1_000_000_000) + lower) | 0
  wide.high = Math.floor((upper * 1e9 + lower - (wide.low >>> 0)) / WORD + 0.5) | 0
  return true
}
