import type { Field } from '@nebula/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Nesting } from '../src/index.ts'
import { BsonOutput, extendedJson, parseExtendedJson } from '../src/index.ts'
import { batchOf, encoderOf, fieldsOf } from './bson-batches.ts'
import { pool } from './bson-columns.ts'
import type { RawElement } from '@nebula/testkit/raw-bson'
import { document, element, int32, int64, string } from '@nebula/testkit/raw-bson'
import { likeDocuments, rawDocument, rawElements } from './bson-arbitraries.ts'

test.each([true, false])('a value is the same bytes after a text of either style (usual: %s)', (usual) => {
  const out = new BsonOutput(pool)
  fc.assert(
    fc.property(rawDocument({ usual }), fc.constantFrom('exact', 'canonical'), (bytes, style) => {
      const text = extendedJson(bytes, { type: 3, start: 0, end: bytes.length }, style)
      out.size = 7
      expect(parseExtendedJson(text, 0, text.length, out)).toBe(3)
      expect(Buffer.from(out.bytes.subarray(7, out.size)).toString('hex')).toBe(bytes.toString('hex'))
    }),
    { numRuns: 500 },
  )
})

/** Documents whose elements `_id` and `_overflow` are ours. */
const documents = fc.array(
  rawElements({ usual: false }).map((elements) =>
    elements.filter(({ name }) => !/^_(id|overflow)$/.test(String(name))),
  ),
  { minLength: 1, maxLength: 20 },
)

const ids: readonly ((row: number) => RawElement)[] = [
  (row) => element('_id', 0x10, int32(row)),
  (row) => element('_id', 0x02, string(`ä${row}`)),
  (row) => element('_id', 0x09, int64(BigInt(row) - 5n)),
  (row) => element('_id', 0x07, Buffer.alloc(12, row)),
  (row) => (row % 2 === 0 ? element('_id', 0x0a, Buffer.alloc(0)) : element('_id', 0x12, int64(BigInt(row)))),
]

/** The elements, `_id` first and the others in any order but that of the same name. */
const sorted = (elements: readonly RawElement[]): string[] => {
  const names = elements.map(({ name }) => name.toString('hex'))
  const order = elements
    .map((_, i) => i)
    .sort((a, b) => ((names[a] as string) < (names[b] as string) ? -1 : names[a] === names[b] ? a - b : 1))
  return order.map((i) => `${names[i]} ${elements[i]?.type} ${elements[i]?.bytes.toString('hex')}`)
}

/** The elements of a document that holds those of another, in some order. */
function elementsLike(bytes: Buffer, elements: readonly RawElement[]): RawElement[] {
  const left = [...elements]
  const found: RawElement[] = []
  for (let at = 4; at < bytes.length - 1;) {
    const index = left.findIndex((one) => {
      const whole = Buffer.concat([Buffer.of(one.type), one.name, Buffer.of(0), one.bytes])
      return bytes.subarray(at, at + whole.length).equals(whole)
    })
    const [one] = index < 0 ? [] : left.splice(index, 1)
    if (!one) return []
    found.push(one)
    at += 2 + one.name.length + one.bytes.length
  }
  return found
}

test('a document is as it was after columns and overflow, but for the order of its fields', () => {
  fc.assert(
    fc.property(
      documents,
      fc.constantFrom(...ids),
      fc.nat(20),
      fc.constantFrom('omit', 'write'),
      (lists, id, sampled, nulls) => {
        const all = lists.map((elements, row) => [...elements, id(row)])
        const idTypes = id === ids.at(-1) ? ['null', 'long'] : []
        const fields = fieldsOf(all.slice(0, sampled + 1).map(document), { idTypes })
        expect(differences(all, fields, nulls)).toEqual([])
      },
    ),
    { numRuns: 300 },
  )
})

/** Documents that are not these elements, in some order, after they were columns; with the nulls that are written. */
function differences(
  all: readonly RawElement[][],
  fields: readonly Field[],
  nulls: 'omit' | 'write' = 'omit',
): { readonly found: string[]; readonly expected: string[] }[] {
  const batch = batchOf(all.map(document), { fields })
  const encoder = encoderOf(fields, nulls)
  const { data, offsets, rejected } = encoder.encode(batch, 0, batch.rows)
  expect([...batch.rejected, ...rejected]).toEqual([])
  const pairs = all.map((elements, row) => {
    const bytes = Buffer.from(data.subarray(offsets[row], offsets[row + 1]))
    const missing = fields.filter(
      ({ name }) => name !== '_overflow' && !elements.some((one) => one.name.equals(Buffer.from(name))),
    )
    const written = nulls === 'write' ? missing.map(({ name }) => element(name, 0x0a, Buffer.alloc(0))) : []
    const expected = [...elements, ...written]
    const found = elementsLike(bytes, expected)
    expect(found[0]?.name.toString()).toBe('_id')
    expect(document(found)).toEqual(bytes)
    return { found: sorted(found), expected: sorted(expected) }
  })
  encoder.free()
  batch.release()
  return pairs.filter(({ found, expected }) => found.join() !== expected.join())
}

const nestings: fc.Arbitrary<Nesting> = fc.record({
  objects: fc.constantFrom('json', 'struct', 'flatten'),
  flattenDepth: fc.integer({ min: 1, max: 3 }),
  arrays: fc.constantFrom('json', 'list'),
})

test('what is nested in any documents is the same bytes after structs, lists and flattened columns', () => {
  fc.assert(
    fc.property(documents, fc.nat(20), nestings, (lists, sampled, how) => {
      const all = lists.map((elements, row) => [...elements, ...idOf(row)])
      const fields = fieldsOf(all.slice(0, sampled + 1).map(document), { nesting: how })
      expect(differences(all, fields)).toEqual([])
    }),
    { numRuns: 300 },
  )
})

test('so it is where documents are alike, but for what is missing, of another type, in another order or twice', () => {
  fc.assert(
    fc.property(likeDocuments(), fc.nat(20), nestings, (lists, sampled, how) => {
      const all = lists.map((elements, row) => [...elements, ...idOf(row)])
      const fields = fieldsOf(all.slice(0, sampled + 1).map(document), { nesting: how })
      expect(differences(all, fields)).toEqual([])
    }),
    { numRuns: 500 },
  )
})

const idOf = (row: number): RawElement[] => [element('_id', 0x10, int32(row))]
