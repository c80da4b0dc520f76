import type { Field } from '@nebula/core'
import { utf8 } from '@nebula/core'
import { expect, test } from 'vitest'
import { jsonValue } from '../src/certify/json-value.ts'
import type { Subject } from '../src/certify/subject.ts'
import { tableRows } from '../src/certify/table-rows.ts'

const field = (name: string, type: Field['type'] = utf8): Field => ({ name, type, nullable: true })
const found = { fields: [field('_id'), field('b'), field('a')] }
const rows = [
  ['1', 'x', 'y'],
  ['2', null, 'z'],
]

test('rows of a system without a schema are in the columns of the table', () => {
  const table = { fields: [field('a'), field('none'), field('b', { kind: 'json' })] }
  const schemaless = { schemaless: true } as Subject
  expect(tableRows(schemaless, table, found, rows)).toEqual([
    ['y', null, '"x"'],
    ['z', null, null],
  ])
  expect(tableRows({} as Subject, table, found, rows)).toBe(rows)
})

test.each([
  [' { "b" : 1, "a" : [ ] } ', '{"b":1,"a":[]}'],
  ['"\\u00e9\\/"', '"é/"'],
  ['1.50', '15e-1'],
  ['100', '1e2'],
  ['0', '0.0e7'],
  ['-0', '-0.0'],
])('%s is the value that %s is', (one, other) => expect(jsonValue(one)).toBe(jsonValue(other)))

test.each([
  ['9007199254740992', '9007199254740993'],
  ['0', '-0'],
  ['1', '10'],
  ['0.1', '1'],
  ['"1"', '1'],
  ['{"a":1,"b":2}', '{"b":2,"a":1}'],
  ['null', '""'],
])('%s is another value than %s', (one, other) => expect(jsonValue(one)).not.toBe(jsonValue(other)))
