import { BufferPool } from '@nebula/core'
import { Binary, deserialize, Long, ObjectId, serialize } from 'bson'
import { array, assert, boolean, nat, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DocumentRange } from '../src/bson/document-sections.ts'
import { cutDocuments, largeDocuments } from '../src/bson/document-sections.ts'
import type { DocumentSection } from '../src/index.ts'
import { documentType, joinDocuments, removeDocuments, replaceDocuments } from '../src/index.ts'

function rangeOf(sizes: readonly number[], rows?: Int32Array): DocumentRange {
  const offsets = new Int32Array(sizes.length + 1)
  for (const [i, size] of sizes.entries()) offsets[i + 1] = (offsets[i] as number) + size
  const data = Uint8Array.from({ length: offsets.at(-1) as number }, (_, i) => i)
  return { data, offsets, rows, from: 100 }
}

/** The documents of a section, by the rules of the protocol alone. */
function body({ bytes }: DocumentSection): Uint8Array {
  expect(bytes[0]).toBe(1)
  expect(new DataView(bytes.buffer, bytes.byteOffset).getInt32(1, true)).toBe(bytes.length - 1)
  expect(String.fromCharCode(...bytes.subarray(5, 15))).toBe('documents\0')
  return bytes.subarray(15)
}

test('sections hold every document that is not too large, once and in order, within their limits', () => {
  const limits = { documentBytes: 40, sectionBytes: 100, documents: 4 }
  assert(
    property(array(nat(60), { maxLength: 30 }), boolean(), (sizes, numbered) => {
      const rows = numbered ? Int32Array.from(sizes, (_, i) => i * 2) : undefined
      const range = rangeOf(sizes, rows)
      const pool = new BufferPool(1e6)
      const seen: number[] = []
      for (const section of cutDocuments(range, limits, pool)) {
        expect(section.count).toBeGreaterThan(0)
        expect(section.count).toBeLessThanOrEqual(4)
        expect(section.count === 1 || section.bytes.length <= 100).toBe(true)
        const documents = Array.from({ length: section.count }, (_, i) => section.document(i))
        expect(Buffer.concat(documents).equals(body(section))).toBe(true)
        for (const [i, document] of documents.entries()) {
          const row = section.row(i)
          const index = rows ? row / 2 : row - 100
          expect(document).toEqual(range.data.subarray(range.offsets[index], range.offsets[index + 1]))
          seen.push(index)
        }
        section.free()
      }
      const large = largeDocuments(range, limits).map(({ row }) => (rows ? row / 2 : row - 100))
      expect(large).toEqual(sizes.flatMap((size, i) => (size > 40 ? [i] : [])))
      expect([...seen, ...large].toSorted((a, b) => a - b)).toEqual(sizes.map((_, i) => i))
      expect(pool.statistics.used).toBe(0)
    }),
  )
})

test('documents that lie apart are joined', () => {
  const section = joinDocuments([Uint8Array.of(1, 2), Uint8Array.of(3)])
  expect([...body(section)]).toEqual([1, 2, 3])
  expect([section.count, section.row(1), [...section.document(1)]]).toEqual([2, 1, [3]])
})

describe('a type in documents', () => {
  const timestamp = { kind: 'timestamp', zone: true } as const
  test.each([
    [{ kind: 'int32' }, 'int', 'exact'],
    [{ kind: 'int16' }, 'int', 'widened'],
    [{ kind: 'uint64' }, 'decimal', 'widened'],
    [{ kind: 'decimal', precision: 38, scale: 2 }, 'decimal', 'exact'],
    [{ kind: 'json' }, 'object', 'widened'],
    [timestamp, 'date', 'lossy'],
    [{ kind: 'list', element: { kind: 'utf8' } }, 'array', 'exact'],
    [{ kind: 'list', element: timestamp }, 'array', 'lossy'],
    [{ kind: 'struct', fields: [{ name: 'a', type: { kind: 'int8' } }] }, 'object', 'widened'],
    [{ kind: 'native', vendor: 'mongo', type: 'objectId' }, 'objectId', 'exact'],
  ] as const)('%j is %s, and %s', (type, alias, fidelity) => {
    expect(documentType(type)).toMatchObject({ alias, fidelity })
  })

  test('of another system has no place there', () => {
    const native = { kind: 'native', vendor: 'postgres', type: 'tsvector' } as const
    expect(documentType(native)).toBeUndefined()
    expect(documentType({ kind: 'list', element: native })).toBeUndefined()
  })
})

test('documents are replaced by statements that find each by the very _id that it has', () => {
  const ids = [1, 'text', new ObjectId(), { $gt: 1 }, new Binary(new Uint8Array(3)), null, Long.fromNumber(5), true]
  const documents = ids.map((_id, v) => serialize({ _id, v, deep: { _id: 'other' } }))
  const section = replaceDocuments(documents)
  const { bytes } = section
  expect([bytes[0], Buffer.from(bytes.subarray(5, 13)).toString('latin1')]).toEqual([1, 'updates\0'])
  expect(new DataView(bytes.buffer).getInt32(1, true)).toBe(bytes.length - 1)
  let at = 13
  for (const i of ids.keys()) {
    const size = new DataView(bytes.buffer).getInt32(at, true)
    const found = deserialize(bytes.subarray(at, at + size), { promoteValues: false })
    const u = deserialize(documents[i] as Uint8Array, { promoteValues: false })
    const _id: unknown = u['_id']
    const isDocument = _id !== null && Object.getPrototypeOf(_id) === Object.prototype
    expect(found).toEqual({ q: { _id: isDocument ? { $eq: _id } : _id }, u, upsert: true })
    expect(Object.keys(found)).toEqual(['q', 'u', 'upsert'])
    expect(section.document(i)).toBe(documents[i])
    at += size
  }
  expect([at, section.count]).toEqual([bytes.length, ids.length])
})

test('documents are removed by statements that find each by the very _id that it has', () => {
  const ids = [1, 'text', new ObjectId(), { $gt: 1 }, null, Long.fromNumber(5)]
  const section = removeDocuments(ids.map((_id, v) => serialize({ _id, v })))
  const { bytes } = section
  expect([bytes[0], Buffer.from(bytes.subarray(5, 13)).toString('latin1')]).toEqual([1, 'deletes\0'])
  let at = 13
  for (const _id of ids) {
    const size = new DataView(bytes.buffer).getInt32(at, true)
    const { q, limit } = deserialize(bytes.subarray(at, at + size), { promoteValues: false })
    const isDocument = _id !== null && Object.getPrototypeOf(_id) === Object.prototype
    expect([JSON.stringify(q), Number(limit)]).toEqual([JSON.stringify({ _id: isDocument ? { $eq: _id } : _id }), 1])
    at += size
  }
  expect([at, section.count]).toEqual([bytes.length, ids.length])
})

test('a document without an _id in front cannot be merged', () => {
  for (const document of [{}, { v: 1, _id: 2 }, { _idx: 1 }, { _i: 1 }])
    expect(() => replaceDocuments([serialize(document)])).toThrow('no _id in front')
})
