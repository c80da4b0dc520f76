import { expect, test } from 'vitest'
import { documentFields } from '../src/bson/collection-fields.ts'
import { FieldSampler } from '../src/bson/field-sampler.ts'
import type { RawElement } from '@nebula/testkit/raw-bson'
import { binary, document, double, element, int32, string } from '@nebula/testkit/raw-bson'

const NOTHING = Buffer.alloc(0)
const int = (name: string): RawElement => element(name, 0x10, int32(1))
const none = (name: string): RawElement => element(name, 0x0a, NOTHING)

function sampled(documents: readonly Buffer[]): FieldSampler {
  const sampler = new FieldSampler()
  for (const bytes of documents) sampler.observe(bytes)
  return sampler
}

test('fields in order of first sight, each type by the documents that have it', () => {
  const sampler = sampled([
    document([int('b'), element('a', 0x02, string(''))]),
    document([int('a'), int('__proto__'), element('b', 0x01, double(1))]),
    document([int('b'), none('b')]),
    document([]),
  ])
  expect(sampler.documents).toBe(4)
  expect(sampler.fields()).toEqual([
    {
      name: 'b',
      present: 3,
      types: [
        { alias: 'int', count: 2 },
        { alias: 'double', count: 1 },
      ],
    },
    {
      name: 'a',
      present: 2,
      types: [
        { alias: 'string', count: 1 },
        { alias: 'int', count: 1 },
      ],
    },
    { name: '__proto__', present: 1, types: [{ alias: 'int', count: 1 }] },
  ])
})

test('names that cannot be those of columns, and damaged documents, are passed over', () => {
  const broken = document([int('late')])
  broken.writeInt32LE(3, 0)
  const inside = document([int('early'), element('s', 0x02, string('abc'))])
  inside.writeInt32LE(100, inside.length - 8)
  const sampler = sampled([
    document([int(''), element(Buffer.of(0xff), 0x0a, NOTHING), int('a.b'), int('$c')]),
    broken,
    inside,
  ])
  expect(sampler.documents).toBe(1)
  expect(sampler.fields().map(({ name }) => name)).toEqual(['a.b', '$c'])
})

test('of documents that are drawn by chance the _ids are kept', () => {
  const sampler = sampled([document([int('_id')])])
  expect(sampler.drawnIds).toEqual([])
  sampler.draw()
  sampler.observe(document([int('a'), int('_id')]))
  expect(sampler.drawnIds.map((bytes) => Buffer.from(bytes))).toEqual([document([int('_id')])])
})

test('a column is of the type that most values have, and null is none', () => {
  const documents = [
    document([int('_id'), int('a'), none('n'), none('m'), element('s', 0x11, Buffer.alloc(8))]),
    document([int('_id'), element('a', 0x02, string('')), none('n'), int('m')]),
    document([int('_id'), element('a', 0x02, string('')), none('m')]),
  ]
  const shared = { nullable: true, vendor: 'mongo' }
  expect(documentFields(sampled(documents), { overflow: 'rest', idTypes: ['int'] })).toEqual([
    { name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int', spelling: 'int' },
    {
      ...shared,
      name: 'a',
      type: { kind: 'utf8' },
      declared: 'string',
      comment: 'in 100 % of 3 documents; 33 % int, 67 % string',
    },
    { ...shared, name: 'n', type: { kind: 'json' }, declared: 'null', comment: 'in 67 % of 3 documents; 67 % null' },
    {
      ...shared,
      name: 'm',
      type: { kind: 'int32' },
      declared: 'int',
      comment: 'in 100 % of 3 documents; 67 % null, 33 % int',
    },
    {
      ...shared,
      name: 's',
      type: { kind: 'json' },
      declared: 'timestamp',
      comment: 'in 33 % of 3 documents; 33 % timestamp',
    },
    {
      ...shared,
      name: 'rest',
      type: { kind: 'json' },
      declared: 'overflow',
      comment: 'what no other column holds, as Extended JSON',
    },
  ])
})

test('shares that are nearly none or all are said to be so', () => {
  const documents = Array.from({ length: 1000 }, (_, i) => document(i === 0 ? [] : i === 1 ? [none('a')] : [int('a')]))
  const [field] = documentFields(sampled(documents), { overflow: 'rest', idTypes: [] })
  expect(field?.comment).toBe('in > 99 % of 1,000 documents; < 1 % null, > 99 % int')
})

test.each([
  ['of one type in the sample, and of another elsewhere', [int('_id')], ['string'], 'extended'],
  ['of a type that no column holds exactly', [element('_id', 0x03, document([]))], [], 'extended'],
  ['of decimals, of which some have exponents', [element('_id', 0x13, Buffer.alloc(16))], [], 'extended'],
  ['of UUIDs', [element('_id', 0x05, binary(4, Buffer.alloc(16)))], ['uuid'], 'uuid'],
  ['seen elsewhere alone', [], ['long'], 'long'],
])('an _id %s', (_, elements, idTypes, declared) => {
  const [field] = documentFields(sampled([document(elements)]), { overflow: 'rest', idTypes })
  expect(field).toMatchObject({ name: '_id', nullable: false, declared })
})

test('documents without an _id have no column of it', () => {
  const fields = documentFields(sampled([document([int('a')])]), { overflow: 'rest', idTypes: [] })
  expect(fields.map(({ name }) => name)).toEqual(['a', 'rest'])
})

test.each([
  ['in the sample', [int('rest')], {}],
  ['the _id', [int('_id')], { overflow: '_id' }],
  ['made by flattening', [element('a', 0x03, document([int('b')]))], { overflow: 'a.b' }],
])('no field may have the name of the overflow column: %s', (_, elements, options) => {
  const sampler = new FieldSampler(true)
  sampler.observe(document(elements))
  const nesting = { objects: 'flatten', flattenDepth: 1, arrays: 'json' } as const
  const fields = (): unknown => documentFields(sampler, { overflow: 'rest', idTypes: [], nesting, ...options })
  expect(fields).toThrow(/is the name of the column for what no other column holds/)
})
