const C1 = 0x239b961b
const C2 = 0xab0e9789
const C3 = 0x38b34ae5
const C4 = 0xa1e38b93

/**
 * MurmurHash3_x86_128 by Austin Appleby (public domain): writes the four words of the hash to `out`. `words` holds
 * `bytes` bytes, little-endian, and zeros from there up to the next multiple of 16.
 */
export function murmur3(words: Int32Array, bytes: number, seed: number, out: Int32Array): void {
  let h1 = seed | 0
  let h2 = h1
  let h3 = h1
  let h4 = h1
  const whole = (bytes >> 4) << 2
  let i = 0
  for (; i < whole; i += 4) {
    h1 ^= mixed(words[i] as number, C1, 15, C2)
    h1 = (Math.imul(rotated(h1, 19) + h2, 5) + 0x561ccd1b) | 0
    h2 ^= mixed(words[i + 1] as number, C2, 16, C3)
    h2 = (Math.imul(rotated(h2, 17) + h3, 5) + 0x0bcaa747) | 0
    h3 ^= mixed(words[i + 2] as number, C3, 17, C4)
    h3 = (Math.imul(rotated(h3, 15) + h4, 5) + 0x96cd1c35) | 0
    h4 ^= mixed(words[i + 3] as number, C4, 18, C1)
    h4 = (Math.imul(rotated(h4, 13) + h1, 5) + 0x32ac3b17) | 0
  }
  // The zeros behind the last byte mix to nothing, so the tail needs no cases.
  if (bytes & 15) {
    h4 ^= mixed(words[i + 3] as number, C4, 18, C1)
    h3 ^= mixed(words[i + 2] as number, C3, 17, C4)
    h2 ^= mixed(words[i + 1] as number, C2, 16, C3)
    h1 ^= mixed(words[i] as number, C1, 15, C2)
  }
  h2 ^= bytes
  h3 ^= bytes
  h4 ^= bytes
  h1 = ((h1 ^ bytes) + h2 + h3 + h4) | 0
  const f1 = avalanched(h1)
  const f2 = avalanched((h2 + h1) | 0)
  const f3 = avalanched((h3 + h1) | 0)
  const f4 = avalanched((h4 + h1) | 0)
  const first = (f1 + f2 + f3 + f4) | 0
  out[0] = first
  out[1] = (f2 + first) | 0
  out[2] = (f3 + first) | 0
  out[3] = (f4 + first) | 0
}

function rotated(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

function mixed(word: number, before: number, by: number, after: number): number {
  return Math.imul(rotated(Math.imul(word, before), by), after)
}

function avalanched(value: number): number {
  let h = value ^ (value >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
