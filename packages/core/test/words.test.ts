import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addScaled, divideScaled, isBelow, negate, powerOfTen } from '../src/words.ts'

const words = (value: bigint): Int32Array =>
  Int32Array.from({ length: 4 }, (_, i) => Number(BigInt.asIntN(32, value >> BigInt(32 * i))))
const unsigned = (all: Int32Array, at = 0): bigint =>
  Array.from(all.subarray(at, at + 4)).reduceRight((sum, word) => (sum << 32n) | BigInt(word >>> 0), 0n)

const wide = fc
  .tuple(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), fc.nat(127))
  .map(([value, shift]) => value >> BigInt(shift))
const factors = fc.oneof(fc.constantFrom(1, 10, 1e8, 1e9), fc.integer({ min: 1, max: 1e9 }))

test('addScaled multiplies and adds, modulo 2^128', () => {
  fc.assert(
    fc.property(wide, factors, fc.nat(2 ** 31 - 1), (value, factor, addend) => {
      const all = Int32Array.of(7, ...words(value), 8)
      addScaled(all, 1, factor, addend)
      expect(unsigned(all, 1)).toBe(BigInt.asUintN(128, value * BigInt(factor) + BigInt(addend)))
      expect([all[0], all[5]]).toEqual([7, 8])
    }),
    { numRuns: 5000 },
  )
})

test('divideScaled divides with remainder', () => {
  fc.assert(
    fc.property(wide, factors, (value, divisor) => {
      const all = words(value)
      expect(divideScaled(all, 0, divisor)).toBe(Number(value % BigInt(divisor)))
      expect(unsigned(all)).toBe(value / BigInt(divisor))
    }),
    { numRuns: 5000 },
  )
})

test('divideScaled is exact where the rounded quotient is not', () => {
  const quotients = fc.bigInt({ min: 2n ** 22n, max: 2n ** 32n - 1n })
  fc.assert(
    fc.property(quotients, fc.constantFrom(1e8, 1e9), fc.constantFrom(-1n, 0n, 1n), (quotient, divisor, shift) => {
      const value = quotient * BigInt(divisor) + shift
      const all = words(value)
      expect(divideScaled(all, 0, divisor)).toBe(Number(value % BigInt(divisor)))
      expect(unsigned(all)).toBe(value / BigInt(divisor))
    }),
    { numRuns: 5000 },
  )
})

test('negate', () => {
  fc.assert(
    fc.property(wide, (value) => {
      const all = words(value)
      negate(all, 0)
      expect(unsigned(all)).toBe(BigInt.asUintN(128, -value))
    }),
  )
})

test('isBelow compares unsigned', () => {
  fc.assert(
    fc.property(wide, wide, (a, b) => {
      expect(isBelow(words(a), 0, words(b))).toBe(a < b)
      expect(isBelow(words(a), 0, words(a))).toBe(false)
    }),
  )
})

test('powerOfTen', () => {
  for (let exponent = 0; exponent <= 38; exponent++)
    expect(unsigned(powerOfTen(exponent))).toBe(10n ** BigInt(exponent))
})
