import type { Field } from '@nebula/core'
import { BSON, Binary, Code, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp, UUID } from 'mongodb'
import { expect, test } from 'vitest'
import { checkpoint, codeOf, Target, wireBatch, Writing } from './write-harness.ts'

/** Of a collection whose documents travel as they are. */
const OWN: Field[] = [{ name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int' }]
const COLUMNS: Field[] = [
  { name: '_id', type: { kind: 'int32' }, nullable: false },
  { name: 'v', type: { kind: 'utf8' }, nullable: true },
]

test('documents arrive byte by byte, whatever is in them', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const values = [
    new Int32(5),
    new Double(5),
    new Double(-0),
    new Double(NaN),
    Long.fromNumber(5),
    Decimal128.fromString('1.10'),
    Decimal128.fromString('NaN'),
    'text',
    '',
    '\0',
    true,
    null,
    new Date(-1),
    new ObjectId(),
    new UUID(),
    new Binary(Buffer.from('raw')),
    new Binary(Buffer.alloc(16), 3),
    new Timestamp({ t: 1, i: 2 }),
    new MinKey(),
    new MaxKey(),
    /a.b/i,
    new Code('f()'),
    { a: { b: [1, [2, {}]] } },
    [],
    { '': 1, 'a.b': 2 },
  ]
  const documents = values.map((v, i) => BSON.serialize({ _id: new Int32(i), v }))
  const stream = await writing.agree(OWN, { wire: true })
  expect(stream.accepted.wire).toBe('mongodb/bson')
  const run = await writing.run(stream)
  expect(await writing.write(run, [wireBatch(documents)])).toEqual([])
  await writing.finish(run)
  const stored = await target.raw('target')
  expect(stored.map((document) => document.toString('hex'))).toEqual(
    documents.map((d) => Buffer.from(d).toString('hex')),
  )
})

test('columns become documents', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const stream = await writing.agree(COLUMNS)
  const run = await writing.run(stream)
  await writing.write(run, [
    writing.batch(stream, [
      { _id: 1, v: 'a' },
      { _id: 2, v: null },
    ]),
    writing.batch(stream, [{ _id: 3, v: '' }]),
  ])
  await writing.finish(run)
  await writing.destination.end(run, writing.context)
  expect(await target.db.collection('target').find().toArray()).toEqual([
    { _id: 1, v: 'a' },
    { _id: 2 },
    { _id: 3, v: '' },
  ])
  expect(await target.names()).toEqual(['nebula_checkpoints', 'target'])
})

test('a run that was taken over is fenced, and what it still writes is nowhere', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const stream = await writing.agree(COLUMNS)
  const run = await writing.run(stream)
  const zombie = await writing.writer(run)
  const rows = writing.batch(stream, [{ _id: 1, v: 'old' }])
  await zombie.write(rows, 0, 1)
  const newer = await writing.run(stream)
  expect(newer.epoch).toBe(2)
  await zombie.write(writing.batch(stream, [{ _id: 2, v: 'late' }]), 0, 1)
  expect(
    await codeOf(
      zombie.commit({
        partition: 'p1',
        sequence: 1,
        done: true,
        counts: { read: 0, written: 0, filtered: 0, rejected: 0, bytes: 0 },
      }),
    ),
  ).toBe('fenced')
  await zombie.abort(undefined)
  expect(await codeOf(writing.finish(run))).toBe('fenced')
  expect(await codeOf(writing.destination.discard(run, ['stream'], writing.context))).toBe('fenced')
  expect(await codeOf(writing.destination.prepare(run, writing.context))).toBe('fenced')
  await writing.write(newer, [
    writing.batch(stream, [
      { _id: 1, v: 'old' },
      { _id: 3, v: 'new' },
    ]),
  ])
  await writing.finish(newer)
  await writing.destination.end(newer, writing.context)
  expect(await target.db.collection('target').find().toArray()).toEqual([
    { _id: 1, v: 'old' },
    { _id: 3, v: 'new' },
  ])
  expect(await target.names()).toEqual(['nebula_checkpoints', 'target'])
})

test('a process of a run that was given up commits nothing into the next, whose epochs begin again', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const stream = await writing.agree(COLUMNS)
  const run = await writing.run(stream)
  const zombie = await writing.writer(run)
  await zombie.write(writing.batch(stream, [{ _id: 1, v: 'old' }]), 0, 1)
  await writing.destination.discard(run, ['stream'], writing.context)
  const next = await writing.run(stream, { id: 'run2' })
  expect([run.epoch, next.epoch]).toEqual([1, 1])
  expect(await codeOf(zombie.commit(checkpoint()))).toBe('fenced')
  await zombie.abort(undefined)
  expect(await codeOf(writing.finish(run))).toBe('fenced')
  expect((await writing.destination.recall('test', writing.context))?.checkpoints).toEqual([])
})
