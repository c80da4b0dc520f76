import type { RecordBatch } from '@nebula/core'
import { BufferPool, createBatch } from '@nebula/core'
import { deserialize, ObjectId, serialize } from 'bson'
import { expect, test } from 'vitest'
import { BSON_WIRE, SectionEncoder } from '../src/index.ts'
import { batchOf } from './bson-columns.ts'

const INT = { kind: 'int32' } as const
const TEXT = { kind: 'utf8' } as const
const SEED = Buffer.from('0102030405060708', 'hex')
const made = (number: number): ObjectId => new ObjectId(`0102030405060708${number.toString(16).padStart(8, '0')}`)

function encoderOf(pool: BufferPool): SectionEncoder {
  return new SectionEncoder({
    fields: [
      { name: '_id', type: INT, role: 'id' },
      { name: 'v', type: TEXT, role: 'field' },
    ],
    nulls: 'omit',
    nested: false,
    takesWire: true,
    limits: { documentBytes: 60, sectionBytes: 90, documents: 100 },
    pool,
  })
}

function rowsOf(...ids: readonly (number | null)[]): RecordBatch {
  return batchOf([
    { name: '_id', type: INT, values: ids },
    { name: 'v', type: TEXT, values: ids.map((id) => 'x'.repeat(id ?? 1)) },
  ])
}

/** The `_id`s of each section, with the rows that they are of; and the rows that are in none. */
function encoded(encoder: SectionEncoder, batch: RecordBatch, from = 0, to = batch.rows) {
  const { sections, rejected } = encoder.encode(batch, from, to)
  const ids: unknown[] = []
  for (const section of sections) {
    const indexes = Array.from({ length: section.count }, (_, index) => index)
    ids.push(indexes.map((index) => [section.row(index), deserialize(section.document(index))['_id']]))
    section.free()
  }
  return { ids, rejected: rejected.map(({ row, reason }) => [row, reason]) }
}

test('rows become sections within the limits, and what no document can hold is told', () => {
  const pool = new BufferPool(1e6)
  const encoder = encoderOf(pool)
  const large = 'The document has 82 bytes; MongoDB takes 60.'
  expect(encoded(encoder, rowsOf(1, 2, 60, 3, null), 1)).toEqual({
    ids: [[[1, 2]], [[3, 3]]],
    rejected: [
      [4, 'Column _id holds null, where a document needs its _id.'],
      [2, large],
    ],
  })
  expect(encoded(encoder, rowsOf(30, 31)).ids).toEqual([[[0, 30]], [[1, 31]]])
  encoder.free()
  expect(pool.statistics.used).toBe(0)
})

test('documents are taken as they are', () => {
  const documents = [1, 2, 3].map((_id) => serialize({ _id }))
  const bytes = documents[0]?.length ?? 0
  const batch = createBatch({
    stream: 's',
    schema: { fields: [] },
    rows: 3,
    wire: { format: BSON_WIRE, offsets: Int32Array.of(0, bytes, 2 * bytes, 3 * bytes), data: Buffer.concat(documents) },
    columns: () => expect.unreachable(),
  })
  expect(encoded(encoderOf(new BufferPool(1e6)), batch, 1)).toEqual({
    ids: [
      [
        [1, 2],
        [2, 3],
      ],
    ],
    rejected: [],
  })
})

test('rows without _id get one of their number behind the seed, the same until they were taken', () => {
  const encoder = encoderOf(new BufferPool(1e6))
  const batch = rowsOf(null, null, null)
  const ids = (from: number): unknown => encoded(encoder, batch, from).ids
  encoder.begin(SEED)
  expect(ids(1)).toEqual([
    [
      [1, made(0)],
      [2, made(1)],
    ],
  ])
  expect(ids(2)).toEqual([[[2, made(0)]]])
  encoder.taken(1000)
  expect(ids(2)).toEqual([[[2, made(1000)]]])
  encoder.begin(SEED)
  expect(ids(2)).toEqual([[[2, made(0)]]])
})
