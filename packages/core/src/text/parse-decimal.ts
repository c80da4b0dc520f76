import type { WordsBuilder } from '../builder.ts'
import { DECIMAL_NAN_WORD } from '../column.ts'
import { addScaled, negate } from '../words.ts'
import { digitsOf, isWord, POWERS_OF_TEN, viewOf } from './digits.ts'
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

export function parseDecimal(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { words } = builder
  const { precision, scale } = builder.type.kind === 'decimal' ? builder.type : { precision: 38, scale: 0 }
  const parser = new DecimalParser(data, words, precision, scale)
  // An integer: compared with a double, sizes would become doubles, too.
  const most = precision > 9 ? 0x7fffffff : 10 ** precision - 1
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const minus = start < end && data[start] === MINUS
    const size = shortDecimal(data, minus ? start + 1 : start, end, scale)
    if (size >= 0 && size <= most) {
      words[row * 4] = minus ? -size : size
      words[row * 4 + 1] = words[row * 4 + 2] = words[row * 4 + 3] = minus && size > 0 ? -1 : 0
    } else if (parser.parse(start, end, row)) {
      if (minus) negate(words, row * 4)
    } else {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** Up to nine digits and a point, scaled, when that is below 2^31; else -1. */
function shortDecimal(data: Uint8Array, from: number, end: number, scale: number): number {
  if (end - from > 10) return -1
  let value = 0
  let point = end
  for (let i = from; i < end; i++) {
    const digit = (data[i] as number) - ZERO
    if (digit >>> 0 <= 9) value = (value * 10 + digit) | 0
    else if (digit === POINT - ZERO && point === end) point = i
    else return -1
  }
  const places = point < end ? end - point - 1 : 0
  const digits = point - from + places
  if (digits < 1 || digits > 9 || places > scale) return -1
  if (places === scale) return value
  const scaled = value * (POWERS_OF_TEN[scale - places] as number)
  return scaled <= 0x7fffffff ? scaled : -1
}

/** Behind the sign, if there is one. */
function digitsStart(view: DataView, start: number, end: number): number {
  if (start >= end) return end
  const sign = view.getUint8(start)
  return sign === MINUS || sign === PLUS ? start + 1 : start
}

/** Where the point is, or the end: first looked for where it stands when all digits are written. */
function pointOf(view: DataView, from: number, end: number, scale: number): number {
  const expected = end - scale - 1
  if (expected >= from && view.getUint8(expected) === POINT) return expected
  for (let i = from; i < end; i++) if (view.getUint8(i) === POINT) return i
  return end
}

/** Decimals of any form, exactly, up to 38 digits. */
class DecimalParser {
  readonly #data: Uint8Array
  readonly #view: DataView
  readonly #words: Int32Array
  readonly #precision: number
  readonly #scale: number

  constructor(data: Uint8Array, words: Int32Array, precision: number, scale: number) {
    this.#data = data
    this.#view = viewOf(data)
    this.#words = words
    this.#precision = precision
    this.#scale = scale
  }

  /** Sets the size of a row, without its sign; false when the text is no such decimal. */
  parse(start: number, end: number, row: number): boolean {
    const at = row * 4
    const words = this.#words
    words[at] = words[at + 1] = words[at + 2] = words[at + 3] = 0
    const from = digitsStart(this.#view, start, end)
    if (this.#plain(from, end, at)) return true
    if (isWord(this.#data, start, end, 'nan')) {
      words[at] = words[at + 1] = words[at + 2] = 0
      words[at + 3] = DECIMAL_NAN_WORD
      return true
    }
    return this.#rare(this.#data.subarray(from, end), at)
  }

  /** Digits and a point. False when one is too many, or no digit. */
  #plain(from: number, end: number, at: number): boolean {
    const point = pointOf(this.#view, from, end, this.#scale)
    const places = Math.max(0, end - point - 1)
    const whole = point - from
    if (whole > this.#precision - this.#scale || places > this.#scale || whole + places === 0) return false
    if (whole + this.#scale <= 18) return this.#short(from, point, end, at)
    return (
      this.#addDigits(from, point, at) &&
      this.#addDigits(point + 1, end, at) &&
      this.#addZeros(this.#scale - places, at)
    )
  }

  /** `#plain` for at most 18 digits, which fit into 64 bits; exact as in `highWord` of parse-integer.ts. */
  #short(from: number, point: number, end: number, at: number): boolean {
    const view = this.#view
    let low = 0
    let value = 0
    let digits = 0
    for (let i = from; i < end;) {
      const stop = Math.min(i + 8, i < point ? point : end)
      const factor = POWERS_OF_TEN[stop - i] as number
      const group = digitsOf(view, i, stop)
      digits |= group
      low = (Math.imul(low, factor) + group) | 0
      value = value * factor + group
      i = stop === point ? stop + 1 : stop
    }
    for (let zeros = this.#scale - Math.max(0, end - point - 1); zeros > 0; zeros -= 8) {
      const factor = POWERS_OF_TEN[Math.min(zeros, 8)] as number
      low = Math.imul(low, factor)
      value *= factor
    }
    this.#words[at] = low
    this.#words[at + 1] = Math.floor((value - (low >>> 0)) / WORD + 0.5)
    return digits >= 0
  }

  /** Appends digits, eight at a time. */
  #addDigits(from: number, to: number, at: number): boolean {
    for (let i = from; i < to; i += 8) {
      const end = Math.min(i + 8, to)
      const digits = digitsOf(this.#view, i, end)
      if (digits < 0) return false
      addScaled(this.#words, at, POWERS_OF_TEN[end - i] as number, digits)
    }
    return true
  }

  #addZeros(count: number, at: number): true {
    for (let left = count; left > 0; left -= 8)
      addScaled(this.#words, at, POWERS_OF_TEN[Math.min(left, 8)] as number, 0)
    return true
  }

  /** With an exponent, or with zeros that change nothing. */
  #rare(data: Uint8Array, at: number): boolean {
    const text = scanDecimal(data)
    if (!text) return false
    const power = text.power + this.#scale
    if (text.digits > 0 && (power < 0 || text.digits + power > this.#precision)) return false
    this.#words.fill(0, at, at + 4)
    for (let i = text.from; i < text.to; i++)
      if (data[i] !== POINT) addScaled(this.#words, at, 10, (data[i] as number) - ZERO)
    return text.digits === 0 || this.#addZeros(power, at)
  }
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

/** Scans a number behind its sign; undefined when the text is none. */
function scanDecimal(data: Uint8Array): DecimalText | undefined {
  const mark = exponentMark(data)
  const exponent = mark === data.length ? 0 : exponentOf(data, mark + 1)
  const index = data.subarray(0, mark).indexOf(POINT)
  const point = index < 0 ? mark : index
  const wholeEnd = digitsEnd(data, 0, point)
  const fractionEnd = point === mark ? mark : digitsEnd(data, point + 1, mark)
  const written = mark - (point === mark ? 0 : 1)
  if (exponent === undefined || wholeEnd !== point || fractionEnd !== mark || written < 1) return undefined
  const from = firstDigit(data, 0, mark)
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

function exponentMark(data: Uint8Array): number {
  for (let i = 0; i < data.length; i++) if (((data[i] as number) | 32) === 0x65) return i
  return data.length
}

/** The number behind the `e`, at most 99999 so that sums of it stay exact; undefined when it is none. */
function exponentOf(data: Uint8Array, start: number): number | undefined {
  const end = data.length
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
