import type { Column, LogicalType, NebulaError, Value } from '@nebula/core'
import { BufferPool, createBatch, utf8 } from '@nebula/core'
import { Binary, Code, Decimal128, Double, Int32, Long, ObjectId } from 'bson'
import { describe, expect, test } from 'vitest'
import type { DocumentEncoderOptions } from '../src/index.ts'
import { generatedId } from '../src/bson/generated-id.ts'
import { DocumentEncoder } from '../src/index.ts'
import { batchOf, columnOf } from './bson-columns.ts'
import type { Options } from './bson-documents.ts'
import { encode, encoderFor, serialized } from './bson-documents.ts'

const int: LogicalType = { kind: 'int32' }
const json: LogicalType = { kind: 'json' }
const native: LogicalType = { kind: 'native', vendor: 'mongo', type: 'objectId' }
const ID = '65a1b2c3d4e5f60718293a4b'
const id = new ObjectId(ID)

test('a document is what bson makes of the same values', () => {
  const found = encode([
    { name: 'b', type: int, values: [7] },
    { name: 'x.y', type: utf8, values: ['grün'] },
    { name: '_id', type: native, values: [Buffer.from(ID, 'hex')] },
    { name: 'l', type: { kind: 'int64' }, values: [2n ** 60n] },
    { name: 'd', type: { kind: 'float64' }, values: [-0] },
    { name: 'n', type: { kind: 'numeric' }, values: ['1.50'] },
    { name: 'w', type: { kind: 'timestamp', zone: true }, values: [-1n] },
    { name: 'j', type: json, values: [' {"$code": "f", "$scope": {"a": [1.0, {"$numberLong": "2"}]}} '] },
    { name: 'z', type: { kind: 'binary' }, values: [Buffer.from([1, 2, 3])] },
  ])
  expect(found).toEqual({
    documents: serialized([
      ['_id', id],
      ['b', new Int32(7)],
      ['x.y', 'grün'],
      ['l', Long.fromBigInt(2n ** 60n)],
      ['d', new Double(-0)],
      ['n', Decimal128.fromString('1.50')],
      ['w', new Date(-1)],
      ['j', new Code('f', { a: [new Double(1), Long.fromNumber(2)] })],
      ['z', new Binary(Buffer.from([1, 2, 3]))],
    ]),
    rows: undefined,
    rejected: [],
  })
})

test('an _id comes first under its name, whatever its column is called', () => {
  const columns = [
    { name: 'a', type: int, values: [1] },
    { name: 'key', type: int, values: [2] },
  ]
  const roles = { key: 'id' } as const
  expect(encode(columns, { roles }).documents).toEqual(
    serialized([
      ['_id', new Int32(2)],
      ['a', new Int32(1)],
    ]),
  )
})

test('nulls are left out, or written', () => {
  const columns = [
    { name: 'a', type: int, values: [null, 2] },
    { name: 'b', type: utf8, values: ['x', null] },
  ]
  const two = new Int32(2)
  expect(encode(columns).documents).toEqual(serialized([['b', 'x']], [['a', two]]))
  const written = serialized(
    [
      ['a', null],
      ['b', 'x'],
    ],
    [
      ['a', two],
      ['b', null],
    ],
  )
  expect(encode(columns, { nulls: 'write' }).documents).toEqual(written)
})

describe('the _id of rows that have none', () => {
  const generateId: DocumentEncoderOptions['generateId'] = (row, bytes, at) =>
    generatedId(Buffer.from('0102030405060708', 'hex'), row, bytes, at)
  const made = (row: string): ObjectId => new ObjectId(`0102030405060708${row}`)

  test('is generated where there is no such column', () => {
    const columns = [{ name: 'a', type: int, values: [5, 6] }]
    expect(encode(columns, { generateId }, 1).documents).toEqual(
      serialized([
        ['_id', made('00000001')],
        ['a', new Int32(6)],
      ]),
    )
    expect(encode(columns).documents).toEqual(serialized([['a', new Int32(5)]], [['a', new Int32(6)]]))
  })

  test('is generated where it is null, or the row is refused', () => {
    const columns = [
      { name: 'a', type: int, values: [5, 6] },
      { name: '_id', type: int, values: [1, null] },
    ]
    const first = [
      ['_id', new Int32(1)],
      ['a', new Int32(5)],
    ] as const
    const second = [
      ['_id', made('00000001')],
      ['a', new Int32(6)],
    ] as const
    expect(encode(columns, { generateId }).documents).toEqual(serialized(first, second))
    expect(encode(columns, { nulls: 'write' })).toEqual({
      documents: serialized(first),
      rows: [0],
      rejected: ['1 _id Column _id holds null, where a document needs its _id.'],
    })
  })

  test('holds all bits of the row', () => {
    const bytes = Buffer.alloc(13)
    generatedId(Buffer.alloc(8), 2 ** 40 + 0x1020304, bytes, 1)
    expect(bytes.toString('hex')).toBe('00000000000000010001020304')
  })
})

describe('nested names', () => {
  const columns = [
    { name: 'a.x', type: int, values: [1, null, 3] },
    { name: 'b', type: int, values: [4, 5, 6] },
    { name: 'a.y.z', type: int, values: [7, null, null] },
    { name: '_id.k', type: int, values: [8, 9, 10] },
  ]
  const one = (number: number): Int32 => new Int32(number)

  test('become documents at the place of the first, without those that would be empty', () => {
    expect(encode(columns, { nested: true }).documents).toEqual(
      serialized(
        [
          ['_id', { k: one(8) }],
          [
            'a',
            new Map<string, unknown>([
              ['x', one(1)],
              ['y', { z: one(7) }],
            ]),
          ],
          ['b', one(4)],
        ],
        [
          ['_id', { k: one(9) }],
          ['b', one(5)],
        ],
        [
          ['_id', { k: one(10) }],
          ['a', { x: one(3) }],
          ['b', one(6)],
        ],
      ),
    )
  })

  test('hold written nulls', () => {
    const [, second] = encode(columns, { nested: true, nulls: 'write' }).documents
    expect([second]).toEqual(
      serialized([
        ['_id', { k: one(9) }],
        [
          'a',
          new Map<string, unknown>([
            ['x', null],
            ['y', { z: null }],
          ]),
        ],
        ['b', one(5)],
      ]),
    )
  })

  test('name the column of a value that is refused', () => {
    const bad = [{ name: 'a.b.c', type: { kind: 'date' } as const, values: [0x7fffffff, 0] }]
    expect(encode(bad, { nested: true })).toEqual({
      documents: serialized([['a', { b: { c: new Date(0) } }]]),
      rows: [1],
      rejected: ['0 a.b.c Column a.b.c holds an infinite date.'],
    })
  })
})

test('lists and structs become arrays and documents', () => {
  const type: LogicalType = {
    kind: 'list',
    element: {
      kind: 'struct',
      fields: [
        { name: 'n', type: { kind: 'time' } },
        { name: 'l', type: { kind: 'list', element: json } },
      ],
    },
  }
  const values: Value[] = [
    [{ n: 1n, l: ['1', null, '"x"'] }, null, { n: null, l: [] }],
    null,
    [],
    Array.from({ length: 12 }, (_, i) => ({ n: 3_600_000_000n * BigInt(i), l: null })),
  ]
  const rest = Array.from({ length: 12 }, (_, i) => ({ n: `${String(i).padStart(2, '0')}:00:00` }))
  const expected: [string, unknown][][] = [
    [
      [
        'f',
        [
          new Map<string, unknown>([
            ['n', '00:00:00.000001'],
            ['l', [new Int32(1), null, 'x']],
          ]),
          null,
          { l: [] },
        ],
      ],
    ],
    [],
    [['f', []]],
    [['f', rest]],
  ]
  expect(encode([{ name: 'f', type, values }]).documents).toEqual(serialized(...expected))
  expect(encode([{ name: 'f', type, values }], {}, 2).documents).toEqual(serialized(...expected.slice(2)))
})

test('texts of an ObjectId, and of Extended JSON, are what they say', () => {
  const found = encode(
    [
      { name: '_id', type: utf8, values: [ID, ID.toUpperCase(), `${ID}0`, `${ID.slice(1)}g`, ''] },
      { name: 'x', type: utf8, values: ['{"$minKey": 1}', '"s"', '1', '1', '1'] },
    ],
    { as: { _id: 'objectId', x: 'extended' } },
  )
  expect(found.documents.map((document) => document.toString('hex'))).toEqual([
    `19000000075f696400${ID}ff780000`,
    `1f000000075f696400${ID}02780002000000730000`,
  ])
  expect(found.rejected).toEqual(
    [2, 3, 4].map((row) => `${row} _id Column _id holds a text that is not the 24 hexadecimal digits of an ObjectId.`),
  )
})

test('an entry of a dictionary is written as its text says', () => {
  const entries = columnOf(utf8, ['1', ID.replace('65', '66'), ID])
  const dictionary = { type: utf8, length: 3, validity: Uint8Array.of(0b101), indices: Int32Array.of(2, 0, 1) }
  const column = { ...dictionary, layout: 'dictionary', dictionary: entries } as Column
  const batch = createBatch({ stream: 's', schema: { fields: [] }, rows: 3, columns: [column, column, column] })
  const columns = ['_id', 's', 'e'].map((name) => ({ name, type: utf8 }))
  const encoder = encoderFor(columns.slice(0, 2), { as: { _id: 'objectId' } })
  const { data, rejected } = encoder.encode(batch, 2, 3)
  expect(rejected).toEqual([])
  expect([Buffer.from(data)]).toEqual(
    serialized([
      ['_id', new ObjectId(ID.replace('65', '66'))],
      ['s', ID.replace('65', '66')],
    ]),
  )
  const second = encoderFor(columns.slice(1), { as: { e: 'extended' } }).encode(batch, 0, 3)
  expect(second.rows).toEqual(Int32Array.of(1))
})

test('memory is used again by the next batch, and given back', () => {
  const own = new BufferPool(1e9)
  const encoder = new DocumentEncoder({
    fields: [
      { name: 'a', type: utf8, role: 'field' },
      { name: 't', type: { kind: 'time' }, role: 'field' },
      { name: 'o', type: json, role: 'overflow' },
    ],
    nulls: 'omit',
    nested: false,
    pool: own,
  })
  const batch = batchOf([
    { name: 'a', type: utf8, values: Array.from({ length: 3000 }, (_, i) => 'ä'.repeat(i % 200)) },
    { name: 't', type: { kind: 'time' }, values: Array.from({ length: 3000 }, (_, i) => BigInt(i)) },
    { name: 'o', type: json, values: Array.from({ length: 3000 }, (_, i) => `{"x": "${'y'.repeat(i % 300)}"}`) },
  ])
  const first = Buffer.from(encoder.encode(batch, 0, 3000).data)
  const { misses } = own.statistics
  expect(Buffer.from(encoder.encode(batch, 0, 3000).data)).toEqual(first)
  expect(own.statistics.misses).toBe(misses)
  encoder.free()
  expect(own.statistics.used).toBe(0)
})

describe('what is refused before the first row', () => {
  const refusal = (columns: readonly (readonly [string, LogicalType])[], options: Options = {}): string => {
    try {
      encoderFor(
        columns.map(([name, type]) => ({ name, type })),
        options,
      )
    } catch (error) {
      return `${(error as NebulaError).code}: ${(error as NebulaError).message}`
    }
    return 'nothing'
  }
  const struct: LogicalType = {
    kind: 'struct',
    fields: [
      { name: 'a', type: int },
      { name: 'a', type: int },
    ],
  }
  const overflow = { o: 'overflow', p: 'overflow' } as const

  test.each([
    [
      [
        ['a', int],
        ['a.b', int],
      ],
      { nested: true },
      'target_incompatible: Column "a.b" cannot be nested in a, which is a value.',
    ],
    [
      [
        ['a.b', int],
        ['a', int],
      ],
      { nested: true },
      'target_incompatible: Column "a" cannot be a field: another',
    ],
    [
      [
        ['a.b', int],
        ['a.b.c', int],
      ],
      { nested: true },
      'target_incompatible: Column "a.b.c" cannot be nested in a.b',
    ],
    [
      [
        ['a.b', int],
        ['a', int],
      ],
      {},
      'nothing',
    ],
    [
      [
        ['a', int],
        ['a', int],
      ],
      {},
      'target_incompatible: Column "a" cannot be a field',
    ],
    [
      [
        ['_id', int],
        ['k', int],
      ],
      { roles: { k: 'id', _id: 'field' } },
      'target_incompatible: Column "k" cannot be a field',
    ],
    [[['a\0', int]], {}, 'target_incompatible: Column "a\\u0000" cannot be a field: a name cannot hold a NUL'],
    [[['f', struct]], {}, 'target_incompatible: Column "f" cannot be a document: two of its fields'],
    [[['o', int]], { roles: overflow }, 'target_incompatible: Column "o" cannot be the overflow column'],
    [
      [
        ['o', json],
        ['p', json],
      ],
      { roles: overflow },
      'target_incompatible: Column "p" cannot be the overflow column',
    ],
    [
      [['f', { kind: 'native', vendor: 'postgres', type: 'x' }]],
      {},
      'unsupported: Documents cannot hold column f of type postgres:x.',
    ],
    [[['f', int]], { as: { f: 'extended' } }, 'unsupported: Documents cannot hold column f of type int32 as extended.'],
  ] as [[string, LogicalType][], Options, string][])('%j %j: %s', (columns, options, message) => {
    expect(refusal(columns, options)).toContain(message)
  })
})

test('documents within each other are as many as MongoDB takes', () => {
  const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
  const found = encode([{ name: 'j', type: json, values: [deep(199), deep(200), deep(100_000)] }])
  expect(found.rows).toEqual([0])
  expect(found.rejected[0]).toBe('1 j Column j holds more than 200 documents within each other.')
})
