import type { Column, LogicalType, Value } from '@nebula/core'
import { BufferPool, createBatch, typeName } from '@nebula/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columnOf, format } from '../../core/test/columns.ts'
import { nullable, TEXT_TYPES } from '@nebula/testkit/arbitraries'
import { BucketSums } from '../src/bucket-sums.ts'
import { wordsToBigInt } from '../src/row-balance.ts'
import { RowHasher } from '../src/row-hasher.ts'

const NATIVE: LogicalType = { kind: 'native', vendor: 'postgres', type: 'point' }
/** With bytes that only the vendor understands. */
const TYPES = [...TEXT_TYPES, [NATIVE, fc.string({ maxLength: 20 })] as const]

const everyType = fc.constantFrom(...TYPES)

/** Hashes columns as one batch, and hands the hasher to `look`. */
function hashed<T>(columns: readonly Column[], key: readonly number[], look: (hasher: RowHasher) => T): T {
  const pool = new BufferPool(2 ** 30)
  const fields = columns.map(({ type }, i) => ({ name: `c${i}`, type, nullable: true }))
  const rows = columns[0]?.length ?? 0
  const batch = createBatch({ stream: 's', schema: { fields }, rows, columns })
  const indices = columns.map((_, i) => i)
  const hasher = new RowHasher(indices, key, pool)
  try {
    hasher.hash(batch)
    return look(hasher)
  } finally {
    hasher.free()
    expect(pool.statistics.used).toBe(0)
  }
}

function sumOf(columns: readonly Column[], key: readonly number[] = []): BucketSums {
  return hashed(columns, key, ({ keys, rows }) => {
    const sums = new BucketSums(4)
    const count = columns[0]?.length ?? 0
    for (let i = 0; i < count * 2; i += 2)
      sums.add((keys[i] as number) & 3, 1, rows[i] as number, rows[i + 1] as number)
    return sums
  })
}

/** The hash of every row. */
function hashesOf(columns: readonly Column[], key: readonly number[] = []): bigint[] {
  return hashed(columns, key, ({ rows }) =>
    Array.from({ length: columns[0]?.length ?? 0 }, (_, i) =>
      wordsToBigInt(rows[i * 2] as number, rows[i * 2 + 1] as number),
    ),
  )
}

const text = (...values: (string | null)[]): Column => columnOf({ kind: 'utf8' }, values)

describe('RowHasher', () => {
  test('any change of one value, of any type, changes the sum of its bucket', () => {
    const changes = everyType.chain(([type, values]) => {
      const value = nullable(values)
      return fc.record({
        type: fc.constant(type),
        values: fc.array(value, { minLength: 1, maxLength: 20 }),
        at: fc.nat(),
        other: value,
      })
    })
    fc.assert(
      fc.property(changes, ({ type, values, at, other }) => {
        const place = at % values.length
        const before = columnOf(type, values)
        const after = columnOf(type, values.with(place, other))
        const numbers = columnOf(
          { kind: 'int32' },
          values.map((_, row) => row),
        )
        fc.pre(!sameText(before, after, place))
        expect({
          type: typeName(type),
          buckets: sumOf([numbers, before], [0]).differing(sumOf([numbers, after], [0])),
        }).toMatchObject({ buckets: { length: 1 } })
        expect(sumOf([before]).differing(sumOf([after]))).not.toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  test('any order of the rows gives the same sums', () => {
    const tables = fc.tuple(everyType, everyType).chain(([[a, as], [b, bs]]) => {
      const rows = fc.array(fc.tuple(nullable(as), nullable(bs)), { maxLength: 30 })
      return rows.chain((list) => {
        const shuffled = fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length })
        return fc.record({ a: fc.constant(a), b: fc.constant(b), list: fc.constant(list), shuffled })
      })
    })
    fc.assert(
      fc.property(tables, ({ a, b, list, shuffled }) => {
        const [first, second] = [list, shuffled].map((rows: [Value, Value][]) => [
          columnOf(
            a,
            rows.map(([value]) => value),
          ),
          columnOf(
            b,
            rows.map(([, value]) => value),
          ),
        ]) as [Column[], Column[]]
        expect(sumOf(first).differing(sumOf(second))).toEqual([])
        expect(sumOf(first).rows).toBe(list.length)
      }),
    )
  })

  test('types that have the same text have the same hash: what matters is the value', () => {
    const texts = ['1', '-7', '2147483647']
    const ints = columnOf({ kind: 'int32' }, texts.map(Number))
    const longs = columnOf({ kind: 'int64' }, texts.map(BigInt))
    expect(hashesOf([ints])).toEqual(hashesOf([longs]))
    expect(hashesOf([ints])).toEqual(hashesOf([text(...texts)]))
  })

  test('borders between values count, and null is not the empty text', () => {
    const rows: (string | null)[][] = [
      ['ab', 'c'],
      ['a', 'bc'],
      ['abc', ''],
      ['', 'abc'],
      ['abc', null],
      [null, 'abc'],
      ['', ''],
      [null, null],
      ['', null],
      [null, ''],
      ['a\0', ''],
      ['a', '\0'],
      ['a', ''],
    ]
    const hashes = hashesOf([text(...rows.map(([a]) => a as string)), text(...rows.map(([, b]) => b as string))])
    expect(new Set(hashes).size).toBe(rows.length)
  })

  test('texts of every length differ, on both sides of the copying by the engine', () => {
    const texts = Array.from({ length: 200 }, (_, length) => 'x'.repeat(length))
    expect(new Set(hashesOf([text(...texts)])).size).toBe(200)
    const long = 'y'.repeat(100_000)
    expect(new Set(hashesOf([text(long, `${long} `, ` ${long}`)])).size).toBe(3)
    // What a longer value left behind is no part of a shorter one.
    expect(hashesOf([text(long, 'a')])[1]).toBe(hashesOf([text('a')])[0])
  })

  test('the key alone chooses the bucket, and all columns make the hash', () => {
    const [ids, names] = [columnOf({ kind: 'int32' }, [1, 2]), text('a', 'b')]
    const keys = (columns: Column[], key: number[]): number[] => hashed(columns, key, (hasher) => [...hasher.keys])
    expect(keys([ids, names], [0])).toEqual(keys([ids, text('c', 'd')], [0]))
    expect(hashesOf([ids, names], [0])).not.toEqual(hashesOf([ids, text('c', 'd')], [0]))
    expect(hashed([ids, names], [0], (hasher) => [hasher.text(1, 1), hasher.text(0, 0)])).toEqual(['b', '1'])
    const native = columnOf(NATIVE, ['\u0000\u0001'])
    expect(hashed([native], [], (hasher) => hasher.text(0, 0))).toBe('\\x0001')
  })
})

function sameText(a: Column, b: Column, row: number): boolean {
  if (a.type.kind === 'native') return JSON.stringify(bytesAt(a, row)) === JSON.stringify(bytesAt(b, row))
  return format(a)[row] === format(b)[row]
}

function bytesAt(column: Column, row: number): number[] | null {
  if (column.layout !== 'bytes') return null
  if (column.validity && ((column.validity[row >> 3] as number) & (1 << (row & 7))) === 0) return null
  return [...column.data.subarray(column.offsets[row], column.offsets[row + 1])]
}
