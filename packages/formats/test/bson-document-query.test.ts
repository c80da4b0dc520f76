import type { Field, ReadStream, StreamRequest } from '@nebula/core'
import { expect, test } from 'vitest'
import { documentQuery, replyRows, sinceId } from '../src/bson/document-query.ts'

const RANGE = '{"_id":{"$type":[7]}}'
const utf8 = { kind: 'utf8' } as const
const ID = field('_id', 'objectId')
const REST: Field = { ...field('_overflow', 'overflow'), type: { kind: 'json' } }

function field(name: string, declared: string, more: Partial<Field> = {}): Field {
  return { name, type: utf8, nullable: true, vendor: 'mongo', declared, ...more }
}

function streamOf(fields: readonly Field[], request: Partial<StreamRequest> = {}): ReadStream {
  const columns = fields.map(({ name }) => name)
  return { request: { stream: 'x', mode: 'append', columns, key: [], ...request }, schema: { fields }, decode: [] }
}

function query(stream: ReadStream, range: object = {}, after?: string): ReturnType<typeof documentQuery> {
  const partition = { id: 'x#00000', stream: 'x', range: { filter: RANGE, ordered: true, resumable: true, ...range } }
  return documentQuery({ partition, stream, batch: { rows: 1000, bytes: 1_000_000, delayMs: 1 } }, after)
}

/** What is asked of a stream that goes on by a cursor, behind the range. */
function sinceOf(declared: string, since: string, name = 'c'): unknown {
  const { filter } = query(streamOf([field(name, declared)], { cursor: name, since }))
  return filter === RANGE ? undefined : (JSON.parse(filter) as { $and: unknown[] }).$and[1]
}

test('the documents of a range, in its order, as many at once as make a batch', () => {
  expect(query(streamOf([ID, REST]))).toEqual({ filter: RANGE, sort: { _id: 1 }, batchSize: 10 })
  expect(query(streamOf([ID, REST]), { ordered: false, documentBytes: 400_000 })).toEqual({
    filter: RANGE,
    batchSize: 2,
  })
  expect(query(streamOf([ID, REST], { limit: 7 })).limit).toBe(7)
})

test('a reply has one document at least, and no more than are wanted', () => {
  const limits = { rows: 100, bytes: 1000 }
  expect([1, 30, 1000, 5000, 0].map((bytes) => replyRows(limits, bytes))).toEqual([100, 33, 1, 1, 100])
})

test('what may not miss a row that moves is asked of the primary, by _id', () => {
  expect(query(streamOf([ID], { complete: true }))).toMatchObject({ hint: { _id: 1 }, readPreference: 'primary' })
  expect(query(streamOf([ID]))).not.toHaveProperty('hint')
})

test('what goes on, and what the user asks for, is true of the documents of the range, too', () => {
  const nativeFilter = '{"a": {"$gt": 5}}'
  expect(query(streamOf([ID]), {}, '"a"').filter).toBe(`{"$and":[${RANGE},{"_id":{"$gt":"a"}}]}`)
  expect(query(streamOf([ID], { nativeFilter })).filter).toBe(`{"$and":[${RANGE},${nativeFilter}]}`)
})

test('fields are asked for by name, unless all are, or the server would read a name as something else', () => {
  expect(query(streamOf([field('a', 'int')])).projection).toEqual({ _id: 1, a: 1 })
  expect(query({ ...streamOf([field('a', 'int')]), wire: 'mongodb/bson' }).projection).toEqual({ _id: 0, a: 1 })
  expect(query(streamOf([field('a.b', 'int', { path: ['a', 'b'] })])).projection).toEqual({ _id: 1, a: 1 })
  for (const other of [REST, field('document', 'object'), field('a.b', 'int'), field('$a', 'int'), field('', 'int')])
    expect(query(streamOf([ID, other])).projection).toBeUndefined()
})

test.each([
  ['int', '5', { $numberLong: '5' }, ['long', 'double', 'decimal']],
  ['long', '-9223372036854775808', { $numberLong: '-9223372036854775808' }, ['int', 'double', 'decimal']],
  ['date', '1969-12-31 23:59:59.999+00', { $date: { $numberLong: '-1' } }, []],
  ['objectId', '0'.repeat(24), { $oid: '0'.repeat(24) }, []],
])('documents whose cursor is of the type %s and not lower, or of another type', (declared, since, value, others) => {
  expect(sinceOf(declared, since)).toEqual({
    $or: [{ c: { $not: { $lt: value } } }, { c: { $type: ['array', ...others] } }],
  })
})

test('the server is not asked for what it would find otherwise than the run', () => {
  expect(sinceOf('string', 'a')).toBeUndefined()
  // A date that drivers do not have.
  expect(sinceOf('date', '294246-01-01 00:00:00+00')).toBeUndefined()
  for (const name of ['a.b', '$a', '']) expect(sinceOf('int', '5', name)).toBeUndefined()
  expect(query(streamOf([field('c', 'int')], { cursor: 'c' })).filter).toBe(RANGE)
})

test('partitions begin at an _id that is the cursor and an ObjectId', () => {
  const since = '0'.repeat(24)
  expect(sinceId(streamOf([ID], { cursor: '_id', since }))).toBe(`{"$oid":"${since}"}`)
  expect(sinceId(streamOf([ID], { cursor: '_id' }))).toBeUndefined()
  expect(sinceId(streamOf([ID, field('c', 'int')], { cursor: 'c', since }))).toBeUndefined()
  expect(sinceId(streamOf([field('_id', 'int')], { cursor: '_id', since: '5' }))).toBeUndefined()
})
