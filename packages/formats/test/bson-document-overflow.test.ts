import type { LogicalType } from '@nebula/core'
import { utf8 } from '@nebula/core'
import { Int32, ObjectId } from 'bson'
import { describe, expect, test } from 'vitest'
import type { DocumentEncoderOptions } from '../src/index.ts'
import type { TestColumn } from './bson-columns.ts'
import { documentOf, element, encode, serialized } from './bson-documents.ts'

const int: LogicalType = { kind: 'int32' }
const json: LogicalType = { kind: 'json' }

describe('the overflow column', () => {
  const roles = { more: 'overflow' } as const
  const columns = (values: readonly (string | null)[], type: LogicalType = json): TestColumn[] => [
    { name: 'a', type: int, values: values.map(() => 1) },
    { name: 'more', type, values },
    { name: 'b', type: int, values: values.map(() => null) },
  ]

  test.each([json, utf8])('puts its fields behind the others', (type) => {
    const texts = ['{"c": 2, "d": {"a": 1}}', null, '{}', '{"": true, "ö": "x", "A": null, "$x": 1}']
    const a = ['a', new Int32(1)] as const
    expect(encode(columns(texts, type), { roles })).toEqual({
      documents: serialized(
        [a, ['c', new Int32(2)], ['d', { a: new Int32(1) }]],
        [a],
        [a],
        [a, ['', true], ['ö', 'x'], ['A', null], ['$x', new Int32(1)]],
      ),
      rows: undefined,
      rejected: [],
    })
  })

  test('takes the place of a column that is null, and keeps keys that repeat', () => {
    const [document] = encode(columns(['{"b": "x", "c": 1, "c": 2}']), { roles, nulls: 'write' }).documents
    const one = element('c', int, 1) as Buffer
    expect(document).toEqual(
      documentOf([element('a', int, 1), element('b', utf8, 'x'), one, element('c', int, 2)] as Buffer[]),
    )
  })

  test('is refused where a column has set the field, where it is no document, and where it is no Extended JSON', () => {
    const texts = ['{"c": 1, "a": 2}', '[1]', '{"c": 1', '{"_id": 1}', '{"$date": "2024-01-01T00:00:00Z"}', '{"c": 1}']
    const generateId: DocumentEncoderOptions['generateId'] = (_row, bytes, at) => bytes.fill(1, at, at + 12)
    expect(encode(columns(texts), { roles, generateId })).toEqual({
      documents: serialized([
        ['_id', new ObjectId('010101010101010101010101')],
        ['a', new Int32(1)],
        ['c', new Int32(1)],
      ]),
      rows: [5],
      rejected: [
        '0 more Column more holds a field that column a has set already.',
        '1 more Column more holds no document.',
        '2 more Column more holds no Extended JSON: byte 7 of the text: a comma or } is missing.',
        '3 more Column more holds a field that column _id has set already.',
        '4 more Column more holds no document.',
      ],
    })
  })

  test('is refused beside a nested document of the name, when that is written', () => {
    const found = encode(
      [
        { name: 'a.x', type: int, values: [1, null] },
        { name: 'more', type: json, values: ['{"a": 2}', '{"a": 2}'] },
      ],
      { roles, nested: true },
    )
    expect(found.documents).toEqual(serialized([['a', new Int32(2)]]))
    expect(found.rejected).toEqual(['0 more Column more holds a field that column a.x has set already.'])
  })

  test('does not break a document by bytes that are no elements', () => {
    // A document of the right length, in which a string ends outside.
    const broken = Buffer.from('030d0000000261000900000000', 'hex')
    const text = `{"$bson": {"base64": "${broken.toString('base64')}"}}`
    const { rejected } = encode(columns([text]), { roles })
    expect(rejected).toEqual([expect.stringMatching(/^0 more Column more holds /)])
  })
})
