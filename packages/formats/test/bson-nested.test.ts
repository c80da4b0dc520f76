import type { Field } from '@nebula/core'
import { BufferPool, typeName } from '@nebula/core'
import type { RawElement } from '@nebula/testkit/raw-bson'
import { array, document, double, element, int32, string } from '@nebula/testkit/raw-bson'
import { describe, expect, test } from 'vitest'
import { documentFields } from '../src/bson/collection-fields.ts'
import { FieldSampler } from '../src/bson/field-sampler.ts'
import { batchesOf, batchOf, fieldsOf, laidOut, nesting, rowsOf } from './bson-batches.ts'

const NOTHING = Buffer.alloc(0)
const int = (name: string, value = 1): RawElement => element(name, 0x10, int32(value))
const text = (name: string, value: string): RawElement => element(name, 0x02, string(value))
const none = (name: string): RawElement => element(name, 0x0a, NOTHING)
const within = (name: string, ...elements: RawElement[]): RawElement => element(name, 0x03, document(elements))
const list = (name: string, ...elements: RawElement[]): RawElement => element(name, 0x04, array(elements))
const types = (fields: readonly Field[]): string[] => fields.map(({ name, type }) => `${name} ${typeName(type)}`)

const STRUCT = { nesting: nesting({ objects: 'struct', arrays: 'list' }) }
const FLAT = { nesting: nesting({ objects: 'flatten' }) }

test.each([
  ['an empty name', [int('')]],
  ['a name that is an operator', [int('$b')]],
  ['more names than columns', Array.from({ length: 200 }, (_, i) => int(`n${i}`))],
])('documents that chance brings to light make none json that was columns, not with %s', (_, odd) => {
  const sampler = new FieldSampler(true)
  sampler.observe(document([int('_id'), within('a', int('b'))]))
  sampler.draw()
  for (let i = 0; i < 9; i++) sampler.observe(document([int('_id'), within('a', ...odd)]))
  for (const objects of ['flatten', 'struct'] as const) {
    const options = { overflow: '_overflow', idTypes: [], nesting: nesting({ objects }) }
    const [, field] = documentFields(sampler, options)
    expect(field?.type.kind).not.toBe('json')
  }
})

describe('a flattened document', () => {
  const sample = [document([int('_id'), within('a', int('b'), text('c', 'x'), within('d', int('e')))])]
  const fields = fieldsOf(sample, FLAT)
  const rowOf = (...elements: RawElement[]): object =>
    rowsOf(batchOf([document([int('_id'), ...elements])], { fields }))

  test('is a column for each of its fields, which say where they lie', () => {
    expect(types(fields)).toEqual(['_id int32', 'a.b int32', 'a.c utf8', 'a.d json', '_overflow json'])
    expect(fields[1]).toEqual({
      name: 'a.b',
      path: ['a', 'b'],
      type: { kind: 'int32' },
      nullable: true,
      vendor: 'mongo',
      declared: 'int',
      comment: 'in 100 % of 1 documents; 100 % int',
    })
    const deep = fieldsOf(sample, { nesting: nesting({ objects: 'flatten', flattenDepth: 2 }) })
    expect(types(deep)).toEqual(['_id int32', 'a.b int32', 'a.c utf8', 'a.d.e int32', '_overflow json'])
  })

  test('is held where its fields are, in their order; missing ones are null', () => {
    expect(rowOf(within('a', int('b'), text('c', 'y')))).toEqual([{ _id: 1, 'a.b': 1, 'a.c': 'y' }])
    expect(rowOf(within('a', within('d')))).toEqual([{ _id: 1, 'a.d': '{}' }])
    expect(rowOf()).toEqual([{ _id: 1 }])
  })

  test.each<[string, RawElement, string]>([
    ['is empty', within('a'), '{"a":{}}'],
    ['has another field', within('a', int('b'), int('z')), '{"a":{"b":1,"z":1}}'],
    ['is in another order', within('a', text('c', 'y'), int('b')), '{"a":{"c":"y","b":1}}'],
    ['has a null', within('a', int('b'), none('c')), '{"a":{"b":1,"c":null}}'],
    ['has a value of another type', within('a', int('b'), int('c')), '{"a":{"b":1,"c":1}}'],
    ['has a name twice', within('a', int('b'), int('b')), '{"a":{"$bson":'],
    ['is none', int('a'), '{"a":1}'],
    ['is null', none('a'), '{"a":null}'],
    ['has a dot in its name', int('a.b'), '{"a.b":1}'],
  ])('overflows as a whole where it %s', (_, odd, overflow) => {
    const batch = batchOf([document([int('_id'), odd]), document([int('_id'), within('a', int('b'))])], { fields })
    const [row, next] = rowsOf(batch)
    expect(Object.keys(row ?? {})).toEqual(['_id', '_overflow'])
    expect(row?.['_overflow']).toSatisfy((rest: string) => rest.startsWith(overflow))
    expect(next).toEqual({ _id: 1, 'a.b': 1 })
    expect(batch.overflowed).toBe(1)
  })

  test('has the same values whichever of its columns are looked at', () => {
    const odd = document([int('_id'), within('a', int('b'), int('c'))])
    const batch = batchOf([odd], { fields, wire: 'mongodb/bson', decode: [1] })
    expect(batch.column(1).validity?.[0]).toBe(0xfe)
  })

  test('gives what its columns hold where the overflow column is left out, and else its row is refused', () => {
    const some = fields.filter(({ name }) => ['_id', 'a.b', 'a.c'].includes(name))
    const good = [within('a', text('c', 'y'), int('z'), int('b')), within('a', none('b')), within('a'), none('a')].map(
      (one) => document([int('_id'), one]),
    )
    const bad = [within('a', int('c')), within('a', int('b'), int('b')), int('a')].map((one) =>
      document([int('_id'), one]),
    )
    const batch = batchOf([...good, ...bad], { fields: some })
    expect(rowsOf(batch)).toEqual([{ _id: 1, 'a.b': 1, 'a.c': 'y' }, { _id: 1 }, { _id: 1 }, { _id: 1 }])
    expect(batch.rejected.map(({ column, reason }) => `${column}: ${reason}`)).toEqual([
      'a: "a": this object is none that its column holds, in a column of object',
      'a: "a": this object is none that its column holds, in a column of object',
      'a: "a": a value of type int, in a column of object',
    ])
  })

  test.each([
    ['a dot', within('a', int('b'), int('c.d'))],
    ['a dollar', within('a', text('$ref', 'x'))],
    ['no', within('a', int('b'), int(''))],
    ['a dollar at the top', within('$a', int('b'))],
  ])('stays json where a name has %s', (_, one) => {
    expect(fieldsOf([document([one])], FLAT).map(({ type }) => type.kind)).toEqual(['json', 'json'])
  })

  test('leaves fields with a dot in their own name to the overflow column', () => {
    const fields = fieldsOf([document([int('a.b'), within('a', int('b'))])], FLAT)
    expect(types(fields)).toEqual(['a.b int32', '_overflow json'])
    expect(fields[0]?.path).toEqual(['a', 'b'])
  })
})

describe('structs and lists', () => {
  const documents = [
    document([
      int('_id'),
      within('s', int('a'), within('t', text('b', 'x')), element('m', 0x11, Buffer.alloc(8))),
      list('l', int('0', 1), none('1')),
      list('o', within('0', int('a')), within('1', int('a'), int('c'))),
    ]),
  ]
  const fields = fieldsOf(documents, STRUCT)
  const rowOf = (...elements: RawElement[]): object | undefined =>
    rowsOf(batchOf([document([int('_id'), ...elements])], { fields }))[0]

  test('have the types of what is in them, and can be had as json', () => {
    expect(types(fields)).toEqual([
      '_id int32',
      's struct<a: int32, t: struct<b: utf8>, m: json>',
      'l list<int32>',
      'o list<struct<a: int32, c: int32>>',
      '_overflow json',
    ])
    const json = fields.map((field) => ({ ...field, type: field.offers?.[1] ?? field.type }))
    expect(fields[2]?.offers?.map(typeName)).toEqual(['list<int32>', 'json', 'utf8'])
    expect(rowsOf(batchOf(documents, { fields: json }))).toEqual([
      {
        _id: 1,
        s: '{"a":1,"t":{"b":"x"},"m":{"$timestamp":{"t":0,"i":0}}}',
        l: '[1,null]',
        o: '[{"a":1},{"a":1,"c":1}]',
      },
    ])
  })

  test('hold what is missing and null as such, and what is empty', () => {
    expect(rowOf(within('s'), list('l'), list('o', within('0')))).toEqual({
      _id: 1,
      s: { a: null, t: null, m: null },
      l: [],
      o: [{ a: null, c: null }],
    })
    expect(rowOf(list('l', none('0'), int('1', 5)))).toEqual({ _id: 1, l: [null, 5] })
    // What is json in a struct may be of any type but null.
    expect(rowOf(within('s', int('m', 3)))).toEqual({ _id: 1, s: { a: null, t: null, m: '3' } })
  })

  test.each<[string, RawElement, string]>([
    ['another field', within('s', int('z')), '{"s":{"z":1}}'],
    ['a null in a struct', within('s', int('a'), none('m')), '{"s":{"a":1,"m":null}}'],
    ['another type within', within('s', within('t', int('b'))), '{"s":{"t":{"b":1}}}'],
    ['an element of another type', list('l', int('0'), int('1'), text('2', 'x')), '{"l":[1,1,"x"]}'],
    [
      'an element that is no such struct',
      list('o', within('0', int('a')), within('1', int('z'))),
      '{"o":[{"a":1},{"z":1}]}',
    ],
    ['names that are no indices', element('l', 0x04, document([int('1'), int('0')])), '{"l":{"$bson":'],
    ['a double', list('l', element('0', 0x01, double(1))), '{"l":[1.0]}'],
  ])('overflow as a whole for %s, and leave nothing behind', (_, odd, overflow) => {
    const good = document([
      int('_id'),
      within('s', int('a', 7)),
      list('l', int('0', 8), int('1', 9)),
      list('o', within('0', int('c')), within('1', int('a'))),
    ])
    const batch = batchOf([document([int('_id'), odd]), good], { fields })
    const [row, next] = rowsOf(batch)
    expect(Object.keys(row ?? {})).toEqual(['_id', '_overflow'])
    expect(row?.['_overflow']).toSatisfy((rest: string) => rest.startsWith(overflow))
    expect(next).toEqual({
      _id: 1,
      s: { a: 7, t: null, m: null },
      l: [8, 9],
      o: [
        { a: null, c: 1 },
        { a: 1, c: null },
      ],
    })
  })

  test('hold long lists, whose memory is used again and given back', () => {
    const numbers = Array.from({ length: 5000 }, (_, i) => int(String(i), i))
    const long = document([
      int('_id'),
      list('l', ...numbers),
      list('o', ...numbers.map(({ name }) => within(String(name), int('a')))),
    ])
    const pool = new BufferPool(1e9)
    const batches = batchesOf({ fields }, pool)
    for (let i = 0; i < 2; i++) {
      const batch = batches.make(laidOut([long, documents[0] as Buffer, long]))
      const [first, , last] = rowsOf(batch)
      expect(first?.['l']).toEqual(numbers.map((_, value) => value))
      expect(last).toEqual(first)
      expect(first?.['o']).toEqual(numbers.map(() => ({ a: 1, c: null })))
      batch.release()
    }
    batches.close()
    expect(pool.statistics.used).toBe(0)
  })

  test.each([
    ['elements of several types', [list('x', int('0'), text('1', ''))]],
    ['no elements', [list('x')]],
    ['nothing but nulls in it', [list('x', none('0'))]],
    ['no fields', [within('x')]],
    ['a field without a name', [within('x', int(''))]],
    ['names that are data', [within('x', ...Array.from({ length: 101 }, (_, i) => int(`n${i}`)))]],
  ])('are json with %s', (_, elements) => {
    expect(types(fieldsOf([document(elements)], STRUCT))).toEqual(['x json', '_overflow json'])
  })

  test('are json beyond 16 levels', () => {
    let deep = within('x', int('a'))
    for (let i = 0; i < 20; i++) deep = within('x', deep)
    const [field] = fieldsOf([document([deep])], STRUCT)
    expect(typeName(field?.type ?? { kind: 'bool' }).match(/struct/g)).toHaveLength(16)
  })
})

test('fields of nested documents stand where documents have them, whichever was seen first', () => {
  const sample = [within('a', int('b'), int('d')), within('a', int('x'), int('b'), int('c'), int('d'))].map((one) =>
    document([one]),
  )
  expect(types(fieldsOf(sample, FLAT))).toEqual(['a.x int32', 'a.b int32', 'a.c int32', 'a.d int32', '_overflow json'])
})

test('a collection has at most 1,000 columns, with those in structs: what would be more is json', () => {
  const wide = (name: string): RawElement => within(name, ...Array.from({ length: 90 }, (_, i) => int(`n${i}`)))
  const sample = [document(Array.from({ length: 20 }, (_, i) => wide(`w${i}`)))]
  const flat = fieldsOf(sample, FLAT)
  expect(flat).toHaveLength(11 * 90 + 9 + 1)
  expect(flat.slice(-11).map(({ type }) => type.kind)).toEqual(['int32', ...Array<string>(10).fill('json')])
  const structs = fieldsOf(sample, STRUCT)
  expect(structs.filter(({ type }) => type.kind === 'struct')).toHaveLength(11)
})
