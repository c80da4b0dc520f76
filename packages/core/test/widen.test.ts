import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LogicalType, SimpleKind } from '../src/index.ts'
import { parseType, typeName, utf8, widens } from '../src/index.ts'

const typeOf = (name: string): LogicalType => parseType(name) ?? { kind: 'native', vendor: 'v', type: name }

test.each([
  ['text', ['bool', 'numeric', 'date', 'timestamptz', 'interval', 'uuid', 'json', 'binary', 'decimal(38,9)']],
  ['timestamp', ['date']],
  ['float64', ['float32', 'int32', 'uint32']],
  ['float32', ['int16', 'uint16']],
  ['numeric', ['decimal(38,38)', 'int64', 'uint64']],
  ['decimal(20,2)', ['decimal(18,0)', 'decimal(20,2)', 'int32']],
])('%s holds %s', (to, from) => {
  expect(from.filter((name) => !widens(typeOf(name), typeOf(to)))).toEqual([])
})

test.each([
  ['timestamp', ['timestamptz', 'time', 'text', 'int64']],
  ['timestamptz', ['date', 'timestamp', 'text']],
  ['date', ['timestamp', 'int32']],
  ['float64', ['int64', 'uint64', 'decimal(2,1)', 'numeric', 'text', 'bool']],
  ['float32', ['float64', 'int32', 'uint32']],
  ['numeric', ['float32', 'float64', 'text', 'bool', 'date']],
  ['decimal(20,2)', ['decimal(19,0)', 'decimal(4,3)', 'numeric', 'int64', 'float32']],
  ['int64', ['decimal(1,0)', 'numeric', 'float32', 'bool', 'date', 'time']],
  ['bool', ['int8', 'text']],
  ['json', ['text']],
  ['binary', ['text', 'uuid', 'tsvector']],
])('%s does not hold %s', (to, from) => {
  expect(from.filter((name) => widens(typeOf(name), typeOf(to)))).toEqual([])
})

test('text holds no list and no struct', () => {
  expect(widens({ kind: 'list', element: utf8 }, utf8)).toBe(false)
  expect(widens({ kind: 'struct', fields: [] }, utf8)).toBe(false)
})

describe('integers and decimals agree with their largest and smallest numbers', () => {
  const bits = fc.constantFrom(8, 16, 32, 64)
  const integer = fc.tuple(fc.boolean(), bits).map(([signed, width]) => {
    const kind = `${signed ? '' : 'u'}int${width}` as SimpleKind
    const values = 2n ** BigInt(width)
    const min = signed ? -values / 2n : 0n
    return { type: { kind } as LogicalType, min, max: min + values - 1n }
  })
  const decimal = fc
    .integer({ min: 1, max: 38 })
    .chain((precision) => fc.tuple(fc.constant(precision), fc.nat(precision)))
    .map(([precision, scale]) => ({ type: { kind: 'decimal', precision, scale } as LogicalType, precision, scale }))

  test('integer to integer', () => {
    fc.assert(
      fc.property(integer, integer, (from, to) => {
        fc.pre(typeName(from.type) !== typeName(to.type))
        expect(widens(from.type, to.type)).toBe(to.min <= from.min && from.max <= to.max)
      }),
      { numRuns: 300 },
    )
  })

  test('integer to float', () => {
    fc.assert(
      fc.property(integer, ({ type, max }) => {
        expect(widens(type, { kind: 'float64' })).toBe(BigInt(Number(max)) === max)
        expect(widens(type, { kind: 'float32' })).toBe(BigInt(Math.fround(Number(max))) === max)
      }),
    )
  })

  test('integer to decimal', () => {
    fc.assert(
      fc.property(integer, decimal, ({ type, min, max }, to) => {
        const largest = -min > max ? -min : max
        expect(widens(type, to.type)).toBe(largest * 10n ** BigInt(to.scale) < 10n ** BigInt(to.precision))
      }),
      { numRuns: 1000 },
    )
  })

  test('decimal to decimal', () => {
    fc.assert(
      fc.property(decimal, decimal, (from, to) => {
        const shift = to.scale - from.scale
        const largest = (10n ** BigInt(from.precision) - 1n) * 10n ** BigInt(Math.max(0, shift))
        expect(widens(from.type, to.type)).toBe(shift >= 0 && largest < 10n ** BigInt(to.precision))
      }),
      { numRuns: 1000 },
    )
  })
})
