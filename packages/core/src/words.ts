/** Arithmetic on 128-bit integers in four 32-bit words, lowest first, without BigInt. */

const WORD = 4_294_967_296

/** The accumulator of `addScaled`, unsigned. */
export const magnitude = new Int32Array(4)

/**
 * `magnitude = magnitude * factor + addend`, factor at most 10^9. The low word of each product is exact by wrapping
 * multiplication; the carry is, because a double's error below 2^11 vanishes in the division by 2^32.
 */
export function addScaled(factor: number, addend: number): void {
  let carry = addend
  for (let i = 0; i < 4; i++) {
    const word = (magnitude[i] as number) >>> 0
    const low = (Math.imul(word, factor) + carry) >>> 0
    carry = Math.floor((word * factor + carry - low) / WORD + 0.5)
    magnitude[i] = low
  }
}

/** Negates the 128-bit integer at `words[at]`. */
export function negate(words: Int32Array, at: number): void {
  let carry = 1
  for (let i = at; i < at + 4; i++) {
    const sum = (~(words[i] as number) >>> 0) + carry
    words[i] = sum
    carry = sum >= WORD ? 1 : 0
  }
}

/**
 * Divides `magnitude`, unsigned, by 10^9 and returns the remainder. A quotient word may be off by one, because its
 * dividend is rounded to a double; the remainder is exact by wrapping multiplication, and tells.
 */
export function divideByBillion(): number {
  let remainder = 0
  for (let i = 3; i >= 0; i--) {
    const word = (magnitude[i] as number) >>> 0
    let quotient = Math.floor((remainder * WORD + word) / 1e9)
    remainder = (word - Math.imul(quotient, 1_000_000_000)) | 0
    if (remainder < 0) {
      remainder += 1_000_000_000
      quotient--
    } else if (remainder >= 1_000_000_000) {
      remainder -= 1_000_000_000
      quotient++
    }
    magnitude[i] = quotient
  }
  return remainder
}
