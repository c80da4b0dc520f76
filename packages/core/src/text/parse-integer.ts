import type { FixedBuilder, WordsBuilder } from '../builder.ts'
import { digitsOf, eightDigits, viewOf } from './digits.ts'
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
  const view = viewOf(data)
  const least = -(2 ** (values.BYTES_PER_ELEMENT * 8 - 1))
  const most = -least - 1
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const from = digitsStart(view, start, end)
    const lower = lowerDigits(view, from, end)
    const upper = end - from > 8 ? digitsOf(view, from, end - 8) : 0
    const size = upper * 1e8 + lower
    const value = from > start && view.getUint8(start) === MINUS ? -size : size
    if ((upper | lower) >= 0 && value >= least && value <= most) values[row] = value
    else rareInteger(slices, builder, row, onFault)
  }
}

/** uint8, uint16, uint32. The twin of `parseSigned`, so that each loop sees few kinds of arrays. */
export function parseUnsigned(slices: Slices, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { values } = builder
  const view = viewOf(data)
  const most = 2 ** (values.BYTES_PER_ELEMENT * 8) - 1
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const lower = lowerDigits(view, start, end)
    const upper = end - start > 8 ? digitsOf(view, start, end - 8) : 0
    const size = upper * 1e8 + lower
    if ((upper | lower) >= 0 && size <= most) values[row] = size
    else rareInteger(slices, builder, row, onFault)
  }
}

/** int64, uint64. */
export function parseInt64(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { words, type } = builder
  const signed = type.kind === 'int64'
  const view = viewOf(data)
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const from = signed ? digitsStart(view, start, end) : start
    const lower = lowerDigits(view, from, end)
    const upper = end - from > 8 ? digitsOf(view, from, end - 8) : 0
    if ((upper | lower) >= 0) {
      const low = (Math.imul(upper, 100_000_000) + lower) | 0
      const high = highWord(upper * 1e8 + lower, low)
      const minus = from > start && view.getUint8(start) === MINUS
      words[row * 2] = minus ? -low : low
      words[row * 2 + 1] = minus ? (low === 0 ? -high : ~high) : high
    } else if (!integerOf(view, start, end) || !putInt64(words, row, signed)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** Behind the sign, if there is one. */
function digitsStart(view: DataView, start: number, end: number): number {
  if (start >= end) return end
  const sign = view.getUint8(start)
  return sign === MINUS || sign === PLUS ? start + 1 : start
}

/** The last eight of 1 to 16 digits; -1 when they are not digits. */
function lowerDigits(view: DataView, from: number, end: number): number {
  const length = end - from
  if (length > 8) return length > 16 ? -1 : eightDigits(view, end - 8)
  return length < 1 ? -1 : digitsOf(view, from, end)
}

/**
 * The high word of an unsigned 64-bit integer from its low word, which is exact by wrapping arithmetic, and from its
 * nearest double: the error of that, at most 2^11, vanishes in the division by 2^32.
 */
function highWord(value: number, low: number): number {
  return Math.floor((value - (low >>> 0)) / WORD + 0.5)
}

/** A number with leading zeros that made it long, a sign on an unsigned zero, or a fault. */
function rareInteger(slices: Slices, builder: FixedBuilder, row: number, onFault: (row: number) => void): void {
  const { values } = builder
  const at = slices.base + row * slices.stride
  if (integerOf(viewOf(slices.data), slices.starts[at] as number, slices.ends[at] as number)) {
    const size = (integer.high >>> 0) * WORD + (integer.low >>> 0)
    values[row] = integer.minus ? -size : size
    if (values[row] === (integer.minus ? -size : size)) return
  }
  builder.setNull(row)
  onFault(row)
}

/** Stores `integer`, of more than 16 digits; false when the type does not hold it. */
function putInt64(words: Int32Array, row: number, signed: boolean): boolean {
  const { minus, low, high } = integer
  const least = minus && low === 0 && (high === 0 || (signed && high === -0x80000000))
  words[row * 2] = minus ? -low : low
  words[row * 2 + 1] = minus ? (low === 0 ? -high : ~high) : high
  return least || (signed ? high >= 0 : !minus)
}

/** The result of `integerOf`: two words of the size. */
const integer = { minus: false, low: 0, high: 0 }

/** Any integer below 2^64 in size, into `integer`; false when the text is none. */
function integerOf(view: DataView, start: number, end: number): boolean {
  let from = digitsStart(view, start, end)
  if (from >= end) return false
  integer.minus = view.getUint8(start) === MINUS
  while (from < end - 16 && view.getUint8(from) === ZERO) from++
  if (end - from > 20) return false
  const split = Math.max(from, end - 16)
  const top = digitsOf(view, from, split)
  const upper = end - from > 8 ? digitsOf(view, split, end - 8) : 0
  const lower = digitsOf(view, Math.max(from, end - 8), end)
  if ((top | upper | lower) < 0) return false
  // 2^64 is 1844, 67440737 and 9551616.
  const rest = upper * 1e8 + lower
  if (top > 1844 || (top === 1844 && rest >= 6_744_073_709_551_616)) return false
  integer.low = (Math.imul(Math.imul(top, 100_000_000) + upper, 100_000_000) + lower) | 0
  integer.high = highWord(top * 1e16 + rest, integer.low) | 0
  return true
}
