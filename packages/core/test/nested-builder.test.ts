import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Column, LogicalType, Value } from '../src/index.ts'
import { anyBuilder, BufferPool, copyValue, gatherColumn, utf8 } from '../src/index.ts'
import { columnOf, valuesOf } from './columns.ts'

const int: LogicalType = { kind: 'int32' }
const STRUCT: LogicalType = {
  kind: 'struct',
  fields: [
    { name: 'i', type: int },
    { name: 's', type: utf8 },
    { name: 'b', type: { kind: 'bool' } },
    { name: 'u', type: { kind: 'uuid' } },
    { name: 'l', type: { kind: 'list', element: { kind: 'int64' } } },
  ],
}
const TYPE: LogicalType = { kind: 'list', element: STRUCT }

const nullable = <T>(some: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(some, { freq: 4 })
const structs: fc.Arbitrary<Value> = nullable(
  fc.record({
    i: nullable(fc.integer()),
    s: nullable(fc.string({ maxLength: 20 })),
    b: nullable(fc.boolean()),
    u: nullable(fc.uuid()),
    l: nullable(fc.array(nullable(fc.bigInt({ min: -5n, max: 2n ** 40n })), { maxLength: 5 })),
  }),
)
const lists: fc.Arbitrary<Value> = nullable(fc.array(structs, { maxLength: 6 }))

/** A column of values, made of what they are made of. */
function nestedColumn(type: LogicalType, values: readonly Value[]): Column {
  const validity = new Uint8Array((values.length + 7) >> 3)
  for (const [i, value] of values.entries())
    if (value !== null) validity[i >> 3] = (validity[i >> 3] as number) | (1 << (i & 7))
  const own = { type, length: values.length, validity }
  if (type.kind === 'list') {
    const offsets = new Int32Array(values.length + 1)
    const all = values.map((value) => (value ?? []) as Value[])
    for (const [i, list] of all.entries()) offsets[i + 1] = (offsets[i] as number) + list.length
    return { ...own, layout: 'list', offsets, child: nestedColumn(type.element, all.flat()) }
  }
  if (type.kind !== 'struct') return columnOf(type, values)
  const children = type.fields.map(({ name, type: inner }) =>
    nestedColumn(
      inner,
      values.map((value) => (value as { readonly [name: string]: Value } | null)?.[name] ?? null),
    ),
  )
  return { ...own, layout: 'struct', children }
}

test('rows of lists and structs are gathered in any order, with memory that is used again and given back', () => {
  fc.assert(
    fc.property(fc.array(lists, { maxLength: 20 }), fc.array(fc.nat(19), { maxLength: 40 }), (values, chosen) => {
      const rows = chosen.filter((row) => row < values.length)
      const column = nestedColumn(TYPE, values)
      const pool = new BufferPool(1e9)
      const builder = anyBuilder(TYPE, pool)
      gatherColumn(column, Int32Array.from(values.keys()), builder)
      expect(valuesOf(gatherColumn(column, Int32Array.from(rows), builder))).toEqual(rows.map((row) => values[row]))
      builder.free()
      expect(pool.statistics.used).toBe(0)
    }),
  )
})

test('a row that is taken back leaves nothing, and what is set stays while a batch grows', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(structs, fc.array(structs, { maxLength: 3 })), { maxLength: 40 }), (steps) => {
      const builder = anyBuilder(STRUCT, new BufferPool(1e9))
      let room = 1
      builder.start(room)
      for (const [row, [kept, others]] of steps.entries()) {
        if (row === room) builder.grow((room += 1 + (row % 9)))
        for (const other of others) {
          copyValue(nestedColumn(STRUCT, [other]), 0, builder, row)
          builder.clear(row)
        }
        copyValue(nestedColumn(STRUCT, [kept]), 0, builder, row)
      }
      builder.rows = steps.length
      expect(valuesOf(builder.finish())).toEqual(steps.map(([kept]) => kept))
    }),
  )
})

test('a list has room for as many elements as are asked for', () => {
  const type: LogicalType = { kind: 'list', element: int }
  const values = [Array.from({ length: 10_000 }, (_, i) => i), null, []]
  expect(
    valuesOf(
      gatherColumn(nestedColumn(type, values), Int32Array.of(0, 1, 0, 2), anyBuilder(type, new BufferPool(1e9))),
    ),
  ).toEqual([values[0], null, values[0], []])
})

test('a column of another layout is not gathered', () => {
  const pool = new BufferPool(1e6)
  const numbers = columnOf(int, [1])
  for (const type of [TYPE, STRUCT])
    expect(() => gatherColumn(numbers, Int32Array.of(0), anyBuilder(type, pool))).toThrow(
      expect.objectContaining({ code: 'internal' }),
    )
})
