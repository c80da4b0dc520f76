/** Arithmetic on 128-bit integers in four 32-bit words of `words`, the lowest at `at`, without BigInt. */

const WORD = 4_294_967_296

/**
 * Multiplies by `factor`, at most 10^9, and adds `addend`, below 2^31; unsigned. The low word of each product is exact
 * by wrapping multiplication, and so is the carry, because a double's error below 2^11 vanishes in the division by 2^32.
 */
export function addScaled(words: Int32Array, at: number, factor: number, addend: number): void {
  let carry = addend
  for (let i = at; i < at + 4; i++) {
    const word = words[i] as number
    if ((word | carry) === 0) continue
    const low = (Math.imul(word, factor) + carry) | 0
    words[i] = low
    carry = Math.floor(((word >>> 0) * factor + carry - (low >>> 0)) / WORD + 0.5) | 0
  }
}

/**
 * Divides by `divisor`, at most 10^9, and returns the remainder; unsigned. A quotient word may be off by one, because its
 * dividend is rounded to a double; the remainder is exact by wrapping multiplication, and tells.
 */
export function divideScaled(words: Int32Array, at: number, divisor: number): number {
  let remainder = 0
  for (let i = at + 3; i >= at; i--) {
    const word = words[i] as number
    if ((word | remainder) === 0) continue
    let quotient = Math.floor((remainder * WORD + (word >>> 0)) / divisor) | 0
    remainder = (word - Math.imul(quotient, divisor)) | 0
    if (remainder < 0) {
      remainder += divisor
      quotient = (quotient - 1) | 0
    } else if (remainder >= divisor) {
      remainder -= divisor
      quotient = (quotient + 1) | 0
    }
    words[i] = quotient
  }
  return remainder
}

/** Negates; two's complement. */
export function negate(words: Int32Array, at: number): void {
  let carry = 1
  for (let i = at; i < at + 4; i++) {
    const flipped = ~(words[i] as number)
    words[i] = flipped + carry
    carry = carry === 1 && flipped === -1 ? 1 : 0
  }
}

/** True when the integer at `words[at]` is less than the one at `limit[0]`; unsigned. */
export function isBelow(words: Int32Array, at: number, limit: Int32Array): boolean {
  for (let i = 3; i >= 0; i--) {
    const word = (words[at + i] as number) >>> 0
    const other = (limit[i] as number) >>> 0
    if (word !== other) return word < other
  }
  return false
}

/** `10 ** exponent`, up to 38. */
export function powerOfTen(exponent: number): Int32Array {
  const words = Int32Array.of(1, 0, 0, 0)
  for (let i = 0; i < exponent; i++) addScaled(words, 0, 10, 0)
  return words
}
