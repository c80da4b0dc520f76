import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BucketSums } from '../src/bucket-sums.ts'
import type { CompareOptions, Comparison } from '../src/compare.ts'
import { compareSides } from '../src/compare.ts'
import { murmur3 } from '../src/murmur3.ts'
import { wordsToBigInt } from '../src/row-balance.ts'
import type { Side } from '../src/side.ts'

type Row = readonly [key: number, value: string]

function words(text: string): [low: number, high: number] {
  const bytes = Buffer.from(text)
  const padded = new Uint8Array(Math.ceil(bytes.length / 16) * 16)
  padded.set(bytes)
  const out = new Int32Array(4)
  murmur3(new Int32Array(padded.buffer), bytes.length, 0, out)
  return [out[0] as number, out[1] as number]
}

/** A side over rows in memory; `passes` counts how often it is read for rows. */
function sideOf(rows: readonly Row[], keyed: boolean): Side & { passes: number } {
  const hashed = rows.map(([key, value]) => {
    const row = words(`${key} ${value}`)
    return { key: keyed ? words(String(key)) : row, row, values: [String(key), value] }
  })
  return {
    passes: 0,
    unreadable: 0,
    async sums(buckets) {
      const sums = new BucketSums(buckets)
      for (const { key, row } of hashed) sums.add(key[0] & (buckets - 1), 1, row[0], row[1])
      return sums
    },
    async rows(buckets, chosen, take) {
      this.passes++
      for (const { key, row } of hashed)
        if (chosen.has(key[0] & (buckets - 1))) take(Int32Array.of(...key), Int32Array.of(...row), 0)
    },
    async find(keys, limit) {
      return hashed
        .map(({ key, row, values }, i) => ({
          keyHash: String(wordsToBigInt(...key)),
          rowHash: String(wordsToBigInt(...row)),
          values,
          place: `row ${i}`,
        }))
        .filter(({ keyHash }) => keys.has(keyHash))
        .slice(0, limit)
    },
  }
}

function compare(
  source: readonly Row[],
  destination: readonly Row[],
  more: Partial<CompareOptions> = {},
): Promise<Comparison> {
  const options = { columns: ['id', 'v'], key: ['id'], estimatedRows: 0, moreAllowed: false, limit: 100, ...more }
  const keyed = options.key.length > 0
  return compareSides(sideOf(source, keyed), sideOf(destination, keyed), options)
}

const numbered = (count: number): Row[] => Array.from({ length: count }, (_, i) => [i, `value ${i}`])

describe('compareSides', () => {
  test('finds exactly what was damaged, whatever it was', async () => {
    const damage = fc.record({
      rows: fc.integer({ min: 0, max: 300 }),
      missing: fc.uniqueArray(fc.nat(299), { maxLength: 5 }),
      changed: fc.uniqueArray(fc.nat(299), { maxLength: 5 }),
      extra: fc.uniqueArray(fc.integer({ min: 1000, max: 2000 }), { maxLength: 5 }),
    })
    await fc.assert(
      fc.asyncProperty(damage, async ({ rows, missing, changed, extra }) => {
        const source = numbered(rows)
        const kept = source.filter(([key]) => !missing.includes(key))
        const damaged = kept.map(([key, value]): Row => [key, changed.includes(key) ? `${value}!` : value])
        const found = await compare(source, [...damaged, ...extra.map((key): Row => [key, ''])].reverse())
        const keys = (kind: string): number[] =>
          found.differences.flatMap((d) => (d.kind === kind ? Number(d.key['id']) : [])).sort((a, b) => a - b)
        const sorted = (numbers: number[]): number[] => numbers.filter((n) => n < rows || n > 999).sort((a, b) => a - b)
        expect(keys('missing')).toEqual(sorted(missing))
        expect(keys('changed')).toEqual(sorted(changed.filter((key) => !missing.includes(key))))
        expect(keys('extra')).toEqual(sorted(extra))
        const { missing: m, changed: c, extra: e } = found
        expect({ m, c, e }).toEqual({ m: keys('missing').length, c: keys('changed').length, e: keys('extra').length })
        expect(found.rows).toEqual({ source: rows, destination: damaged.length + extra.length })
      }),
    )
  })

  test('reads equal sides once', async () => {
    const [source, destination] = [sideOf(numbered(100), true), sideOf(numbered(100).reverse(), true)]
    const options = { columns: ['id', 'v'], key: ['id'], estimatedRows: 100, moreAllowed: false, limit: 100 }
    const found = await compareSides(source, destination, options)
    expect(found).toMatchObject({ differing: [], missing: 0, changed: 0, extra: 0, differences: [] })
    expect([source.passes, destination.passes]).toEqual([0, 0])
  })

  test('tells which columns changed, and where the rows lie', async () => {
    expect((await compare([[1, 'a']], [[1, 'b']])).differences).toEqual([
      { kind: 'changed', key: { id: '1' }, columns: ['v'], source: 'row 0', destination: 'row 0' },
    ])
  })

  test('without a key, a changed row is a missing and an extra one; rows may be there several times', async () => {
    const twice: Row[] = [
      [1, 'a'],
      [1, 'a'],
      [2, 'b'],
    ]
    const found = await compare(twice, [[1, 'a'], ...twice.slice(0, 2), [2, 'c']], { key: [] })
    expect(found).toMatchObject({ missing: 1, changed: 0, extra: 2 })
    expect(found.differences.map(({ kind, key }) => [kind, key])).toEqual(
      expect.arrayContaining([
        ['missing', {}],
        ['extra', {}],
      ]),
    )
  })

  test('where more is allowed, what only the destination has is counted and not told', async () => {
    const found = await compare(numbered(10).slice(0, 9), [...numbered(10).slice(1), [99, 'x']], { moreAllowed: true })
    expect(found).toMatchObject({ missing: 1, extra: 2, changed: 0 })
    expect(found.differences.map(({ kind, key }) => [kind, key['id']])).toEqual([['missing', '0']])
  })

  test('tells as many as it may, and counts all', async () => {
    const found = await compare(numbered(500), [], { limit: 7 })
    expect(found).toMatchObject({ missing: 500, exact: true })
    expect(found.differences).toHaveLength(7)
  })

  test('looks into as many buckets at once as fit, and stops when it has seen enough', async () => {
    const all = await compare(numbered(2000), [], { rowsAtOnce: 300 })
    expect(all).toMatchObject({ missing: 2000, exact: true })
    const some = await compare(numbered(2000), [], { rowsAtOnce: 300, enough: 500 })
    expect(some).toMatchObject({ rows: { source: 2000, destination: 0 }, exact: false })
    expect(some.missing).toBeGreaterThanOrEqual(500)
    expect(some.missing).toBeLessThan(1100)
    expect(some.differing).toHaveLength(some.buckets)
  })

  test('cuts more rows into more buckets', async () => {
    expect((await compare([], [], { estimatedRows: 2_000_000 })).buckets).toBe(128)
    expect((await compare([], [], { estimatedRows: 1e12 })).buckets).toBe(65_536)
  })

  test('waits for both sides, and throws what one of them threw', async () => {
    const failing: Side = { ...sideOf([], true), sums: () => Promise.reject(new Error('no server')) }
    const options = { columns: ['id', 'v'], key: ['id'], estimatedRows: 0, moreAllowed: false, limit: 1 }
    await expect(compareSides(sideOf([], true), failing, options)).rejects.toThrow('no server')
  })
})
