import type { Field, Rejection } from '@nebula/core'
import { BSON } from 'mongodb'
import { describe, expect, inject, test } from 'vitest'
import { codeOf, Target, wireBatch, Writing } from './write-harness.ts'

const OWN: Field[] = [{ name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int' }]
const ID: Field = { name: '_id', type: { kind: 'int32' }, nullable: false }

const told = (rejections: readonly Rejection[]): unknown =>
  rejections.map(({ row, code, column, reason }) => [row, code, column, reason])

/** Writes rows, first as a task does, then isolating; returns the rejections, and the ids that are in the target. */
async function attempt(target: Target, fields: Field[], rows: Parameters<Writing['batch']>[1], options = {}) {
  await using writing = await Writing.open(target, options)
  const stream = await writing.agree(fields)
  const run = await writing.run(stream)
  expect(await codeOf(writing.write(run, [writing.batch(stream, rows)]))).toBe('row_rejected')
  const rejected = await writing.write(run, [writing.batch(stream, rows)], { isolate: true })
  await writing.finish(run)
  const ids = await target.db.collection('target').find().sort({ _id: 1 }).toArray()
  return { rejected, ids: ids.map(({ _id }) => _id as unknown) }
}

test('two rows of one _id are refused by name, and the others arrive', async () => {
  await using target = Target.create()
  const fields: Field[] = [ID, { name: 'v', type: { kind: 'utf8' }, nullable: true }]
  const rows = [
    { _id: 1, v: 'a' },
    { _id: 2, v: 'b' },
    { _id: 1, v: 'secret' },
    { _id: 3, v: 'c' },
  ]
  const { rejected, ids } = await attempt(target, fields, rows)
  expect(told(rejected)).toEqual([[2, '11000', undefined, 'Another document has the same _id.']])
  expect(ids).toEqual([1, 2, 3])
})

test('a row that a unique index of the target refuses is named with the index, and no value', async () => {
  await using target = Target.create()
  await target.db.collection('target').createIndex({ email: 1 }, { unique: true, name: 'one email' })
  const fields: Field[] = [ID, { name: 'email', type: { kind: 'utf8' }, nullable: true }]
  const rows = [
    { _id: 1, email: 'x@y' },
    { _id: 2, email: 'secret' },
    { _id: 3, email: 'x@y' },
  ]
  const { rejected, ids } = await attempt(target, fields, rows)
  expect(told(rejected)).toEqual([
    [2, '11000', undefined, 'Another document has the same values in the unique index one email.'],
  ])
  expect(ids).toEqual([1, 2])
})

test('text that is no Extended JSON, no ObjectId or no decimal is a rejected row', async () => {
  await using target = Target.create()
  const fields: Field[] = [
    ID,
    { name: 'json', type: { kind: 'json' }, nullable: true },
    { name: 'oid', type: { kind: 'utf8' }, nullable: true },
    { name: 'n', type: { kind: 'numeric' }, nullable: true },
  ]
  const wide = '1234567890123456789012345678901234.5'
  const rows = [
    { _id: 1, json: '{"a": 1}', oid: '0123456789abcdef01234567', n: '1.10' },
    { _id: 2, json: '{"a": {"$oid": "x"}}', oid: null, n: null },
    { _id: 3, json: null, oid: 'secret', n: null },
    { _id: 4, json: null, oid: null, n: wide },
    { _id: 5, json: null, oid: null, n: null },
  ]
  const { rejected, ids } = await attempt(target, fields, rows, { objectIds: ['oid'] })
  expect(rejected.map(({ row, column }) => [row, column])).toEqual([
    [1, 'json'],
    [2, 'oid'],
    [3, 'n'],
  ])
  expect(JSON.stringify(rejected)).not.toMatch(/secret|123456789/)
  expect(ids).toEqual([1, 5])
})

test('documents that are too large for the server are rejected before they are sent', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const stream = await writing.agree(OWN, { wire: true })
  const run = await writing.run(stream)
  const { maxBsonObjectSize } = await target.db.admin().command({ hello: 1 })
  const sized = (_id: number, bytes: number): Uint8Array => {
    const empty = BSON.serialize({ _id, v: '' }).length
    return BSON.serialize({ _id, v: 'x'.repeat(bytes - empty) })
  }
  const documents = [sized(1, 100), sized(2, maxBsonObjectSize + 1), sized(3, maxBsonObjectSize), sized(4, 100)]
  const rejected = await writing.write(run, [wireBatch(documents)], { isolate: true })
  expect(told(rejected)).toEqual([
    [
      1,
      'row_rejected',
      undefined,
      `The document has ${maxBsonObjectSize + 1} bytes; MongoDB takes ${maxBsonObjectSize}.`,
    ],
  ])
  await writing.finish(run)
  expect((await target.raw('target')).map(({ length }) => length)).toEqual([100, maxBsonObjectSize, 100])
})

describe.skipIf(inject('mongo').kind !== 'real')('a real server', () => {
  test('a row that the validator of the target refuses is named', async () => {
    await using target = Target.create()
    await target.db.createCollection('target', { validator: { v: { $gt: 5 } } })
    const fields: Field[] = [ID, { name: 'v', type: { kind: 'int32' }, nullable: true }]
    const { rejected, ids } = await attempt(target, fields, [
      { _id: 1, v: 7 },
      { _id: 2, v: 1 },
      { _id: 3, v: 9 },
    ])
    expect(told(rejected)).toEqual([[1, '121', undefined, 'The validator of the collection refuses the document.']])
    expect(ids).toEqual([1, 3])
  })
})
