import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Condition, Literal, Schema } from '../src/index.ts'
import { bindCondition, conditionColumns, isNebulaError, parseCondition, parseType } from '../src/index.ts'

const number = (text: string): Literal => ({ kind: 'number', text })
const text = (value: string): Literal => ({ kind: 'text', text: value })
const equal = (column: string, literal: Literal): Condition => ({ kind: 'compare', column, operator: '=', literal })

/** `read`, or the code of the error. */
function outcomeOf(source: string): string {
  try {
    conditionColumns(parseCondition(source))
    return 'read'
  } catch (error) {
    return isNebulaError(error) ? error.code : String(error)
  }
}

describe('parseCondition', () => {
  test.each<[string, Condition]>([
    ['a = 1', equal('a', number('1'))],
    ['a != 1.50', { kind: 'compare', column: 'a', operator: '<>', literal: number('1.50') }],
    ['a<>-1e3', { kind: 'compare', column: 'a', operator: '<>', literal: number('-1e3') }],
    ['5 < a', { kind: 'compare', column: 'a', operator: '>', literal: number('5') }],
    ["'x' >= a", { kind: 'compare', column: 'a', operator: '<=', literal: text('x') }],
    ['"Order ""No"" 1" = \'it\'\'s\'', equal('Order "No" 1', text("it's"))],
    ['größe = true', equal('größe', { kind: 'bool', value: true })],
    ['active', equal('active', { kind: 'bool', value: true })],
    ['NOT active', { kind: 'not', term: equal('active', { kind: 'bool', value: true }) }],
    ['a IS NULL', { kind: 'null', column: 'a' }],
    ['a is not null', { kind: 'not', term: { kind: 'null', column: 'a' } }],
    ['a in (1, 2)', { kind: 'in', column: 'a', literals: [number('1'), number('2')] }],
    ["a not in ('x')", { kind: 'not', term: { kind: 'in', column: 'a', literals: [text('x')] } }],
    ["a like '50\\% _'", { kind: 'like', column: 'a', pattern: '50\\% _' }],
    ["a not like '%'", { kind: 'not', term: { kind: 'like', column: 'a', pattern: '%' } }],
    [
      'a between 1 and 2 or b = 3',
      {
        kind: 'or',
        terms: [
          {
            kind: 'and',
            terms: [
              { kind: 'compare', column: 'a', operator: '>=', literal: number('1') },
              { kind: 'compare', column: 'a', operator: '<=', literal: number('2') },
            ],
          },
          equal('b', number('3')),
        ],
      },
    ],
    [
      'a = 1 or b = 2 and not (c = 3 or d = 4)',
      {
        kind: 'or',
        terms: [
          equal('a', number('1')),
          {
            kind: 'and',
            terms: [
              equal('b', number('2')),
              { kind: 'not', term: { kind: 'or', terms: [equal('c', number('3')), equal('d', number('4'))] } },
            ],
          },
        ],
      },
    ],
  ])('reads %s', (source, condition) => {
    expect(parseCondition(source)).toEqual(condition)
    expect(parseCondition(`  ${source}\n`)).toEqual(condition)
  })

  test.each([
    ['', 'line 1, column 1 of the condition: expected a column, a literal, not, or (, not the end'],
    ['a =', "line 1, column 4 of the condition: expected a number, a 'text', true or false, not the end"],
    ['a = b', "line 1, column 5 of the condition: a column is compared with a literal; write 'b' if it is a text"],
    ['a = null', 'line 1, column 5 of the condition: nothing compares with null; write "is null" or "is not null"'],
    ['a in (1, null)', 'line 1, column 10 of the condition: nothing compares with null'],
    ['a = 1\nand and b = 2', 'line 2, column 5 of the condition: expected a column, a literal, not, or (, not and'],
    ['a = 1 b', 'line 1, column 7 of the condition: expected and, or, or the end, not b'],
    ['a not 1', 'line 1, column 7 of the condition: expected in, between or like, not 1'],
    ['(a = 1', 'line 1, column 7 of the condition: expected ), not the end'],
    ["a = 'x", "line 1, column 5 of the condition: the ' is not closed"],
    ["𝄞 = 'x", 'line 1, column 1 of the condition: 𝄞 is not understood'],
    ['a = 5x', 'line 1, column 5 of the condition: 5x is not understood'],
    ['a ; b', 'line 1, column 3 of the condition: ; is not understood'],
    ['1 = 1', 'line 1, column 5 of the condition: expected a column to compare the literal with, not 1'],
    ['1 and a', 'line 1, column 3 of the condition: expected a comparison'],
    ['a like b', 'line 1, column 8 of the condition: expected a pattern in quotes'],
    ["a like 'x\\\\\\'", 'line 1, column 8 of the condition: nothing follows the last \\'],
    ["a = 'x\0'", 'line 1, column 5 of the condition: a text holds neither a zero byte'],
    [`${'('.repeat(200)}a`, 'line 1, column 101 of the condition: it is nested too deeply'],
  ])('says where and what is wrong with %j', (source, message) => {
    expect(() => parseCondition(source)).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(message) as string }),
    )
  })

  test('whatever is written, it is read or refused by us', () => {
    const words = fc.constantFrom(...`a "b c" = < and or not ( ) 'x' 1 in is null '`.split(' '))
    const texts = fc.oneof(
      fc.array(words).map((list) => list.join(' ')),
      fc.array(fc.integer({ min: 0, max: 0x10ffff })).map((codes) => String.fromCodePoint(...codes)),
    )
    fc.assert(
      fc.property(texts, (source) => {
        expect(outcomeOf(source)).toMatch(/^(read|config_invalid)$/)
      }),
    )
  })
})

const schema: Schema = {
  fields: 'id int64,score float64,price decimal(10,2),exact numeric,name utf8,day date,at timestamptz,ok bool,doc json'
    .split(/,(?!2)/)
    .map((entry) => {
      const [name = '', type = ''] = entry.split(' ')
      return { name, type: parseType(type) ?? { kind: 'utf8' }, nullable: true }
    }),
}

function bound(source: string): unknown {
  const { bound: condition, problems } = bindCondition(parseCondition(source), schema)
  return condition ?? problems.map(({ code, text: said }) => `${code}: ${said}`)
}

describe('bindCondition', () => {
  test.each([
    ['id = 007', '7'],
    ['id = +1.50e1', '15'],
    ['id < 0.5', '0.5'],
    ['id = 1e3', '1000'],
    ['price > -0.10', '-0.1'],
    ['price = -0', '0'],
    [
      'exact = 12345678901234567890123456789012345678901234567890.5e-3',
      '12345678901234567890123456789012345678901234567.8905',
    ],
    ["exact = 'NaN'", 'NaN'],
    ["exact = '-Infinity'", '-Infinity'],
    ['score = 0.1', '0.1'],
    ["score = 'inf'", 'Infinity'],
    ["day = '2024-02-29'", '2024-02-29'],
    ["at > '2024-02-29T12:00:00+01:00'", '2024-02-29 11:00:00+00'],
    ['ok', 'true'],
    ["name = '7'", '7'],
  ])('%s compares with %s', (source, value) => {
    expect(bound(source)).toMatchObject({ value })
  })

  test.each([
    ['nmae = 1', 'column_not_found: where names a column "nmae" that the stream does not have; did you mean name?'],
    ['nmae is null', 'column_not_found: where names a column "nmae" that the stream does not have; did you mean name?'],
    ["id = 'x'", "config_invalid: where: column id is int64, and 'x' is no such value"],
    ["id = 'NaN'", "config_invalid: where: column id is int64, and 'NaN' is no such value"],
    ["price = 'Infinity'", "config_invalid: where: column price is decimal(10,2), and 'Infinity' is no such value"],
    ['id = true', 'config_invalid: where: column id is int64, and true is no such value'],
    ['name = 7', "config_invalid: where: column name is utf8; write '7' in quotes"],
    ['day = 20240229', 'config_invalid: where: column day is date, and 20240229 is no such value'],
    ["day = '2023-02-29'", "config_invalid: where: column day is date, and '2023-02-29' is no such value"],
    ['score = 1e400', 'config_invalid: where: column score is float64, and 1e400 is no such value'],
    ['exact = 1e2000', 'config_invalid: where: column exact is numeric, and 1e2000 is no such value'],
    ["id like '1%'", 'config_invalid: where: like is for text, and column id is int64'],
    ["doc = '{}'", 'config_invalid: where: column doc is json, which only "is null" can ask about'],
    ['name', "config_invalid: where: column name is utf8; write 'true' in quotes"],
  ])('%s is refused', (source, problem) => {
    expect(bound(source)).toEqual([problem])
  })

  test('every problem is told at once', () => {
    expect(bound("not (idd = 1 or name = 2) and id in ('x', 'y', 3)")).toHaveLength(4)
  })
})
