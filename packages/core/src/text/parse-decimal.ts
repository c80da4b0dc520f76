import type { WordsBuilder } from '../builder.ts'
import { DECIMAL_NAN_WORD } from '../column.ts'
import { addScaled, magnitude, negate } from '../words.ts'
import { digitsOf, isWord } from './digits.ts'
import type { Slices } from './slices.ts'

/**
 * decimal(p,s): an optional sign, digits, a point, digits, an exponent; or NaN. More digits behind the point than the
 * scale has are a fault unless they are zeros; so is a number that needs more than p digits.
 */

const PLUS = 0x2b
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const WORD = 4_294_967_296
const POWERS = Int32Array.of(1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)

export function parseDecimal(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { words } = builder
  const { precision, scale } = decimalOf(builder)
  const factor = scale <= 9 ? (POWERS[scale] as number) : 0
  const limit = precision - scale < 9 ? (POWERS[precision - scale] as number) : 1e9
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const sign = data[start] as number
    const from = sign === MINUS || sign === PLUS ? start + 1 : start
    const point = pointOf(data, from, end, end - scale - 1)
    const whole = point - from > 9 || from >= end ? -1 : digitsOf(data, from, point)
    const fraction = fractionOf(data, point, end, scale)
    if ((whole | fraction) < 0 || factor === 0 || whole >= limit) {
      if (!wideDecimal(slices, builder, row)) onFault(row)
      continue
    }
    // Exact as in wideMagnitude of parse-integer.ts: whole and factor are at most 2^30.
    const low = (Math.imul(whole, factor) + fraction) | 0
    words[row * 4] = low
    words[row * 4 + 1] = Math.floor((whole * factor + fraction - (low >>> 0)) / WORD + 0.5)
    words[row * 4 + 2] = words[row * 4 + 3] = 0
    if (sign === MINUS) negate(words, row * 4)
  }
}

/** Where the point is, or the end: first looked for at `expected`, where it stands when all digits are written. */
function pointOf(data: Uint8Array, from: number, end: number, expected: number): number {
  if (expected >= from && data[expected] === POINT) return expected
  for (let i = from; i < end; i++) if (data[i] === POINT) return i
  return end
}

/** The digits behind the point, scaled; -1 when they are not at most `scale` digits. */
function fractionOf(data: Uint8Array, point: number, end: number, scale: number): number {
  const length = end - point - 1
  if (length < 0) return 0
  if (length === 0 || length > scale || scale > 9) return -1
  const digits = digitsOf(data, point + 1, end)
  return length === scale ? digits : (digits * (POWERS[scale - length] as number)) | 0
}

/** The digits of a number that count: without zeros in front, and without zeros at the end. */
interface DecimalText {
  /** The first of them, and behind the last; a point may lie between. */
  readonly from: number
  readonly to: number
  readonly digits: number
  /** The value is the digits times ten to this power. */
  readonly power: number
}

/** Any form, exactly, up to 38 digits. False when the row became null. */
function wideDecimal(slices: Slices, builder: WordsBuilder, row: number): boolean {
  const { data } = slices
  const start = slices.starts[slices.base + row * slices.stride] as number
  const end = slices.ends[slices.base + row * slices.stride] as number
  const { precision, scale } = decimalOf(builder)
  const out = builder.words.subarray(row * 4, row * 4 + 4)
  if (isWord(data, start, end, 'nan')) {
    out.fill(0)
    out[3] = DECIMAL_NAN_WORD
    return true
  }
  const text = scanDecimal(data, start, end)
  if (!text || (text.digits > 0 && (text.power + scale < 0 || text.digits + text.power + scale > precision))) {
    builder.setNull(row)
    return false
  }
  magnitude.fill(0)
  if (text.digits > 0) accumulate(data, text, text.power + scale)
  out.set(magnitude)
  if (data[start] === MINUS) negate(out, 0)
  return true
}

/** Puts the digits, followed by `zeros`, into `magnitude`, nine at a time. */
function accumulate(data: Uint8Array, text: DecimalText, zeros: number): void {
  let chunk = 0
  let count = 0
  for (let i = text.from; i < text.to; i++) {
    const byte = data[i] as number
    if (byte === POINT) continue
    chunk = chunk * 10 + byte - ZERO
    if (++count === 9) {
      addScaled(1_000_000_000, chunk)
      chunk = count = 0
    }
  }
  addScaled(POWERS[count] as number, chunk)
  for (let left = zeros; left > 0; left -= 9) addScaled(POWERS[Math.min(left, 9)] as number, 0)
}

/** Undefined when the text is no number. */
function scanDecimal(data: Uint8Array, start: number, end: number): DecimalText | undefined {
  const sign = data[start]
  const first = sign === MINUS || sign === PLUS ? start + 1 : start
  const mark = exponentMark(data, first, end)
  const exponent = mark === end ? 0 : exponentOf(data, mark + 1, end)
  const point = pointOf(data, first, mark, mark)
  const wholeEnd = digitsEnd(data, first, point)
  const fractionEnd = point === mark ? mark : digitsEnd(data, point + 1, mark)
  const written = mark - first - (point === mark ? 0 : 1)
  if (exponent === undefined || wholeEnd !== point || fractionEnd !== mark || written < 1) return undefined
  const from = firstDigit(data, first, mark)
  if (from === mark) return { from, to: from, digits: 0, power: 0 }
  const to = lastDigit(data, from, mark)
  const digits = to - from - (point > from && point < to ? 1 : 0)
  return { from, to, digits, power: (to > point ? point + 1 - to : point - to) + exponent }
}

function digitsEnd(data: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && ((data[at] as number) - ZERO) >>> 0 <= 9) at++
  return at
}

/** The first digit that is not zero, or the end. */
function firstDigit(data: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && (data[at] === ZERO || data[at] === POINT)) at++
  return at
}

/** Behind the last digit that is not zero. */
function lastDigit(data: Uint8Array, from: number, end: number): number {
  let at = end
  while (at > from && (data[at - 1] === ZERO || data[at - 1] === POINT)) at--
  return at
}

function exponentMark(data: Uint8Array, from: number, end: number): number {
  for (let i = from; i < end; i++) if (((data[i] as number) | 32) === 0x65) return i
  return end
}

/** The number behind the `e`, at most 99999 so that sums of it stay exact; undefined when it is none. */
function exponentOf(data: Uint8Array, start: number, end: number): number | undefined {
  const sign = data[start]
  const from = sign === MINUS || sign === PLUS ? start + 1 : start
  if (from >= end) return undefined
  let value = 0
  for (let i = from; i < end; i++) {
    const digit = (data[i] as number) - ZERO
    if (digit >>> 0 > 9) return undefined
    value = Math.min(value * 10 + digit, 99_999)
  }
  return sign === MINUS ? -value : value
}

function decimalOf(builder: WordsBuilder): { readonly precision: number; readonly scale: number } {
  return builder.type.kind === 'decimal' ? builder.type : { precision: 38, scale: 0 }
}
