/** Decimal digits into bytes. Each function returns where the next byte goes. */

/** The two digits of 0 to 99. */
const TENS = Uint8Array.from({ length: 100 }, (_, i) => 48 + Math.floor(i / 10))
const ONES = Uint8Array.from({ length: 100 }, (_, i) => 48 + (i % 10))

/** `value` from 0 to 99 as two digits. */
export function writeTwo(data: Uint8Array, at: number, value: number): number {
  data[at] = TENS[value] as number
  data[at + 1] = ONES[value] as number
  return at + 2
}

/** The last `width` digits of an integer below 2^31, with leading zeros. */
export function writePadded(data: Uint8Array, at: number, value: number, width: number): number {
  let left = value
  let to = at + width
  while (to >= at + 2) {
    const rest = (left / 100) | 0
    const two = left - rest * 100
    data[--to] = ONES[two] as number
    data[--to] = TENS[two] as number
    left = rest
  }
  if (to > at) data[at] = ONES[left % 10] as number
  return at + width
}

/** An integer from 0 to 2^31 - 1. */
export function writeSmall(data: Uint8Array, at: number, value: number): number {
  return writePadded(data, at, value, value < 100_000 ? shortLength(value) : longLength(value))
}

function shortLength(value: number): number {
  if (value < 100) return value < 10 ? 1 : 2
  if (value < 10_000) return value < 1000 ? 3 : 4
  return 5
}

function longLength(value: number): number {
  if (value < 10_000_000) return value < 1_000_000 ? 6 : 7
  if (value < 1_000_000_000) return value < 100_000_000 ? 8 : 9
  return 10
}

/** An integer from 0 to 2^53 - 1. */
export function writeLarge(data: Uint8Array, at: number, value: number): number {
  if (value <= 0x7fffffff) return writeSmall(data, at, value)
  const upper = Math.floor(value / 1e9)
  return writePadded(data, writeSmall(data, at, upper), value - upper * 1e9, 9)
}

/** The unsigned 64-bit integer of two 32-bit words. */
export function writeWords(data: Uint8Array, at: number, low: number, high: number): number {
  const value = (high >>> 0) * 4_294_967_296 + (low >>> 0)
  if (value <= Number.MAX_SAFE_INTEGER) return writeLarge(data, at, value)
  // The quotient may be off by one, because `value` was rounded; the remainder is exact by wrapping, and tells.
  let upper = Math.floor(value / 1e9)
  let lower = (low - Math.imul(upper, 1_000_000_000)) | 0
  if (lower < 0) {
    lower += 1_000_000_000
    upper--
  } else if (lower >= 1_000_000_000) {
    lower -= 1_000_000_000
    upper++
  }
  return writePadded(data, writeLarge(data, at, upper), lower, 9)
}

/** ASCII text. */
export function writeText(data: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) data[at + i] = text.charCodeAt(i)
  return at + text.length
}

/** A fraction of `width` digits behind a point, without zeros at its end; nothing when it is zero. */
export function writeMicros(data: Uint8Array, at: number, micros: number): number {
  if (micros === 0) return at
  data[at] = 0x2e
  let to = writePadded(data, at + 1, micros, 6)
  while (data[to - 1] === 0x30) to--
  return to
}
