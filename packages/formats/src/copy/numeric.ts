import type { BytesBuilder } from '@nebula/core'
import { DECIMAL_NAN_WORD } from '@nebula/core'
import type { Output } from './frame.ts'

/**
 * numeric on the wire (numeric_send in numeric.c): int16 digits, int16 weight of the first, uint16 sign, uint16 display
 * scale, then the digits, of base 10000. Value = sum of digit[i] * 10000 ** (weight - i).
 */
const HEAD = 8
const NEGATIVE = 0x4000
const NAN = 0xc000
const INFINITY = 0xd000
const MINUS_INFINITY = 0xf000
const SPECIAL: Readonly<Record<string, number>> = { NaN: NAN, Infinity: INFINITY, '-Infinity': MINUS_INFINITY }
/** Of no number: the server refuses the row and names it. */
const INVALID = 0xffff
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const MAX_SCALE = 16_383
/** Of the first of 131072 digits before the point. */
const MAX_POWER = 131_071

/** A constant of this module, which loops read faster than one of another. */
const DECIMAL_NAN = DECIMAL_NAN_WORD | 0

const POWERS = [1, 10, 100, 1000, 10_000, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12]
/** What moves the last 0 to 3 decimal digits to the front of a group. */
const PADDING = [1, 1000, 100, 10]
const WORD = 4_294_967_296
/** Numbers below are exact after they were multiplied by up to 1000. */
const SHORT = 9_000_000_000_000

/** A magnitude under construction: four unsigned words, lowest first. */
const wide = new Float64Array(4)
/** Its digits of base 10000, lowest first. */
const digits = new Int32Array(16)

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

/** Two's complement of the four words at `at`, into `to`. */
function negate(words: ArrayLike<number>, at: number, to: Int32Array | Float64Array): void {
  let carry = 1
  for (let i = 0; i < 4; i++) {
    const word = (~(words[at + i] as number) >>> 0) + carry
    carry = word === WORD ? 1 : 0
    to[i] = word === WORD ? 0 : word
  }
}

/** The numeric at `at`, scaled by `10 ** scale`, when it is short enough for exact arithmetic in doubles; else NaN. */
export function shortDecimal(view: DataView, at: number, scale: number): number {
  const head = view.getInt32(at)
  const sign = view.getUint16(at + 4)
  const groups = head >> 16
  const shift = (((head << 16) >> 16) - groups + 1) * 4 + scale
  if (groups > 3 || sign > NEGATIVE || shift < -3 || shift > (3 - groups) * 4) return Number.NaN
  let value = 0
  for (let i = at + HEAD; i < at + HEAD + groups * 2; i += 2) value = value * 10_000 + view.getUint16(i)
  value = shift < 0 ? value / (POWERS[-shift] as number) : value * (POWERS[shift] as number)
  return sign === 0 ? value : 0 - value
}

/**
 * Decodes the numeric at `at` into four words, scaled by `10 ** scale`. False when it is infinite, does not fit, or has
 * digits behind the scale.
 */
export function decodeDecimal(view: DataView, at: number, scale: number, words: Int32Array): boolean {
  const groups = view.getInt16(at)
  const sign = view.getUint16(at + 4)
  const shift = (view.getInt16(at + 2) - groups + 1) * 4 + scale
  words.fill(0)
  if (sign === NAN) words[3] = DECIMAL_NAN
  if (sign > NEGATIVE || groups === 0) return sign <= NAN
  wide.fill(0)
  let lost = shift < -3
  for (let i = 0; i < groups && !lost; i++) {
    const digit = view.getUint16(at + HEAD + i * 2)
    const cut = POWERS[i === groups - 1 && shift < 0 ? -shift : 0] as number
    lost = digit % cut > 0 || addScaled(10_000 / cut, digit / cut)
  }
  for (let left = shift; left > 0 && !lost; left -= 4) lost = addScaled(POWERS[Math.min(4, left)] as number, 0)
  if (lost || (wide[3] as number) >= WORD / 2) return false
  if (sign === NEGATIVE) negate(wide, 0, words)
  else words.set(wide)
  return true
}

/** Bytes that a decimal takes at most, and a numeric of a text. */
export const MAX_DECIMAL_BYTES = HEAD + 2 * 11
export const maxNumericBytes = (textBytes: number): number => HEAD + (textBytes >> 1) + 8

interface Decimals {
  /** Four words a row. */
  readonly words: Int32Array
  readonly scale: number
}

/** Writes a decimal as a numeric to `to`; returns its end. */
export function encodeDecimal({ words, scale }: Decimals, row: number, { view }: Output, to: number): number {
  const at = row * 4
  const second = words[at + 1] as number
  const top = words[at + 3] as number
  if (top === DECIMAL_NAN) return putHead(view, to, 0, NAN)
  const value = second * WORD + ((words[at] as number) >>> 0)
  const short = top === second >> 31 && words[at + 2] === top && value > -SHORT && value < SHORT
  const count = short ? splitShort(Math.abs(value), scale & 3) : splitWide(words, at, scale & 3)
  let first = 0
  while (first < count && digits[first] === 0) first++
  let end = putHead(view, to, count - first, top < 0 ? NEGATIVE : 0)
  if (count > 0) view.setInt16(to + 2, count - 1 - ((scale + 3) >> 2))
  view.setInt16(to + 6, scale)
  for (let i = count - 1; i >= first; i--, end += 2) view.setInt16(end, digits[i] as number)
  return end
}

/** Cuts a magnitude into `digits`, so that the last `partial` decimal digits stand in a group of their own. */
function splitShort(magnitude: number, partial: number): number {
  let value = magnitude * (PADDING[partial] as number)
  let count = 0
  while (value > 0x7fffffff) {
    const quotient = Math.floor(value / 10_000)
    digits[count++] = value - quotient * 10_000
    value = quotient
  }
  for (let small = value | 0; small > 0;) {
    const quotient = (small / 10_000) | 0
    digits[count++] = small - quotient * 10_000
    small = quotient
  }
  return count
}

function splitWide(words: Int32Array, at: number, partial: number): number {
  if ((words[at + 3] as number) < 0) negate(words, at, wide)
  else for (let i = 0; i < 4; i++) wide[i] = (words[at + i] as number) >>> 0
  let count = 0
  if (partial > 0) digits[count++] = divide(POWERS[partial] as number) * (PADDING[partial] as number)
  while (wide[0] !== 0 || wide[1] !== 0 || wide[2] !== 0 || wide[3] !== 0) digits[count++] = divide(10_000)
  return count
}

/** Writes the head of a numeric, with a weight and scale of 0; returns where its digits begin. */
function putHead(view: DataView, at: number, groups: number, sign: number): number {
  view.setInt16(at, groups)
  view.setInt16(at + 2, 0)
  view.setInt16(at + 4, sign)
  view.setInt16(at + 6, 0)
  return at + HEAD
}

/** Appends the exact text of the numeric at `at`, trailing zeros included. */
export function decodeNumericText(view: DataView, at: number, out: BytesBuilder): void {
  const groups = view.getInt16(at)
  const weight = view.getInt16(at + 2)
  const sign = view.getUint16(at + 4)
  const scale = view.getUint16(at + 6)
  const digit = (i: number): number => (i >= 0 && i < groups ? view.getUint16(at + HEAD + i * 2) : 0)
  out.ensure(Math.max(1, weight + 1) * 4 + scale + 16)
  if (sign > NEGATIVE) return putAscii(out, sign === NAN ? 'NaN' : sign === INFINITY ? 'Infinity' : '-Infinity')
  putAscii(out, `${sign === 0 ? '' : '-'}${weight < 0 ? 0 : digit(0)}`)
  for (let i = 1; i <= weight; i++) putAscii(out, String(digit(i)).padStart(4, '0'))
  if (scale === 0) return
  putAscii(out, '.')
  const end = out.size + scale
  for (let i = weight + 1; out.size < end; i++) putAscii(out, String(digit(i)).padStart(4, '0'))
  out.size = end
}

function putAscii(out: BytesBuilder, text: string): void {
  for (let i = 0; i < text.length; i++) out.data[out.size++] = text.charCodeAt(i)
}

interface Texts {
  readonly bytes: Uint8Array
  /** Offsets. */
  readonly words: Int32Array
}

/**
 * Writes the number of a text (a decimal number with or without an exponent, `NaN`, `Infinity`, `-Infinity`) as a numeric
 * to `to`; returns its end. What PostgreSQL cannot hold is encoded so that it refuses the row.
 */
export function encodeNumericText({ bytes, words }: Texts, row: number, { view }: Output, to: number): number {
  const start = words[row] as number
  const end = words[row + 1] as number
  const from = bytes[start] === MINUS ? start + 1 : start
  const point = findPoint(bytes, from, end)
  if (point < 0) return encodeSpelled(bytes.subarray(start, end), view, to)
  const scale = Math.max(0, end - point - 1)
  let first = from
  while (first < end && (bytes[first] === ZERO || first === point)) first++
  const power = powerOf(first, point)
  if (scale > MAX_SCALE || power > MAX_POWER) return putHead(view, to, 0, INVALID)
  if (first === end) return putGroups(view, to, to + HEAD, { sign: 0, weight: 0, scale })
  let next = to + HEAD
  let group = 0
  for (let at = first, weight = power >> 2; at < end; at++) {
    if (at === point) continue
    for (; powerOf(at, point) >> 2 < weight; weight--, next += 2, group = 0) view.setInt16(next, group)
    group += ((bytes[at] as number) - ZERO) * (POWERS[powerOf(at, point) & 3] as number)
  }
  view.setInt16(next, group)
  while (view.getInt16(next) === 0) next -= 2
  return putGroups(view, to, next + 2, { sign: from > start ? NEGATIVE : 0, weight: power >> 2, scale })
}

/** Where the point of a number is that has digits and no more; its end where it has none; -1 for other texts. */
function findPoint(bytes: Uint8Array, from: number, end: number): number {
  let point = end
  for (let at = from; at < end; at++) {
    const byte = bytes[at] as number
    if (byte >= ZERO && byte <= NINE) continue
    if (byte !== POINT || point < end) return -1
    point = at
  }
  return point
}

/** The power of ten of a digit, which is that of its group of four times four, and what is left. */
function powerOf(at: number, point: number): number {
  return at < point ? point - 1 - at : point - at
}

/** Writes the head of a numeric whose digits end at `end`; returns that. */
function putGroups(
  view: DataView,
  at: number,
  end: number,
  { sign, weight, scale }: { readonly sign: number; readonly weight: number; readonly scale: number },
): number {
  putHead(view, at, (end - at - HEAD) >> 1, sign)
  view.setInt16(at + 2, weight)
  view.setInt16(at + 6, scale)
  return end
}

/** A number with an exponent or a plus, or none. */
function encodeSpelled(bytes: Uint8Array, view: DataView, to: number): number {
  const text = Buffer.from(bytes).toString('latin1')
  const parts = /^\+?(-?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text)
  if (!parts) return putHead(view, to, 0, SPECIAL[text] ?? INVALID)
  const [, minus, whole = '', fraction = '', exponent = '0'] = parts
  const scale = Math.max(0, fraction.length - Number(exponent))
  const significant = (whole + fraction).replace(/^0+/, '')
  /** The power of ten of the first significant digit. */
  const power = significant.length - 1 - fraction.length + Number(exponent)
  if (scale > MAX_SCALE || power > MAX_POWER) return putHead(view, to, 0, INVALID)
  const weight = power >> 2
  const aligned = significant === '' ? '' : '0'.repeat(weight * 4 + 3 - power) + significant.replace(/0+$/, '')
  const groups = aligned.match(/.{1,4}/g) ?? []
  let end = to + HEAD
  for (const group of groups) {
    view.setInt16(end, Number(group.padEnd(4, '0')))
    end += 2
  }
  const isZero = groups.length === 0
  return putGroups(view, to, end, { sign: minus === '' || isZero ? 0 : NEGATIVE, weight: isZero ? 0 : weight, scale })
}
