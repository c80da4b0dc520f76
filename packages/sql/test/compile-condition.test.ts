import type { Schema } from '@nebula/core'
import { bindCondition, parseCondition, parseType } from '@nebula/core'
import { expect, test } from 'vitest'
import type { ConditionDialect } from '../src/index.ts'
import { compileCondition, mergeRanges, Names } from '../src/index.ts'

const dialect: ConditionDialect = {
  names: new Names({ vendor: 'Some', quote: '`', maxBytes: 64 }),
  types: { columnType: ({ kind }) => ({ type: kind }) },
  text: (column, declared) => `BINARY(${column} ${declared ?? ''})`,
}
const schema: Schema = {
  fields: [
    { name: 'id', type: { kind: 'int32' }, nullable: true },
    { name: 'a`b', type: { kind: 'utf8' }, nullable: true, declared: 'varchar' },
    { name: 'n', type: parseType('decimal(10,2)') ?? { kind: 'numeric' }, nullable: true },
  ],
}

test.each([
  ['id = 7', "(`id` = CAST('7' AS int64))"],
  ['id < 0.5', "(`id` < CAST('0.5' AS numeric))"],
  ['id <> 12345678901234567890', "(`id` <> CAST('12345678901234567890' AS numeric))"],
  ['n in (1, 2.50)', "(`n` IN (CAST('1' AS numeric), CAST('2.5' AS numeric)))"],
  ["\"a`b\" = 'it''s'", "(BINARY(`a``b` varchar) = CAST('it''s' AS utf8))"],
  [
    'not "a`b" like \'%\' or id is null',
    "((NOT (BINARY(`a``b` varchar) LIKE CAST('%' AS utf8))) OR (`id` IS NOT DISTINCT FROM NULL))",
  ],
])('%s', (source, sql) => {
  const { bound } = bindCondition(parseCondition(source), schema)
  expect(compileCondition(bound as NonNullable<typeof bound>, dialect)).toBe(sql)
})

test('ranges of one table that touch become one', () => {
  const at = (table: string, from?: number, to?: number) => ({
    schema: 's',
    table,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  })
  expect(
    mergeRanges([at('a', 0, 1), at('a', 1, 2), at('a', 3, 4), at('b', 4), at('c', undefined, 2), at('c', 2)]),
  ).toEqual([at('a', 0, 2), at('a', 3, 4), at('b', 4), at('c')])
})
