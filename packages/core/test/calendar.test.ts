import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  civilFromCommon,
  civilFromDays,
  daysFromCivil,
  daysFromCommon,
  daysInMonth,
  wrapsAround,
} from '../src/calendar.ts'

const unpack = (packed: number): number[] => [Math.floor(packed / 512), (packed >> 5) & 15, packed & 31]

/** The Date of a day, which knows years up to 275760 on both sides. */
const date = (days: number): Date => new Date(days * 86_400_000)
const FIRST = -100_000_000
const LAST = 100_000_000

describe('civilFromDays and daysFromCivil', () => {
  test('agree with Date', () => {
    fc.assert(
      fc.property(fc.integer({ min: FIRST, max: LAST }), (days) => {
        const expected = [date(days).getUTCFullYear(), date(days).getUTCMonth() + 1, date(days).getUTCDate()]
        expect(unpack(civilFromDays(days))).toEqual(expected)
        expect(daysFromCivil(...(expected as [number, number, number]))).toBe(days)
      }),
      { numRuns: 5000 },
    )
  })

  test('are inverse up to the ends of a date', () => {
    fc.assert(
      fc.property(fc.integer({ min: -2_440_588, max: 2_145_042_905 }), (days) => {
        const [year, month, day] = unpack(civilFromDays(days)) as [number, number, number]
        expect(daysFromCivil(year, month, day)).toBe(days)
      }),
      { numRuns: 5000 },
    )
    expect(unpack(civilFromDays(-2_440_588))).toEqual([-4713, 11, 24])
    expect(unpack(civilFromDays(2_145_042_905))).toEqual([5_874_897, 12, 31])
  })

  test('have short ways for common years that give the same, every day', () => {
    const first = daysFromCivil(1, 1, 1)
    const last = daysFromCivil(9999, 12, 31)
    let different = 0
    for (let days = first; days <= last; days++) {
      const packed = civilFromDays(days)
      const [year, month, day] = unpack(packed) as [number, number, number]
      if (civilFromCommon(days) !== packed || daysFromCommon(year, month, day) !== days) different++
    }
    expect(different).toBe(0)
  })
})

test('daysInMonth agrees with Date', () => {
  for (const year of [-4, 0, 1, 1900, 2000, 2019, 2020, 2100, 9999])
    for (let month = 1; month <= 12; month++) {
      const end = new Date(0)
      end.setUTCFullYear(year, month, 0)
      expect([year, month, daysInMonth(year, month)]).toEqual([year, month, end.getUTCDate()])
    }
})

test('only what lies below the first day wraps around', () => {
  const high = (micros: bigint): number => Number(micros >> 32n)
  expect(wrapsAround(high(-210_866_803_200_000_000n))).toBe(false)
  expect(wrapsAround(high(0n))).toBe(false)
  expect(wrapsAround(high(BigInt.asIntN(64, 9_224_318_015_999_999_999n)))).toBe(true)
  expect(wrapsAround(high(-(2n ** 63n) + 1n))).toBe(true)
})
