import { addScaled, DECIMAL_NAN_WORD, divideScaled, isBelow, negate, powerOfTen } from '@nebula/core'

/**
 * decimal128 as BSON has it (IEEE 754-2008, binary integer coefficient): sign, exponent and a coefficient of at most 34
 * digits, which always fits the first of the two forms: bit 127 is the sign, 113 to 126 the biased exponent.
 */
const BIAS = 6176
const MAX_EXPONENT = 6111
const MIN_EXPONENT = -6176
const MAX_DIGITS = 34
const MAX_COEFFICIENT = powerOfTen(MAX_DIGITS)
const NAN_WORD = 0x7c000000
const INFINITY_WORD = 0x78000000
const SIGN = -0x80000000

/** Constants of this module, which loops read faster than those of another. */
const DECIMAL_NAN = DECIMAL_NAN_WORD | 0

const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const ZERO = 0x30
const LETTER_E = 0x65
/** Digits of one step. */
const CHUNK = 9
const POWERS = Int32Array.from({ length: CHUNK + 1 }, (_, i) => 10 ** i)
/** Exponents of texts stop here, so that sums of them stay small. */
const FAR = 1_000_000

/** A coefficient under construction: four words, lowest first. */
const coefficient = new Int32Array(4)

/**
 * Writes the decimal in the four words at `words[row * 4]`, scaled by `10 ** scale`, to `at`. False when it has more
 * digits than decimal128 holds.
 */
export function putDecimalWords(words: Int32Array, row: number, scale: number, out: Target): boolean {
  for (let i = 0; i < 4; i++) coefficient[i] = words[row * 4 + i] as number
  const top = coefficient[3] as number
  if (top === DECIMAL_NAN) return putSpecial(out, NAN_WORD)
  if (top < 0) negate(coefficient, 0)
  return putNumber(out, top < 0, -scale)
}

/** Writes a uint64 of two words, lowest first. */
export function putUnsigned(low: number, high: number, out: Target): void {
  coefficient[0] = low
  coefficient[1] = high
  coefficient[2] = 0
  coefficient[3] = 0
  putNumber(out, false, 0)
}

/** Where 16 bytes go. */
export interface Target {
  readonly view: DataView
  readonly at: number
}

/**
 * Writes the number of a text: a decimal number with or without an exponent, `NaN`, `Infinity`, `inf`, in any case. The
 * exponent is that of the text, so zeros at its end are kept; only where 34 digits or the exponents' range do not do,
 * zeros are taken from the end or added. False when the text is no number, or decimal128 does not hold it exactly.
 */
export function putDecimalText(text: Uint8Array, start: number, end: number, out: Target): boolean {
  const negative = text[start] === MINUS
  const from = negative || text[start] === PLUS ? start + 1 : start
  const special = from < end ? specialWord(text, from, end) : 0
  if (special !== 0) return putSpecial(out, special === INFINITY_WORD && negative ? special | SIGN : special)
  const exponent = readNumber(text, from, end)
  return !Number.isNaN(exponent) && putNumber(out, negative, exponent)
}

function specialWord(text: Uint8Array, from: number, end: number): number {
  if ((text[from] as number) < 0x41) return 0
  let word = ''
  for (let i = from; i < Math.min(end, from + 9); i++) word += String.fromCharCode((text[i] as number) | 32)
  if (word === 'nan') return NAN_WORD
  return word === 'infinity' || word === 'inf' ? INFINITY_WORD : 0
}

/** Reads digits into `coefficient`; returns their exponent, NaN for what is no number or has too many digits. */
function readNumber(text: Uint8Array, from: number, end: number): number {
  coefficient.fill(0)
  let exponent = 0
  let point = -1
  let digits = 0
  let chunk = 0
  let length = 0
  let at = from
  for (; at < end; at++) {
    const digit = (text[at] as number) - ZERO
    if (digit >>> 0 <= 9) {
      if (digits === 0 && digit === 0) continue
      if (digits++ < MAX_DIGITS) {
        chunk = chunk * 10 + digit
        if (++length < CHUNK) continue
        addScaled(coefficient, 0, POWERS[CHUNK] as number, chunk)
        chunk = length = 0
      } else if (digit === 0) exponent++
      else return Number.NaN
    } else if (digit === POINT - ZERO && point < 0) point = at
    else break
  }
  if (at - from - (point < 0 ? 0 : 1) < 1) return Number.NaN
  addScaled(coefficient, 0, POWERS[length] as number, chunk)
  if (point >= 0) exponent -= at - point - 1
  return at === end ? exponent : exponent + readExponent(text, at, end)
}

function readExponent(text: Uint8Array, from: number, end: number): number {
  if (((text[from] as number) | 32) !== LETTER_E) return Number.NaN
  const sign = text[from + 1]
  let at = sign === MINUS || sign === PLUS ? from + 2 : from + 1
  if (at >= end) return Number.NaN
  let value = 0
  for (; at < end; at++) {
    const digit = (text[at] as number) - ZERO
    if (digit >>> 0 > 9) return Number.NaN
    value = Math.min(FAR, value * 10 + digit)
  }
  return sign === MINUS ? -value : value
}

/** Writes `coefficient` with a sign and an exponent; false when that cannot be exact. */
function putNumber({ view, at }: Target, negative: boolean, exponent: number): boolean {
  const zero =
    ((coefficient[0] as number) |
      (coefficient[1] as number) |
      (coefficient[2] as number) |
      (coefficient[3] as number)) ===
    0
  let power = zero ? Math.max(MIN_EXPONENT, Math.min(MAX_EXPONENT, exponent)) : exponent
  while (power < MIN_EXPONENT || !isBelow(coefficient, 0, MAX_COEFFICIENT)) {
    if (divideScaled(coefficient, 0, 10) !== 0) return false
    power++
  }
  for (; power > MAX_EXPONENT; power--) {
    addScaled(coefficient, 0, 10, 0)
    if (!isBelow(coefficient, 0, MAX_COEFFICIENT)) return false
  }
  for (let i = 0; i < 3; i++) view.setInt32(at + i * 4, coefficient[i] as number, true)
  view.setInt32(at + 12, (coefficient[3] as number) | ((power + BIAS) << 17) | (negative ? SIGN : 0), true)
  return true
}

function putSpecial({ view, at }: Target, word: number): true {
  for (let i = 0; i < 3; i++) view.setInt32(at + i * 4, 0, true)
  view.setInt32(at + 12, word, true)
  return true
}
