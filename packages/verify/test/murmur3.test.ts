import { expect, test } from 'vitest'
import { murmur3 } from '../src/murmur3.ts'

function hash(bytes: Uint8Array, seed: number): Uint8Array {
  const padded = new Uint8Array(Math.ceil(bytes.length / 16) * 16)
  padded.set(bytes)
  const out = new Int32Array(4)
  murmur3(new Int32Array(padded.buffer), bytes.length, seed, out)
  return new Uint8Array(out.buffer)
}

test('is MurmurHash3_x86_128: the verification value of SMHasher', () => {
  const hashes = new Uint8Array(256 * 16)
  for (let length = 0; length < 256; length++) {
    const key = Uint8Array.from({ length }, (_, i) => i)
    hashes.set(hash(key, 256 - length), length * 16)
  }
  const verification = new DataView(hash(hashes, 0).buffer).getUint32(0, true)
  expect(verification.toString(16)).toBe('b3ece62a')
})

test('gives nothing for nothing, and another hash for every length of zeros', () => {
  expect(Buffer.from(hash(new Uint8Array(0), 0)).toString('hex')).toBe('0'.repeat(32))
  const zeros = Array.from({ length: 40 }, (_, length) => Buffer.from(hash(new Uint8Array(length), 1)).toString('hex'))
  expect(new Set(zeros).size).toBe(40)
})
