import type { BytesBuilder } from './builder.ts'

/**
 * SHA-256 (FIPS 180-4) of many short values: writes digests where they are wanted and makes no object per value. A value
 * of one block takes three quarters of the time of a call of node:crypto, and nothing of the garbage collector's; longer
 * ones are the engine's (`bench/sha256.bench.mjs`, Node 24, 2 cores of an AMD EPYC, 2026-11).
 */

/** The longest value that makes one block: 64 bytes without the bit 1 and the length. */
export const SHORT_SHA256_BYTES = 55

/** Section 4.2.2 and 5.3.3: the first 32 bits of the fractional parts of cube and square roots of the first primes. */
const PRIMES = Array.from({ length: 312 }, (_, i) => i).filter((n) => n > 1 && !hasDivisor(n))
const ROUNDS = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)))
const INITIAL = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)))

function hasDivisor(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return true
  return false
}

function fraction(root: number): number {
  return ((root - Math.floor(root)) * 2 ** 32) | 0
}

const HEX = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
/** Message schedule and state of the one computation that is under way. */
const schedule = new Int32Array(64)
const state = new Int32Array(8)

/**
 * Appends the digest of at most `SHORT_SHA256_BYTES` bytes, as 64 hexadecimal digits, for which there is room in `out`.
 * `view` is over the bytes.
 */
export function appendShortSha256(view: DataView, start: number, end: number, out: BytesBuilder): void {
  scheduleLast(view, start, end, 0)
  state.set(INITIAL)
  compress()
  appendState(out)
}

/** HMAC-SHA-256 (RFC 2104) of many short values under one key. */
export class ShortHmac {
  /** The states behind the two blocks of the key. */
  readonly #inner: Int32Array
  readonly #outer: Int32Array

  /** A key of at most 64 bytes; a longer one is hashed before. */
  constructor(key: Uint8Array) {
    this.#inner = stateBehind(key, 0x36)
    this.#outer = stateBehind(key, 0x5c)
  }

  /** `appendShortSha256`, keyed. */
  append(view: DataView, start: number, end: number, out: BytesBuilder): void {
    scheduleLast(view, start, end, BLOCK_BYTES)
    state.set(this.#inner)
    compress()
    schedule.set(state)
    schedule[8] = 0x80000000
    schedule.fill(0, 9, 15)
    schedule[15] = (BLOCK_BYTES + 32) << 3
    state.set(this.#outer)
    compress()
    appendState(out)
  }
}

const BLOCK_BYTES = 64

function stateBehind(key: Uint8Array, pad: number): Int32Array {
  const block = new Uint8Array(BLOCK_BYTES).fill(pad)
  for (let i = 0; i < key.length; i++) block[i] = (key[i] as number) ^ pad
  const view = new DataView(block.buffer)
  for (let word = 0; word < 16; word++) schedule[word] = view.getInt32(word * 4)
  state.set(INITIAL)
  compress()
  return state.slice()
}

/** The last block of a message, `before` bytes of which are behind it. Section 5.1.1: the bit 1, zeros, the bits. */
function scheduleLast(view: DataView, start: number, end: number, before: number): void {
  let from = start
  let words = 0
  for (; end - from >= 4; from += 4) schedule[words++] = view.getInt32(from)
  let last = 0
  let shift = 24
  for (; from < end; from++, shift -= 8) last |= view.getUint8(from) << shift
  schedule[words++] = last | (0x80 << shift)
  schedule.fill(0, words, 15)
  schedule[15] = (before + end - start) << 3
}

function appendState(out: BytesBuilder): void {
  const { data } = out
  let to = out.size
  for (let i = 0; i < 8; i++) {
    const word = state[i] as number
    for (let bits = 28; bits >= 0; bits -= 4) data[to++] = HEX[(word >>> bits) & 15] as number
  }
  out.size = to
}

/** Section 6.2.2. Eight rounds a turn, in which the variables change their part and not their value. */
function compress(): void {
  for (let i = 16; i < 64; i++) {
    const near = schedule[i - 2] as number
    const far = schedule[i - 15] as number
    schedule[i] = (sigma1(near) + (schedule[i - 7] as number) + sigma0(far) + (schedule[i - 16] as number)) | 0
  }
  let a = state[0] as number
  let b = state[1] as number
  let c = state[2] as number
  let d = state[3] as number
  let e = state[4] as number
  let f = state[5] as number
  let g = state[6] as number
  let h = state[7] as number
  for (let i = 0; i < 64; i += 8) {
    h = (h + sum1(e) + (g ^ (e & (f ^ g))) + (ROUNDS[i] as number) + (schedule[i] as number)) | 0
    d = (d + h) | 0
    h = (h + sum0(a) + ((a & b) | (c & (a | b)))) | 0
    g = (g + sum1(d) + (f ^ (d & (e ^ f))) + (ROUNDS[i + 1] as number) + (schedule[i + 1] as number)) | 0
    c = (c + g) | 0
    g = (g + sum0(h) + ((h & a) | (b & (h | a)))) | 0
    f = (f + sum1(c) + (e ^ (c & (d ^ e))) + (ROUNDS[i + 2] as number) + (schedule[i + 2] as number)) | 0
    b = (b + f) | 0
    f = (f + sum0(g) + ((g & h) | (a & (g | h)))) | 0
    e = (e + sum1(b) + (d ^ (b & (c ^ d))) + (ROUNDS[i + 3] as number) + (schedule[i + 3] as number)) | 0
    a = (a + e) | 0
    e = (e + sum0(f) + ((f & g) | (h & (f | g)))) | 0
    d = (d + sum1(a) + (c ^ (a & (b ^ c))) + (ROUNDS[i + 4] as number) + (schedule[i + 4] as number)) | 0
    h = (h + d) | 0
    d = (d + sum0(e) + ((e & f) | (g & (e | f)))) | 0
    c = (c + sum1(h) + (b ^ (h & (a ^ b))) + (ROUNDS[i + 5] as number) + (schedule[i + 5] as number)) | 0
    g = (g + c) | 0
    c = (c + sum0(d) + ((d & e) | (f & (d | e)))) | 0
    b = (b + sum1(g) + (a ^ (g & (h ^ a))) + (ROUNDS[i + 6] as number) + (schedule[i + 6] as number)) | 0
    f = (f + b) | 0
    b = (b + sum0(c) + ((c & d) | (e & (c | d)))) | 0
    a = (a + sum1(f) + (h ^ (f & (g ^ h))) + (ROUNDS[i + 7] as number) + (schedule[i + 7] as number)) | 0
    e = (e + a) | 0
    a = (a + sum0(b) + ((b & c) | (d & (b | c)))) | 0
  }
  state[0] = (state[0] as number) + a
  state[1] = (state[1] as number) + b
  state[2] = (state[2] as number) + c
  state[3] = (state[3] as number) + d
  state[4] = (state[4] as number) + e
  state[5] = (state[5] as number) + f
  state[6] = (state[6] as number) + g
  state[7] = (state[7] as number) + h
}

/** Section 4.1.2. */
function sum0(x: number): number {
  return ((x >>> 2) | (x << 30)) ^ ((x >>> 13) | (x << 19)) ^ ((x >>> 22) | (x << 10))
}

function sum1(x: number): number {
  return ((x >>> 6) | (x << 26)) ^ ((x >>> 11) | (x << 21)) ^ ((x >>> 25) | (x << 7))
}

function sigma0(x: number): number {
  return ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
}

function sigma1(x: number): number {
  return ((x >>> 17) | (x << 15)) ^ ((x >>> 19) | (x << 13)) ^ (x >>> 10)
}
