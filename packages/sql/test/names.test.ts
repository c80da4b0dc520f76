import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Names } from '../src/index.ts'

const double = new Names({ vendor: 'Vendor', quote: '"', maxBytes: 10 })
const back = new Names({ vendor: 'Vendor', quote: '`', maxBytes: 10 })

test('quotes names, and doubles the quote within', () => {
  expect(double.quote('a"b`"')).toBe('"a""b`"""')
  expect(back.quote('a"b`"')).toBe('`a"b``"`')
  expect(double.table({ schema: 's.1', table: 't"' })).toBe('"s.1"."t"""')
  expect(back.table({ schema: 's.1', table: 't`' })).toBe('`s.1`.`t```')
  expect(double.list(['a', 'b"'])).toBe('"a", "b"""')
})

describe('spell and parse', () => {
  const part = fc
    .string({ unit: fc.constantFrom('a', 'B', '1', '.', '"', '`', ' ', '\n', 'é'), minLength: 1 })
    .filter((name) => double.fault(name) === undefined)

  test.each([double, back])('what one spells, the other reads', (names) => {
    fc.assert(
      fc.property(part, part, (schema, table) => {
        expect(names.parse(names.spell({ schema, table }), 'other')).toEqual({ schema, table })
      }),
      { numRuns: 300 },
    )
  })

  test('a part is quoted only where it must be', () => {
    expect(double.spell({ schema: 'public', table: 'Order items' })).toBe('public.Order items')
    expect(double.spell({ schema: 'a.b', table: 'c"d' })).toBe('"a.b"."c""d"')
  })

  test.each([
    ['orders', 'main', 'orders'],
    ['"a.b"', 'main', 'a.b'],
    ['"sales".orders', 'sales', 'orders'],
    ['"say ""hi"""', 'main', 'say "hi"'],
  ])('%s', (name, schema, table) => {
    expect(double.parse(name, 'main')).toEqual({ schema, table })
  })

  test.each(['', '.', 'a.', '.a', 'a..b', 'a.b.c', '""', '"".a', 'a.""', '"a', 'a"b', '"a"b', '"a"".b'])(
    'refuses %s as no table name',
    (name) => {
      expect(() => double.parse(name, 'main')).toThrow(
        expect.objectContaining({
          code: 'target_incompatible',
          message: expect.stringMatching('is not a table name: write table or schema.table'),
        }),
      )
    },
  )

  test.each([
    ['longer', 'a.eleven byte'],
    ['zero', 'a.b\0'],
    ['longer', 'eleven byte.a'],
  ])('refuses what the vendor cannot keep, %s', (_, name) => {
    expect(() => double.parse(name, 'main')).toThrow(
      expect.objectContaining({ code: 'target_incompatible', message: expect.stringMatching('Vendor') }),
    )
  })
})

test.each([
  ['', 'is empty; Vendor has no empty names'],
  ['a\0', 'holds a zero byte, which Vendor cannot store'],
  ['ééééé', undefined],
  ['éééééa', 'is 11 bytes long; Vendor keeps 10 of a name'],
])('the fault of "%s"', (name, fault) => {
  expect(double.fault(name)).toBe(fault)
})
