import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { typeName } from '../src/index.ts'
import { columnOf, format, parse, valuesOf } from './columns.ts'
import { nullable, TEXT_TYPES } from '@nebula/testkit/arbitraries'

describe('parse(format(x)) = x', () => {
  test.for(TEXT_TYPES.map(([type, values]) => [typeName(type), type, values] as const))('%s', ([, type, values]) => {
    fc.assert(
      fc.property(fc.array(nullable(values), { maxLength: 40 }), (rows) => {
        const column = columnOf(type, rows)
        expect(valuesOf(column)).toEqual(rows)
        const back = parse(type, format(column))
        expect(back.faults).toEqual([])
        expect(back.values).toEqual(rows)
      }),
      { numRuns: 300 },
    )
  })
})

describe('format gives the rows from `from` to `to`', () => {
  test.for(TEXT_TYPES.map(([type, values]) => [typeName(type), type, values] as const))('%s', ([, type, values]) => {
    fc.assert(
      fc.property(fc.array(nullable(values), { minLength: 1, maxLength: 20 }), fc.nat(20), fc.nat(20), (rows, a, b) => {
        const [from, to] = [Math.min(a, b, rows.length), Math.min(Math.max(a, b), rows.length)]
        const column = columnOf(type, rows)
        expect(format(column, from, to)).toEqual(format(column).slice(from, to))
      }),
      { numRuns: 30 },
    )
  })
})
