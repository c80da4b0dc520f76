import {
  Table,
  tableFromArrays,
  tableFromIPC,
  tableToIPC,
  timestamp,
  TimeUnit,
  utf8 as arrowUtf8,
  columnFromArray,
  dictionary,
  int8,
  tableFromColumns,
  float16,
  float64,
  list,
} from '@uwdata/flechette'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromArrow, toArrow, toArrowIPC } from '../src/arrow/index.ts'
import type { BytesColumn, Column, Field, LogicalType, RecordBatch, Value } from '../src/index.ts'
import { createBatch, typeName, utf8 } from '../src/index.ts'
import { columnOf, valuesOf } from './columns.ts'
import { DECIMAL_NAN, nullable, TEXT_TYPES, TIMESTAMP_INFINITY } from '@nebula/testkit/arbitraries'

function batchOf(columns: readonly Column[], fields: readonly Partial<Field>[] = []): RecordBatch {
  const schema = {
    fields: columns.map((column, i) => ({ name: `c${i}`, type: column.type, nullable: true, ...fields[i] })),
  }
  return createBatch({ stream: 's', schema, rows: columns[0]?.length ?? 0, columns })
}

/** The batches behind an IPC stream. */
const again = (...batches: RecordBatch[]): RecordBatch[] => fromArrow(toArrowIPC(batches), 's')
const valuesIn = (batch: RecordBatch, index = 0): Value[] => valuesOf(batch.column(index))
const texts = (...values: (string | null)[]): BytesColumn => columnOf(utf8, values) as BytesColumn
const encoded = (dictionary: BytesColumn, indices: number[], validity: Uint8Array | null = null): Column => ({
  layout: 'dictionary',
  type: utf8,
  length: indices.length,
  validity,
  indices: Int32Array.from(indices),
  dictionary,
})

const native: LogicalType = { kind: 'native', vendor: 'postgres', type: 'tsvector' }
/** Arrow counts nanoseconds in 64 bits. */
const shortIntervals = fc.record({
  months: fc.integer(),
  days: fc.integer(),
  micros: fc.bigInt({ min: -9_000_000_000_000_000n, max: 9_000_000_000_000_000n }),
})
const TYPES: [LogicalType, fc.Arbitrary<Value>][] = [
  ...TEXT_TYPES.map(([type, values]): [LogicalType, fc.Arbitrary<Value>] => [
    type,
    type.kind === 'interval' ? shortIntervals : values,
  ]),
  [native, fc.uint8Array()],
]

describe('a batch comes back from an IPC stream as it was', () => {
  test.for(TYPES.map(([type, values]) => [typeName(type), type, values] as const))('%s', ([, type, values]) => {
    fc.assert(
      fc.property(fc.array(nullable(values), { maxLength: 40 }), (rows) => {
        const [back] = again(batchOf([columnOf(type, rows)])) as [RecordBatch]
        expect(back.schema.fields[0]?.type).toEqual(type)
        expect(valuesIn(back)).toEqual(rows)
      }),
      { numRuns: 50 },
    )
  })

  test('fields keep all that is known of them', () => {
    const fields: Partial<Field>[] = [
      { name: 'id', nullable: false, vendor: 'postgres', declared: 'bigint', comment: 'a "number"' },
      { name: 'état', offers: [utf8], requires: [{ name: 't', ddl: 'CREATE TYPE t' }], generated: true },
    ]
    const batch = batchOf([columnOf({ kind: 'int64' }, [1n]), texts('x')], fields)
    const [back] = again(batch) as [RecordBatch]
    expect(back.schema).toEqual(batch.schema)
    expect(back).toMatchObject({ stream: 's', rows: 1 })
  })

  test('several batches, of which one has no rows', () => {
    const batches = [[1, 2], [], [null, 4]].map((rows) => batchOf([columnOf({ kind: 'int32' }, rows)]))
    const back = again(...batches)
    expect(back.map((batch) => valuesIn(batch))).toEqual([[1, 2], [], [null, 4]])
  })

  test('list and struct', () => {
    const type: LogicalType = {
      kind: 'list',
      element: {
        kind: 'struct',
        fields: [
          { name: 'a', type: { kind: 'int64' } },
          { name: 'b', type: { kind: 'list', element: utf8 } },
        ],
      },
    }
    const inner: Column = {
      layout: 'list',
      type: { kind: 'list', element: utf8 },
      length: 3,
      validity: Uint8Array.of(0b011),
      offsets: Int32Array.of(0, 2, 2, 2),
      child: texts('x', null),
    }
    const child: Column = {
      layout: 'struct',
      type: (type as { element: LogicalType }).element,
      length: 3,
      validity: Uint8Array.of(0b101),
      children: [columnOf({ kind: 'int64' }, [1n, null, 3n]), inner],
    }
    const column: Column = {
      layout: 'list',
      type,
      length: 3,
      validity: Uint8Array.of(0b101),
      offsets: Int32Array.of(0, 2, 2, 3),
      child,
    }
    const [back] = again(batchOf([column])) as [RecordBatch]
    expect(back.schema.fields[0]?.type).toEqual(type)
    expect(valuesIn(back)).toEqual([[{ a: 1n, b: ['x', null] }, null], null, [{ a: 3n, b: null }]])
  })

  test('reserved values', () => {
    const infinite = { months: 0x7fffffff, days: 0x7fffffff, micros: 2n ** 63n - 1n }
    const minus = { months: -0x80000000, days: -0x80000000, micros: -(2n ** 63n) }
    const [back] = again(
      batchOf([
        columnOf({ kind: 'date' }, [0x7fffffff, -0x80000000]),
        columnOf({ kind: 'timestamp', zone: true }, [TIMESTAMP_INFINITY, -(2n ** 63n) + 1n]),
        columnOf({ kind: 'decimal', precision: 10, scale: 2 }, [DECIMAL_NAN, 1n]),
        columnOf({ kind: 'interval' }, [infinite, minus]),
      ]),
    ) as [RecordBatch]
    expect(valuesIn(back, 0)).toEqual([0x7fffffff, -0x80000000])
    expect(valuesIn(back, 1)).toEqual([TIMESTAMP_INFINITY, -(2n ** 63n) + 1n])
    expect(valuesIn(back, 2)).toEqual([DECIMAL_NAN, 1n])
    expect(valuesIn(back, 3)).toEqual([infinite, minus])
  })
})

describe('dictionaries', () => {
  test('stay dictionaries', () => {
    const [back] = again(batchOf([encoded(texts('red', 'green'), [1, 0, 0, 1], Uint8Array.of(0b1011))])) as [
      RecordBatch,
    ]
    expect(back.column(0)).toMatchObject({ layout: 'dictionary', type: utf8 })
    expect(valuesIn(back)).toEqual(['green', 'red', null, 'green'])
  })

  test('that batches share, and that differ', () => {
    const [one, two, three] = [texts('a', 'b'), texts('c', '', 'añ'), texts('b')]
    const batches = [encoded(one, [1, 0]), encoded(two, [2, 0, 1]), encoded(one, [0]), encoded(three, [0])].map(
      (column) => batchOf([column]),
    )
    const back = again(...batches)
    expect(back.map((batch) => valuesIn(batch))).toEqual([['b', 'a'], ['añ', 'c', ''], ['a'], ['b']])
    expect(back.map((batch) => batch.column(0).layout)).toEqual(Array(4).fill('dictionary'))
    const same = again(batchOf([encoded(one, [1])]), batchOf([encoded(one, [0])]))
    expect(same.map((batch) => valuesIn(batch))).toEqual([['b'], ['a']])
  })

  test('beside plain columns become plain', () => {
    const batches = [batchOf([encoded(texts('a', 'b'), [1, 1, 0], Uint8Array.of(0b110))]), batchOf([texts('x', null)])]
    const back = again(...batches)
    expect(back.map((batch) => batch.column(0).layout)).toEqual(['bytes', 'bytes'])
    expect(back.map((batch) => valuesIn(batch))).toEqual([
      [null, 'b', 'a'],
      ['x', null],
    ])
  })
})

describe('toArrow does not copy', () => {
  const buffers = (column: Column): ArrayBufferLike[] => {
    switch (column.layout) {
      case 'bool':
        return [column.bits.buffer]
      case 'fixed':
        return [column.values.buffer]
      case 'fixed64':
      case 'fixed128':
        return [column.words.buffer]
      case 'bytes':
        return [column.data.buffer, column.offsets.buffer]
      case 'dictionary':
        return [column.indices.buffer]
      default:
        return []
    }
  }
  const arrowBuffers = (table: Table): ArrayBufferLike[] => {
    const [data] = (table.children[0]?.data ?? []) as unknown as [{ values: Uint8Array; offsets?: Uint8Array }]
    return data.offsets ? [data.values.buffer, data.offsets.buffer] : [data.values.buffer]
  }

  test.for(
    TYPES.filter(([type]) => type.kind !== 'interval').map(([type, values]) => [typeName(type), type, values] as const),
  )('%s', ([, type, values]) => {
    const column = columnOf(type, [null, ...fc.sample(values, 9)])
    const table = toArrow(batchOf([column]))
    expect(arrowBuffers(table)).toEqual(buffers(column))
    expect(arrowBuffers(table).every((buffer, i) => buffer === buffers(column)[i])).toBe(true)
    expect(table.children[0]?.data[0]?.validity?.buffer).toBe(column.validity?.buffer)
  })

  test('dictionary indices, and the children of lists and structs', () => {
    const dictionary = texts('a', 'b')
    const column = encoded(dictionary, [1, 0])
    const table = toArrow(batchOf([column]))
    expect(arrowBuffers(table)[0]).toBe(buffers(column)[0])
    const child = columnOf({ kind: 'int32' }, [1, 2])
    const struct: Column = {
      layout: 'struct',
      type: { kind: 'struct', fields: [{ name: 'a', type: child.type }] },
      length: 2,
      validity: null,
      children: [child],
    }
    const list: Column = {
      layout: 'list',
      type: { kind: 'list', element: child.type },
      length: 1,
      validity: null,
      offsets: Int32Array.of(0, 2),
      child,
    }
    for (const parent of [struct, list]) {
      const [data] = toArrow(batchOf([parent])).children[0]?.data ?? []
      const values = data?.children?.[0]?.values as Int32Array | undefined
      expect(values?.buffer).toBe(buffers(child)[0])
    }
  })

  test('values read as other readers read them', () => {
    const table = toArrow(
      batchOf([
        columnOf({ kind: 'int64' }, [2n ** 60n, null]),
        columnOf({ kind: 'decimal', precision: 20, scale: 2 }, [-12345n, 1n]),
        texts('a', null),
        columnOf({ kind: 'bool' }, [true, false]),
        columnOf({ kind: 'uint64' }, [2n ** 64n - 1n, 0n]),
      ]),
    )
    expect(table.toColumns()).toMatchObject({
      c0: [2n ** 60n, null],
      c1: [-12345n, 1n],
      c2: ['a', null],
      c3: [true, false],
    })
    expect([...(table.getChild('c4')?.toArray() ?? [])]).toEqual([2n ** 64n - 1n, 0n])
    expect(table.children.map((column) => column.nullCount)).toEqual([1, 0, 1, 0, 0])
  })
})

describe('fromArrow', () => {
  test('gives batches over the table, without a copy', () => {
    const table = tableFromIPC(toArrowIPC([batchOf([columnOf({ kind: 'int64' }, [1n, 2n]), texts('a', 'b')])]), {
      useBigInt: true,
    })
    const [batch] = fromArrow(table, 'other') as [RecordBatch]
    expect(batch.stream).toBe('other')
    const [numbers, names] = [batch.column(0), batch.column(1)]
    const [first, second] = table.children.map((column) => column.data[0]?.values as Uint8Array)
    expect(numbers.layout === 'fixed64' && numbers.words.buffer).toBe(first?.buffer)
    expect(names.layout === 'bytes' && names.data.buffer).toBe(second?.buffer)
  })

  test('reads bytes that begin anywhere', () => {
    const bytes = toArrowIPC([
      batchOf([
        columnOf({ kind: 'int64' }, [1n, 2n]),
        columnOf({ kind: 'uuid' }, ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', null]),
      ]),
    ])
    for (let shift = 0; shift < 8; shift++) {
      const shifted = new Uint8Array(bytes.length + shift)
      shifted.set(bytes, shift)
      const [back] = fromArrow(shifted.subarray(shift), 's') as [RecordBatch]
      expect(valuesIn(back, 0)).toEqual([1n, 2n])
      expect(valuesIn(back, 1)).toEqual(['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', null])
    }
  })

  test('reads what others write, in the types with the same layout', () => {
    const table = tableFromArrays(
      { a: [1, null], b: ['x', 'y'], c: [new Date(0), new Date(1)], d: [[1.5], null], e: ['p', 'p'] },
      {
        types: {
          b: arrowUtf8(),
          c: timestamp(TimeUnit.MICROSECOND, 'Europe/Zurich'),
          d: list(float64()),
          e: dictionary(arrowUtf8(), int8()),
        },
      },
    )
    const [back] = fromArrow(tableToIPC(table, { format: 'stream' }) as Uint8Array, 's') as [RecordBatch]
    expect(back.schema.fields.map((field) => typeName(field.type))).toEqual([
      'int8',
      'utf8',
      'timestamptz',
      'list<float64>',
      'utf8',
    ])
    expect(back.schema.fields.map((field, i) => [field.name, valuesIn(back, i)])).toEqual([
      ['a', [1, null]],
      ['b', ['x', 'y']],
      ['c', [0n, 1000n]],
      ['d', [[1.5], null]],
      ['e', ['p', 'p']],
    ])
  })

  test('does not believe metadata that stand on other data', () => {
    const table = toArrow(batchOf([columnOf({ kind: 'int64' }, [1n])]))
    const field = {
      ...table.schema.fields[0],
      metadata: new Map([['nebula', '{"type":{"kind":"uuid"},"nullable":true}']]),
    }
    const other = new Table({ ...table.schema, fields: [field as (typeof table.schema.fields)[0]] }, table.children)
    const [back] = fromArrow(other, 's') as [RecordBatch]
    expect(back.schema.fields[0]?.type).toEqual({ kind: 'int64' })
  })

  test.for([
    ['float16', () => columnFromArray([1.5], float16())],
    ['timestamp in milliseconds', () => columnFromArray([new Date(0)], timestamp(TimeUnit.MILLISECOND))],
    ['a dictionary of numbers', () => columnFromArray([1], dictionary(int8()))],
  ] as const)('refuses %s', ([, column]) => {
    const table = tableFromColumns({ odd: column() })
    expect(() => fromArrow(table, 's')).toThrow(
      expect.objectContaining({ code: 'unsupported', message: expect.stringContaining('"odd"') }),
    )
  })
})

describe('intervals', () => {
  const interval: LogicalType = { kind: 'interval' }

  test('become nanoseconds', () => {
    const table = toArrow(batchOf([columnOf(interval, [{ months: 1, days: -2, micros: 3n }])]))
    expect(table.children[0]?.at(0)).toEqual(Float64Array.of(1, -2, 3000))
  })

  test('of more than 292 years are refused', () => {
    const batch = batchOf([columnOf(interval, [{ months: 0, days: 0, micros: 2n ** 62n }])])
    expect(() => toArrow(batch)).toThrow(expect.objectContaining({ code: 'data_invalid' }))
  })

  test('with nanoseconds that would be lost are refused', () => {
    const table = toArrow(batchOf([columnOf(interval, [{ months: 0, days: 0, micros: 1n }])]))
    const values = table.children[0]?.data[0]?.values as Uint8Array
    values[8] = (values[8] as number) + 1
    expect(() => fromArrow(table, 's')).toThrow(expect.objectContaining({ code: 'data_invalid' }))
  })
})
