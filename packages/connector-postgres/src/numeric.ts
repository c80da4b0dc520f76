import { DECIMAL_NAN_WORD } from '@nebula/core'

/**
 * numeric on the wire (numeric_send in numeric.c): int16 digits, int16 weight of the first, uint16 sign, uint16 display
 * scale, then the digits, of base 10000. Value = sum of digit[i] * 10000 ** (weight - i).
 */
const NUMERIC_HEAD = 8
const NEGATIVE = 0x4000
const NAN = 0xc000
const INFINITY = 0xd000
const MINUS_INFINITY = 0xf000
/** Of no number: the server refuses the row and names it. */
const INVALID = 0xffff
const MAX_SCALE = 16_383
/** Of the first of 131072 digits before the point. */
const MAX_POWER = 131_071
/** Bytes that a decimal of 38 digits takes at most. */
export const MAX_DECIMAL_BYTES = NUMERIC_HEAD + 2 * 11

const POWERS = [1, 10, 100, 1000, 10_000] as const
const WORD = 4_294_967_296
/** Numbers below are exact after they were multiplied by up to 1000. */
const SHORT = 9_000_000_000_000

/** The magnitude under construction, four unsigned words, lowest first. */
const wide = new Float64Array(4)
/** Digits of base 10000 under construction, lowest first. */
const digits = new Int32Array(16)

function uint16(data: Uint8Array, at: number): number {
  return ((data[at] as number) << 8) | (data[at + 1] as number)
}

function int16(data: Uint8Array, at: number): number {
  return (uint16(data, at) << 16) >> 16
}

function put16(data: Uint8Array, at: number, value: number): void {
  data[at] = value >> 8
  data[at + 1] = value
}

/** `wide = wide * factor + addend`, factor at most 10000; true when 128 bits do not hold it. */
function addScaled(factor: number, addend: number): boolean {
  let carry = addend
  for (let i = 0; i < 4; i++) {
    const sum = (wide[i] as number) * factor + carry
    carry = Math.floor(sum / WORD)
    wide[i] = sum - carry * WORD
  }
  return carry > 0
}

/** Divides `wide` by at most 10000; returns the remainder. */
function divide(divisor: number): number {
  let rest = 0
  for (let i = 3; i >= 0; i--) {
    const value = rest * WORD + (wide[i] as number)
    const quotient = Math.floor(value / divisor)
    wide[i] = quotient
    rest = value - quotient * divisor
  }
  return rest
}

/**
 * Decodes the numeric at `data[at]` into the 128-bit integer at `words[to]`, scaled by `10 ** scale`. False when it is
 * infinite, does not fit, or has digits behind the scale.
 */
export function decodeDecimal(data: Uint8Array, at: number, words: Int32Array, to: number, scale: number): boolean {
  const groups = int16(data, at)
  const sign = uint16(data, at + 4)
  const shift = (int16(data, at + 2) - groups + 1) * 4 + scale
  if (groups > 3 || sign > NEGATIVE || shift < -4 || shift > 0) return decodeWide(data, at, words, to, shift)
  let value = 0
  for (let i = 0; i < groups; i++) value = value * 10_000 + uint16(data, at + NUMERIC_HEAD + i * 2)
  value /= POWERS[-shift as 0]
  const high = Math.floor(value / WORD)
  const low = value - high * WORD
  if (value !== Math.floor(value)) return false
  const negative = sign !== 0 && value !== 0
  words[to] = negative ? -low : low
  words[to + 1] = negative ? (low === 0 ? -high : ~high) : high
  words[to + 2] = negative ? -1 : 0
  words[to + 3] = negative ? -1 : 0
  return true
}

function decodeWide(data: Uint8Array, at: number, words: Int32Array, to: number, shift: number): boolean {
  const groups = int16(data, at)
  const sign = uint16(data, at + 4)
  words.fill(0, to, to + 4)
  if (sign === NAN) words[to + 3] = DECIMAL_NAN_WORD
  if (sign > NEGATIVE) return sign === NAN
  wide.fill(0)
  if (groups > 0 && shift <= -4) return false
  let lost = false
  for (let i = 0; i < groups && !lost; i++) {
    const digit = uint16(data, at + NUMERIC_HEAD + i * 2)
    const cut = POWERS[(i === groups - 1 && shift < 0 ? -shift : 0) as 0]
    lost = digit % cut > 0 || addScaled(10_000 / cut, digit / cut)
  }
  for (let left = groups === 0 ? 0 : shift; left > 0 && !lost; left -= 4)
    lost = addScaled(POWERS[Math.min(4, left) as 4], 0)
  if (lost || (wide[3] as number) >= WORD / 2) return false
  let carry = 1
  for (let i = 0; i < 4; i++) {
    const word = sign === 0 ? (wide[i] as number) : WORD - 1 - (wide[i] as number) + carry
    carry = word === WORD ? 1 : 0
    words[to + i] = word
  }
  return true
}

/** Encodes the decimal at `words[at]` as a numeric at `out[to]`; returns its end. */
export function encodeDecimal(words: Int32Array, at: number, scale: number, out: Uint8Array, to: number): number {
  const top = words[at + 3] as number
  if (top === DECIMAL_NAN_WORD) return putHead(out, to, 0, [0, NAN, 0])
  const negative = top < 0
  let carry = negative ? 1 : 0
  for (let i = 0; i < 4; i++) {
    const word = (words[at + i] as number) >>> 0
    const magnitude = negative ? WORD - 1 - word + carry : word
    carry = magnitude === WORD ? 1 : 0
    wide[i] = magnitude === WORD ? 0 : magnitude
  }
  const partial = scale & 3
  const short = (wide[1] as number) * WORD + (wide[0] as number)
  const count = wide[2] === 0 && wide[3] === 0 && short < SHORT ? splitShort(short, partial) : splitWide(partial)
  let first = 0
  while (first < count && digits[first] === 0) first++
  const end = putHead(out, to, count - first, [count - 1 - ((scale + 3) >> 2), negative ? NEGATIVE : 0, scale])
  for (let i = count - 1, place = to + NUMERIC_HEAD; i >= first; i--, place += 2) put16(out, place, digits[i] as number)
  return end
}

/** Cuts a magnitude into `digits`, so that the last `partial` decimal digits stand in a group of their own. */
function splitShort(magnitude: number, partial: number): number {
  let value = partial === 0 ? magnitude : magnitude * POWERS[(4 - partial) as 1]
  let count = 0
  while (value > 0) {
    const quotient = Math.floor(value / 10_000)
    digits[count++] = value - quotient * 10_000
    value = quotient
  }
  return count
}

function splitWide(partial: number): number {
  let count = 0
  if (partial > 0) digits[count++] = divide(POWERS[partial as 1]) * POWERS[(4 - partial) as 1]
  while (wide[0] !== 0 || wide[1] !== 0 || wide[2] !== 0 || wide[3] !== 0) digits[count++] = divide(10_000)
  return count
}

function putHead(
  out: Uint8Array,
  to: number,
  count: number,
  [weight, sign, scale]: readonly [number, number, number],
): number {
  put16(out, to, count)
  put16(out, to + 2, count === 0 ? 0 : weight)
  put16(out, to + 4, count === 0 && sign === NEGATIVE ? 0 : sign)
  put16(out, to + 6, scale)
  return to + NUMERIC_HEAD + count * 2
}

/** Bytes that the text of the numeric at `data[at]` takes at most. */
export function numericTextBytes(data: Uint8Array, at: number): number {
  return Math.max(0, int16(data, at + 2) + 1) * 4 + uint16(data, at + 6) + 12
}

/** Writes the exact text of the numeric at `data[at]`, trailing zeros included, to `out[to]`; returns its end. */
export function decodeNumericText(data: Uint8Array, at: number, out: Uint8Array, to: number): number {
  const groups = int16(data, at)
  const weight = int16(data, at + 2)
  const sign = uint16(data, at + 4)
  if (sign > NEGATIVE) return putAscii(out, to, sign === NAN ? 'NaN' : sign === INFINITY ? 'Infinity' : '-Infinity')
  let place = to
  if (sign === NEGATIVE) out[place++] = 0x2d
  const first = place
  for (let i = Math.min(0, weight); i <= weight || i === Math.min(0, weight); i++) {
    const group = i >= 0 && i < groups && weight >= 0 ? uint16(data, at + NUMERIC_HEAD + i * 2) : 0
    if (place === first) place = putAscii(out, place, String(group))
    else place = putGroup(out, place, group)
  }
  const scale = uint16(data, at + 6)
  if (scale === 0) return place
  out[place++] = 0x2e
  const end = place + scale
  for (let i = weight + 1; place < end; i++) {
    place = putGroup(out, place, i >= 0 && i < groups ? uint16(data, at + NUMERIC_HEAD + i * 2) : 0)
  }
  return end
}

function putGroup(out: Uint8Array, at: number, group: number): number {
  out[at] = 0x30 + Math.floor(group / 1000)
  out[at + 1] = 0x30 + (Math.floor(group / 100) % 10)
  out[at + 2] = 0x30 + (Math.floor(group / 10) % 10)
  out[at + 3] = 0x30 + (group % 10)
  return at + 4
}

function putAscii(out: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i)
  return at + text.length
}

/** Bytes that the numeric of a text takes at most. */
export function numericBytes(textBytes: number): number {
  return NUMERIC_HEAD + 2 * ((textBytes >> 2) + 2)
}

/**
 * Encodes the number written in `data[from] .. data[end]` (a decimal number with or without an exponent, `NaN`,
 * `Infinity`, `-Infinity`) as a numeric at `out[to]`; returns its end. What PostgreSQL cannot hold is encoded so that it
 * refuses the row.
 */
export function encodeNumericText(data: Uint8Array, from: number, end: number, out: Uint8Array, to: number): number {
  const negative = data[from] === 0x2d
  const start = negative || data[from] === 0x2b ? from + 1 : from
  if (data[start] === 0x4e) return putHead(out, to, 0, [0, NAN, 0])
  if (data[start] === 0x49) return putHead(out, to, 0, [0, negative ? MINUS_INFINITY : INFINITY, 0])
  let stop = start
  let point = -1
  for (; stop < end && ((data[stop] as number) | 0x20) !== 0x65; stop++) if (data[stop] === 0x2e) point = stop
  const exponent = Number(String.fromCharCode(...data.subarray(stop + 1, end)))
  /** Powers of ten of the first digit that is written, and of the last. */
  const high = (point < 0 ? stop : point) - start - 1 + exponent
  const low = high - (stop - start - (point < 0 ? 0 : 1) - 1)
  const scale = Math.max(0, -low)
  let first = start
  while (first < stop && (data[first] === 0x30 || first === point)) first++
  const power = high - (first - start) + (point >= 0 && first > point ? 1 : 0)
  const weight = power >> 2
  if (scale > MAX_SCALE || power > MAX_POWER) return putHead(out, to, 0, [0, INVALID, 0])
  let count = 0
  let place = first
  for (let group = weight; place < stop; group--) {
    let value = 0
    for (let p = group * 4 + 3; p >= group * 4; p--) {
      if (place === point) place++
      value = value * 10 + (p > power || place >= stop ? 0 : (data[place++] as number) - 0x30)
    }
    put16(out, to + NUMERIC_HEAD + (weight - group) * 2, value)
    if (value !== 0) count = weight - group + 1
  }
  return putHead(out, to, count, [weight, negative ? NEGATIVE : 0, scale])
}
