import type { Schema } from '@nebula/core'
import { bindCondition, BufferPool } from '@nebula/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NumericComparer } from '../src/compare-number.ts'
import { RowFilter } from '../src/row-filter.ts'
import { textBatch, typed } from './batches.ts'

const SCALE = 60n

/** A number as its text, in one of the ways to write it, and as an integer of 60 digits behind the point. */
const number = fc
  .record({
    sign: fc.constantFrom('', '-', '+'),
    zeros: fc.constantFrom('', '0', '00'),
    whole: fc.bigInt({ min: 0n, max: 10n ** 20n }),
    fraction: fc.constantFrom('', '.', '.0', '.5', '.50', '.05', '.000', '.125', '.99999999999999999999'),
    exponent: fc.option(fc.integer({ min: -20, max: 20 }), { nil: undefined }),
  })
  .map(({ sign, zeros, whole, fraction, exponent }) => {
    const digits = BigInt(`${whole}${fraction.slice(1)}`)
    const shift = SCALE - BigInt(Math.max(0, fraction.length - 1)) + BigInt(exponent ?? 0)
    const size = digits * 10n ** shift
    const text = `${sign}${zeros}${whole}${fraction}${exponent === undefined ? '' : `e${exponent}`}`
    return { text, value: sign === '-' ? -size : size }
  })

const schemaOf = (type: string): Schema => ({ fields: [{ name: 'a', type: typed(type), nullable: true }] })

/** The canonical text of a literal. */
function canonical(text: string, type = 'numeric'): string | undefined {
  const literal = { kind: /\d/.test(text) ? ('number' as const) : ('text' as const), text }
  const { bound } = bindCondition({ kind: 'compare', column: 'a', operator: '=', literal }, schemaOf(type))
  return bound?.kind === 'compare' ? bound.value : undefined
}

describe('numerics', () => {
  test('of whatever spelling compare as the numbers that they are', () => {
    fc.assert(
      fc.property(number, number, (row, literal) => {
        const comparer = new NumericComparer(canonical(literal.text) as string)
        const data = Buffer.from(`x${row.text}9`)
        const wanted = row.value < literal.value ? -1 : row.value > literal.value ? 1 : 0
        expect(comparer.compare(data, 1, data.length - 1)).toBe(wanted)
      }),
      { numRuns: 2000 },
    )
  })

  test('are ordered up to NaN, which equals itself', () => {
    const ordered = ['-Infinity', '-1e900', '-1', '-1e-900', '0', '1e-900', '1', '1e900', 'Infinity', 'NaN']
    for (const [i, row] of ordered.entries()) {
      const data = Buffer.from(row)
      const orders = ordered.map((text) => new NumericComparer(canonical(text) as string).compare(data, 0, data.length))
      expect(orders).toEqual(ordered.map((_, j) => Math.sign(i - j)))
    }
  })
})

const RANGES: readonly (readonly [type: string, least: bigint, most: bigint])[] = [
  ['int8', -128n, 127n],
  ['int16', -32768n, 32767n],
  ['int32', -(2n ** 31n), 2n ** 31n - 1n],
  ['int64', -(2n ** 63n), 2n ** 63n - 1n],
  ['uint8', 0n, 255n],
  ['uint16', 0n, 65535n],
  ['uint32', 0n, 2n ** 32n - 1n],
  ['uint64', 0n, 2n ** 64n - 1n],
  ['decimal(38,0)', -(10n ** 38n) + 1n, 10n ** 38n - 1n],
]

test.each(RANGES)('%s compares exactly with any number', (type, least, most) => {
  const pool = new BufferPool(1e8)
  const near = fc.constantFrom(
    -(2n ** 64n),
    -(2n ** 63n),
    -(2n ** 31n),
    -1n,
    0n,
    1n,
    2n ** 31n,
    2n ** 32n,
    2n ** 63n,
    2n ** 64n,
    least,
    most,
  )
  const any = fc.tuple(near, fc.bigInt({ min: -2n, max: 2n })).map(([base, step]) => base + step)
  const values = fc.array(
    any.filter((value) => value >= least && value <= most),
    { minLength: 1 },
  )
  fc.assert(
    fc.property(values, any, fc.constantFrom('', '.5'), (rows, whole, half) => {
      const text = `${whole}${half}`
      const { batch, free } = textBatch({ [`a ${type}`]: rows.map(String) }, pool)
      const literal = { kind: 'number' as const, text }
      const { bound } = bindCondition({ kind: 'compare', column: 'a', operator: '<', literal }, schemaOf(type))
      const filter = new RowFilter(bound as NonNullable<typeof bound>, schemaOf(type), pool)
      const limit = whole * 2n + (half === '' ? 0n : text.startsWith('-') ? -1n : 1n)
      expect(filter.apply(batch).rows).toBe(rows.filter((value) => value * 2n < limit).length)
      filter.free()
      free()
    }),
  )
  expect(pool.statistics.used).toBe(0)
})
