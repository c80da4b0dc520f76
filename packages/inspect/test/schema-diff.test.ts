import type { Field, StreamInfo } from '@nebula/core'
import { parseType, schemaFingerprint, utf8 } from '@nebula/core'
import type { RecordedStream } from '@nebula/runtime'
import { describe, expect, test } from 'vitest'
import { diffStreams } from '../src/index.ts'

const field = (name: string, type: string, more: Partial<Field> = {}): Field => {
  return { name, type: parseType(type) ?? utf8, nullable: true, ...more }
}
const info = (name: string, fields: Field[], key: string[] = []): StreamInfo => {
  return { name, schema: { fields }, key, wire: [] }
}
const recorded = ({ name, schema, key }: StreamInfo): RecordedStream => {
  return { stream: name, run: 'r', fingerprint: schemaFingerprint(schema), schema, key }
}

const orders = info(
  'orders',
  [field('id', 'int64', { nullable: false }), field('name', 'text'), field('at', 'date')],
  ['id'],
)

function change(fields: Field[], key = ['id']): unknown {
  const [found] = diffStreams([recorded(orders)], [info('orders', fields, key)])
  return found?.columns.map((column) => Object.values(column).join(' '))
}

describe('diffStreams', () => {
  test('says nothing of what stayed as it was', () => {
    expect(diffStreams([recorded(orders)], [orders])).toEqual([])
  })

  test('names streams that came and went', () => {
    expect(diffStreams([recorded(orders)], [info('lines', [])])).toEqual([
      { stream: 'lines', change: 'added', columns: [] },
      { stream: 'orders', change: 'removed', columns: [] },
    ])
  })

  const [id, name, at] = orders.schema.fields as [Field, Field, Field]

  test.each<[string, Field[], string[]]>([
    ['a column that came', [id, name, at, field('note', 'text')], ['note added utf8']],
    ['a column that went', [id, at], ['name removed utf8']],
    ['a column of another type', [id, name, field('at', 'timestamp')], ['at type date timestamp']],
    ['a column that may be null now', [{ ...id, nullable: true }, name, at], ['id nullable not null null']],
    ['columns in another order', [name, id, at], ['name moved 2 1', 'id moved 1 2']],
    [
      'a column in place of another',
      [id, field('title', 'text', { declared: 'varchar(9)' }), at],
      ['name removed utf8', 'title added varchar(9)'],
    ],
  ])('%s', (_, fields, expected) => {
    expect(change(fields)).toEqual(expected)
  })

  test('a type that only the source tells apart', () => {
    const before = info('t', [field('a', 'text', { declared: 'varchar(9)' })])
    const after = info('t', [field('a', 'text', { declared: 'varchar(10)' })])
    expect(diffStreams([recorded(before)], [after])[0]?.columns).toEqual([
      { column: 'a', change: 'type', before: 'varchar(9)', after: 'varchar(10)' },
    ])
  })

  test('another key', () => {
    const [found] = diffStreams([recorded(orders)], [{ ...orders, key: [] }])
    expect(found).toEqual({ stream: 'orders', change: 'changed', columns: [], key: { before: ['id'], after: [] } })
  })
})
