import { describe, expect, test } from 'vitest'
import type { Field, LogicalType } from '../src/index.ts'
import { fieldIndex, parseType, sameType, schemaFingerprint, typeName, typeNames, utf8 } from '../src/index.ts'

describe('parseType', () => {
  test.for([
    ['int64', { kind: 'int64' }],
    [' INT64 ', { kind: 'int64' }],
    ['text', { kind: 'utf8' }],
    ['boolean', { kind: 'bool' }],
    ['double', { kind: 'float64' }],
    ['decimal(10,2)', { kind: 'decimal', precision: 10, scale: 2 }],
    ['Decimal( 38 , 38 )', { kind: 'decimal', precision: 38, scale: 38 }],
    ['decimal(5)', { kind: 'decimal', precision: 5, scale: 0 }],
    ['timestamptz', { kind: 'timestamp', zone: true }],
    ['timestamp', { kind: 'timestamp', zone: false }],
  ] as const)('%s', ([text, type]) => expect(parseType(text)).toEqual(type))

  test.for([
    '',
    'int65',
    'decimal',
    'decimal(0)',
    'decimal(39,2)',
    'decimal(2,3)',
    'decimal(-1,0)',
    'decimal(a)',
    'constructor',
    '__proto__',
    'toString',
    'list<int32>',
  ])('not "%s"', (text) => expect(parseType(text)).toBeUndefined())

  test('knows every name that it says it knows, but the pattern', () => {
    const unknown = typeNames.filter((name) => parseType(name) === undefined)
    expect(unknown).toEqual(['decimal(p,s)'])
  })

  test('reads what typeName writes', () => {
    const types = typeNames.map(parseType).filter((type) => type !== undefined)
    expect(types.map((type) => parseType(typeName(type)))).toEqual(types)
  })
})

const nested: LogicalType = {
  kind: 'list',
  element: {
    kind: 'struct',
    fields: [
      { name: 'a', type: { kind: 'decimal', precision: 4, scale: 1 } },
      { name: 'b', type: utf8 },
    ],
  },
}

test('typeName of types that have no short name', () => {
  expect(typeName(nested)).toBe('list<struct<a: decimal(4,1), b: utf8>>')
  expect(typeName({ kind: 'native', vendor: 'postgres', type: 'tsvector' })).toBe('postgres:tsvector')
})

test('sameType looks at parameters', () => {
  expect(sameType(nested, structuredClone(nested))).toBe(true)
  expect(sameType({ kind: 'decimal', precision: 4, scale: 1 }, { kind: 'decimal', precision: 4, scale: 2 })).toBe(false)
  expect(sameType({ kind: 'timestamp', zone: true }, { kind: 'timestamp', zone: false })).toBe(false)
  expect(sameType({ kind: 'native', vendor: 'a', type: 't' }, { kind: 'native', vendor: 'b', type: 't' })).toBe(false)
  expect(sameType(utf8, { kind: 'json' })).toBe(false)
})

describe('schemas', () => {
  const fields: Field[] = [
    { name: 'id', type: { kind: 'int64' }, nullable: false },
    {
      name: 'tags',
      type: { kind: 'native', vendor: 'postgres', type: 'text[]' },
      nullable: true,
      vendor: 'postgres',
      declared: 'text[]',
    },
  ]

  test('fieldIndex', () => {
    expect(fieldIndex({ fields }, 'tags')).toBe(1)
    expect(fieldIndex({ fields }, 'Tags')).toBe(-1)
  })

  test('a fingerprint sees names, types, nullability, declared types and order, and nothing else', () => {
    const print = schemaFingerprint({ fields })
    const [id, tags] = fields as [Field, Field]
    expect(schemaFingerprint({ fields: structuredClone(fields) })).toBe(print)
    expect(schemaFingerprint({ fields: [{ ...id, comment: 'a number' }, tags] })).toBe(print)
    for (const other of [
      [tags, id],
      [id],
      [{ ...id, name: 'key' }, tags],
      [{ ...id, nullable: true }, tags],
      [{ ...id, type: { kind: 'int32' } as const }, tags],
      [id, { ...tags, declared: 'text[][]' }],
      [id, { ...tags, requires: [{ name: 't', ddl: 'CREATE TYPE t' }] }],
    ])
      expect(schemaFingerprint({ fields: other })).not.toBe(print)
  })
})
