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
