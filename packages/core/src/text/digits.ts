/** `10 ** i` for every power that a double holds exactly. */
export const POWERS_OF_TEN: Float64Array = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`))

/**
 * A view of the same bytes, to read and write words of them. Functions on the hot path take and return 32-bit integers
 * only: a double that crosses a call that the compiler does not inline is allocated.
 */
export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength)
}

/**
 * The digits from `from` to `to`, at most 8, as an integer; -1 when one is no digit; 0 for none. Words are loaded from
 * the end, and what precedes the digits is shifted out. As a byte `b` with the bits of '0' flipped, a digit is 0 to 9:
 * only then neither `b` nor `b + 0x76` has its highest bit.
 */
export function digitsOf(view: DataView, from: number, to: number): number {
  const length = to - from
  if (to < 8 || length < 1) return fewDigitsOf(view, from, to)
  if (length <= 4) return shortDigitsOf(view, from, to)
  const shift = (8 - length) << 3
  const upper = ((view.getInt32(to - 8, true) ^ 0x30303030) >>> shift) << shift
  const lower = view.getInt32(to - 4, true) ^ 0x30303030
  const bits = lower | (lower + 0x76767676) | upper | (upper + 0x76767676)
  return (bits & 0x80808080) === 0 ? fourDigits(upper) * 10_000 + fourDigits(lower) : -1
}

/** `digitsOf` for one to four digits that end behind the fourth byte. */
function shortDigitsOf(view: DataView, from: number, to: number): number {
  const shift = (4 - to + from) << 3
  const word = ((view.getInt32(to - 4, true) ^ 0x30303030) >>> shift) << shift
  return ((word | (word + 0x76767676)) & 0x80808080) === 0 ? fourDigits(word) : -1
}

/** Digits so near to the beginning of the data that no word ends with them. */
function fewDigitsOf(view: DataView, from: number, to: number): number {
  let value = 0
  for (let i = from; i < to; i++) {
    const digit = view.getUint8(i) - 48
    if (digit >>> 0 > 9) return -1
    value = value * 10 + digit
  }
  return value
}

/** The eight digits at `at` as an integer; -1 when one is no digit. */
export function eightDigits(view: DataView, at: number): number {
  const upper = view.getInt32(at, true) ^ 0x30303030
  const lower = view.getInt32(at + 4, true) ^ 0x30303030
  const bits = lower | (lower + 0x76767676) | upper | (upper + 0x76767676)
  return (bits & 0x80808080) === 0 ? fourDigits(upper) * 10_000 + fourDigits(lower) : -1
}

/** Four bytes from 0 to 9, the first the lowest: first two numbers of two digits, then one of four. */
export function fourDigits(word: number): number {
  const pairs = Math.imul(word, 10) + (word >>> 8)
  return (pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff)
}

/** Two digits in the low bytes of `word`, the first the lowest; 100 or more when one is no digit. */
export function twoDigits(word: number): number {
  const tens = (word & 0xff) - 48
  const ones = ((word >>> 8) & 0xff) - 48
  return tens >>> 0 > 9 || ones >>> 0 > 9 ? 100 : tens * 10 + ones
}

/** True when `data[start] .. data[end]` is `word`, which is lower-case letters, in any case. */
export function isWord(data: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false
  for (let i = 0; i < word.length; i++) if (((data[start + i] as number) | 32) !== word.charCodeAt(i)) return false
  return true
}

/** ASCII bytes as a string, for rare forms that JavaScript parses. */
export function asciiText(data: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let i = start; i < end; i++) text += String.fromCharCode(data[i] as number)
  return text
}
