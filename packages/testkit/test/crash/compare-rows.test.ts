import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromCsv, sceneRows, toCsv } from '../../src/crash/scene-table.ts'
import type { TextRow } from '../../src/index.ts'
import { compareRows, isEqual } from '../../src/index.ts'

const EXPECTED: readonly TextRow[] = [
  ['1', 'one'],
  ['2', null],
  ['3', ''],
]

test.each<[string, readonly TextRow[], object]>([
  ['nothing', EXPECTED, {}],
  ['order', EXPECTED.toReversed(), {}],
  ['a lost row', EXPECTED.slice(1), { lost: 1 }],
  ['a doubled row', [...EXPECTED, ['1', 'one']], { doubled: 1 }],
  ['a row that is there thrice', [...EXPECTED, ['1', 'one'], ['1', 'one']], { doubled: 2 }],
  ['a doubled row with another value', [...EXPECTED, ['1', 'two']], { doubled: 1 }],
  ['a changed value', [['1', 'ONE'], ...EXPECTED.slice(1)], { changed: 1 }],
  [
    'an empty text in place of null',
    [
      ['1', 'one'],
      ['2', ''],
      ['3', ''],
    ],
    { changed: 1 },
  ],
  ['a column that is missing', [['1'], ...EXPECTED.slice(1)], { changed: 1 }],
  ['a row from elsewhere', [...EXPECTED, ['4', 'four']], { foreign: 1 }],
  ['a key that changed', [['9', 'one'], ...EXPECTED.slice(1)], { lost: 1, foreign: 1 }],
])('compares by key and value: %s', (_, actual, different) => {
  const { examples, ...counts } = compareRows(EXPECTED, actual)
  expect(counts).toEqual({ lost: 0, doubled: 0, changed: 0, foreign: 0, ...different })
  expect(examples).toHaveLength(Object.keys(different).length)
  expect(isEqual({ ...counts, examples })).toBe(Object.keys(different).length === 0)
})

test('keys of several columns; two expected rows may not have one', () => {
  const rows = [
    ['1', 'a', 'x'],
    ['1', 'b', 'y'],
  ]
  expect(isEqual(compareRows(rows, rows, [0, 1]))).toBe(true)
  expect(() => compareRows(rows, rows)).toThrow('Two rows that are expected have the key ["1"].')
})

test('rows of a scene survive its own CSV, with null, empty and many-lined texts apart', () => {
  const rows = sceneRows(-100, 300)
  expect(fromCsv(toCsv(rows))).toEqual(rows)
  expect(new Set(rows.map(([id]) => id)).size).toBe(300)
  expect(rows.map(([, note]) => note)).toEqual(expect.arrayContaining([null, '', 'two\r\nlines']))
})

test('any text survives it', () => {
  const row = fc.array(fc.option(fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', 'a', ' ', '🌌') })), {
    minLength: 4,
    maxLength: 4,
  })
  fc.assert(
    fc.property(fc.array(row, { maxLength: 3 }), (rows) => {
      expect(fromCsv(toCsv(rows))).toEqual(rows)
    }),
  )
  expect(() => fromCsv('id\n"never closed')).toThrow('No CSV at character 3')
})
