import type { Field } from '@nebula/core'
import { BSON, MongoClient } from 'mongodb'
import { describe, expect, inject, test } from 'vitest'
import { checkpoint, codeOf, Target, wireBatch, Writing } from './write-harness.ts'

const FIELDS: Field[] = [
  { name: '_id', type: { kind: 'int32' }, nullable: false },
  { name: 'v', type: { kind: 'utf8' }, nullable: true },
]

/** A whole run of one stream. */
async function move(
  writing: Writing,
  rows: Parameters<Writing['batch']>[1],
  options: Parameters<Writing['agree']>[1] = {},
) {
  const stream = await writing.agree(FIELDS, options)
  const run = await writing.run(stream, { id: crypto.randomUUID().slice(0, 8) })
  await writing.write(run, [writing.batch(stream, rows)])
  await writing.finish(run)
  await writing.destination.end(run, writing.context)
  return run
}

test('a target that is replaced keeps its indexes', async () => {
  await using target = Target.create()
  await target.db.collection('target').insertOne({ _id: 'old' as never })
  await target.db.collection('target').createIndex({ v: 1, w: -1 }, { name: 'both', sparse: true })
  await target.db.collection('target').createIndex({ u: 1 }, { unique: true, sparse: true })
  await using writing = await Writing.open(target)
  await move(writing, [{ _id: 1, v: 'a' }])
  expect(await target.db.collection('target').find().toArray()).toEqual([{ _id: 1, v: 'a' }])
  const indexes = await target.db.collection('target').indexes()
  const told = indexes.map(({ name = '', unique, sparse }) => [name, unique ?? false, sparse ?? false] as const)
  expect(told.toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
    ['_id_', false, false],
    ['both', false, true],
    ['u_1', true, true],
  ])
  expect(await target.names()).toEqual(['nebula_checkpoints', 'target'])
})

test('rows that no run of ours wrote are foreign, ours are not', async () => {
  await using target = Target.create()
  await target.db.collection('target').insertOne({ _id: 'old' as never })
  await target.db.createCollection('empty')
  await using writing = await Writing.open(target)
  const foreign = async (): Promise<unknown> =>
    (await writing.destination.describe(['target', 'empty', 'none'], writing.context)).map((info) => info?.foreignRows)
  expect(await foreign()).toEqual([true, false, undefined])
  await move(writing, [{ _id: 1, v: 'a' }])
  expect(await foreign()).toEqual([false, false, undefined])
})

test('append adds to what is there, and takes over the name where nothing is', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  await move(writing, [{ _id: 1, v: 'a' }], { mode: 'append' })
  await move(
    writing,
    [
      { _id: 2, v: 'b' },
      { _id: 1, v: 'a' },
    ],
    { mode: 'append' },
  )
  expect(await target.db.collection('target').find().sort({ _id: 1 }).toArray()).toEqual([
    { _id: 1, v: 'a' },
    { _id: 2, v: 'b' },
  ])
  expect(await target.names()).toEqual(['nebula_checkpoints', 'target'])
})

test('append moves nothing where another document has the same _id, and names it', async () => {
  await using target = Target.create()
  await target.db.collection('target').insertMany([{ _id: 3 as never, v: 'there' }])
  await using writing = await Writing.open(target)
  const stream = await writing.agree(FIELDS, { mode: 'append' })
  const run = await writing.run(stream)
  const rows = Array.from({ length: 1500 }, (_, _id) => ({ _id, v: 'new' }))
  await writing.write(run, [writing.batch(stream, rows)])
  const error = await writing.finish(run).catch((reason: Error) => reason)
  expect(error).toMatchObject({ code: 'target_incompatible', message: expect.stringContaining('such as 3') })
  expect(await target.db.collection('target').find().toArray()).toEqual([{ _id: 3, v: 'there' }])
  await writing.destination.discard(run, ['stream'], writing.context)
  expect(await target.db.collection('target').find().toArray()).toEqual([{ _id: 3, v: 'there' }])
  expect(await target.names()).toEqual(['nebula_checkpoints', 'target'])
})

test.each(['append', 'merge'] as const)('%s that was killed half way through is done again', async (mode) => {
  await using target = Target.create()
  await target.db.collection('target').insertOne({ _id: -1 as never })
  await using writing = await Writing.open(target)
  const stream = await writing.agree(FIELDS, { mode })
  const run = await writing.run(stream)
  const rows = Array.from({ length: 2500 }, (_, _id) => ({ _id, v: 'new' }))
  await writing.write(run, [writing.batch(stream, rows)])
  // What the first half of the move leaves behind.
  await target.db.collection('target').insertMany(rows.slice(0, 1200) as never[])
  const next = await writing.run(stream)
  expect((await writing.destination.recall('test', writing.context))?.checkpoints).toHaveLength(1)
  await writing.finish(next)
  await writing.finish(next)
  expect(await target.db.collection('target').countDocuments()).toBe(2501)
})

test('merge replaces the documents whose _id comes again, and keeps the others', async () => {
  await using target = Target.create()
  await target.db.collection('target').insertMany([
    { _id: 1 as never, v: 'there', more: true },
    { _id: 2 as never, v: 'there', more: true },
  ])
  await using writing = await Writing.open(target)
  const rows = [
    { _id: 2, v: 'new' },
    { _id: 3, v: 'new' },
  ]
  await move(writing, rows, { mode: 'merge' })
  await move(writing, rows, { mode: 'merge' })
  expect(await target.db.collection('target').find().sort({ _id: 1 }).toArray()).toEqual([
    { _id: 1, v: 'there', more: true },
    { _id: 2, v: 'new' },
    { _id: 3, v: 'new' },
  ])
  expect(await target.names()).toEqual(['nebula_checkpoints', 'target'])
})

test('merge finds an _id that looks like an operator', async () => {
  await using target = Target.create()
  await target.db.collection('target').insertMany([{ _id: { a: { $gt: 1 } } as never }, { _id: 'x' as never }])
  await using writing = await Writing.open(target)
  const fields = [{ name: '_id', type: { kind: 'json' as const }, nullable: false }, ...FIELDS.slice(1)]
  const stream = await writing.agree(fields, { mode: 'merge' })
  const run = await writing.run(stream)
  const rows = ['{"a":{"$gt":1}}', '{"a":{"$gt":2}}'].map((_id) => ({ _id, v: 'new' }))
  await writing.write(run, [writing.batch(stream, rows)])
  await writing.finish(run)
  const found = await target.db.collection('target').find().toArray()
  expect(found.filter(({ v }) => v === 'new').map(({ _id }) => _id)).toEqual([{ a: { $gt: 1 } }, { a: { $gt: 2 } }])
  expect(found).toHaveLength(3)
})

test('merge by another column than _id is refused, with what to do', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  for (const key of [['v'], ['_id', 'v']])
    await expect(writing.agree(FIELDS, { mode: 'merge', key })).rejects.toThrow('rename: { id: _id }')
})

test('a target that was renamed, which could not be stored any more, is in its place', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const stream = await writing.agree(FIELDS)
  const run = await writing.run(stream)
  await writing.write(run, [writing.batch(stream, [{ _id: 1, v: 'a' }])])
  await writing.finish(run)
  // As it was before the last step of it was stored.
  const checkpoints = target.db.collection('nebula_checkpoints')
  const [stored] = await checkpoints.find({ pipeline: 'test', part: '' }).toArray()
  const content = { ...JSON.parse(stored?.['content'] as string), finished: [], moving: ['stream'] }
  await checkpoints.updateOne({ pipeline: 'test', part: '' }, { $set: { content: JSON.stringify(content) } })
  expect((await writing.destination.recall('test', writing.context))?.finished).toEqual(['stream'])
  const next = await writing.run(stream)
  await writing.finish(next)
  expect(await target.db.collection('target').find().toArray()).toEqual([{ _id: 1, v: 'a' }])
})

test('a target is ours while another collection is about to take its name', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  await move(writing, [{ _id: 1, v: 'a' }])
  const stream = await writing.agree(FIELDS)
  const run = await writing.run(stream)
  const rows = [1, 2].map((_id) => ({ _id, v: 'same' }))
  await writing.write(run, [writing.batch(stream, rows)])
  // The last look at the indexes of the target is behind the first step of its replacement.
  await target.db.collection('target').createIndex({ v: 1 }, { unique: true })
  expect(await codeOf(writing.finish(run))).toBe('row_rejected')
  expect((await writing.destination.describe(['target'], writing.context))[0]?.foreignRows).toBe(false)
  await target.db.collection('target').dropIndexes()
  await writing.finish(run)
  expect((await writing.destination.describe(['target'], writing.context))[0]?.foreignRows).toBe(false)
  expect(await target.db.collection('target').countDocuments()).toBe(2)
})

test('what is given up leaves the target as it was', async () => {
  await using target = Target.create()
  await target.db.collection('target').insertOne({ _id: 'old' as never })
  await using writing = await Writing.open(target)
  const stream = await writing.agree(FIELDS)
  const run = await writing.run(stream)
  await writing.write(run, [writing.batch(stream, [{ _id: 1, v: 'a' }])])
  await writing.destination.discard(run, ['stream'], writing.context)
  await writing.destination.discard(run, ['stream'], writing.context)
  expect(await target.db.collection('target').find().toArray()).toEqual([{ _id: 'old' }])
  expect(await writing.destination.recall('test', writing.context)).toBeUndefined()
})

test('a staging collection that somebody dropped is forgotten, and its rows come again', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const stream = await writing.agree(FIELDS)
  const run = await writing.run(stream, { partitions: ['p1', 'p2'] })
  await writing.write(run, [writing.batch(stream, [{ _id: 1, v: 'a' }])])
  const [staging = ''] = (await target.names()).filter((name) => name.startsWith('nebula_stage_'))
  expect((await writing.destination.recall('test', writing.context))?.checkpoints).toHaveLength(1)
  await target.db.collection(staging).drop()
  const next = { ...run, epoch: 2 }
  expect(await codeOf(writing.destination.prepare(next, writing.context))).toBe('conflict')
  expect((await writing.destination.recall('test', writing.context))?.checkpoints).toEqual([])
  await writing.destination.prepare(next, writing.context)
  for (const partition of ['p1', 'p2'])
    await writing.write(next, [writing.batch(stream, [{ _id: partition === 'p1' ? 1 : 2, v: 'a' }])], { partition })
  await writing.finish(next)
  expect(await target.db.collection('target').countDocuments()).toBe(2)
})

test('a run goes on behind its commits, and what a killed attempt left is not doubled', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const stream = await writing.agree(FIELDS.slice(1))
  const rows = Array.from({ length: 100 }, (_, i) => ({ v: String(i) }))
  const run = await writing.run(stream)
  const killed = await writing.writer(run)
  await killed.write(writing.batch(stream, rows), 0, 40)
  await killed.commit({ ...checkpoint(1), done: false })
  await killed.write(writing.batch(stream, rows), 40, 90)
  const next = await writing.run(stream)
  expect((await writing.destination.recall('test', writing.context))?.checkpoints).toMatchObject([{ sequence: 1 }])
  const writer = await writing.writer(next)
  await writer.write(writing.batch(stream, rows), 40, 70)
  expect(await codeOf(writer.commit(checkpoint(1)))).toBe('already_committed')
  await writer.abort(undefined)
  const last = await writing.writer(next)
  await last.write(writing.batch(stream, rows), 40, 100)
  await last.commit(checkpoint(2))
  await writing.finish(next)
  const stored = await target.db.collection('target').find().toArray()
  expect(stored.map(({ v }) => Number(v)).sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i))
})

test('rows without an _id get one that is the same again', async () => {
  const ids = []
  for (let i = 0; i < 2; i++) {
    await using target = Target.create()
    await using writing = await Writing.open(target)
    const stream = await writing.agree(FIELDS.slice(1))
    const run = await writing.run(stream)
    await writing.write(run, [writing.batch(stream, [{ v: 'a' }, { v: 'b' }]), writing.batch(stream, [{ v: 'c' }])])
    await writing.finish(run)
    ids.push((await target.db.collection('target').find().toArray()).map(({ _id }) => _id.toHexString()))
  }
  expect(ids[0]).toEqual(ids[1])
  expect(new Set(ids[0]).size).toBe(3)
})

test.each([
  ['a$b', 'holds a $'],
  ['system.users', 'MongoDB keeps for itself'],
  ['nebula_checkpoints', 'Nebula keeps for itself'],
  ['x'.repeat(240), 'bytes long'],
])('the target %s is refused', async (name, why) => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const [check] = await writing.destination.check([{ target: name, mode: 'overwrite' }], writing.context)
  expect(check?.problems).toEqual([{ code: 'target_incompatible', message: expect.stringContaining(why) }])
})

test('without a database in the url, the target names it', async () => {
  await using target = Target.create()
  await using writing = await Writing.open({ url: inject('mongo').url })
  await move(writing, [{ _id: 1, v: 'a' }], { target: `${target.name}.a.b` })
  expect(await target.db.collection('a.b').find().toArray()).toEqual([{ _id: 1, v: 'a' }])
  const [check] = await writing.destination.check([{ target: 'plain', mode: 'append' }], writing.context)
  expect(check?.problems[0]?.message).toContain('names no database')
  await new MongoClient(inject('mongo').url).db('nebula').dropDatabase()
})

test('documents that repeat byte by byte count as written, others are refused', async () => {
  await using target = Target.create()
  await using writing = await Writing.open(target)
  const own: Field[] = [{ name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int' }]
  const stream = await writing.agree(own, { wire: true })
  const run = await writing.run(stream)
  const document = (_id: unknown, v: unknown): Uint8Array => BSON.serialize({ _id, v })
  const first = await writing.writer(run)
  await first.write(wireBatch([document(1, 'a'), document({ b: 1, a: [2] }, 'b'), document('c', 'c')]), 0, 3)
  await first.abort(undefined)
  const again = [document(1, 'a'), document({ b: 1, a: [2] }, 'b'), document('c', 'other'), document(1.5, 'new')]
  const rejected = await writing.write(run, [wireBatch(again)], { isolate: true })
  expect(rejected).toEqual([
    { row: 2, code: '11000', reason: 'Another document has the same _id.', place: 'document 2' },
  ])
  await writing.finish(run)
  expect(await target.db.collection('target').countDocuments()).toBe(4)
})

describe.skipIf(inject('mongo').kind !== 'real')('a real server', () => {
  test('keeps validator and collation of a target that is replaced, and refuses views', async () => {
    await using target = Target.create()
    const options = { validator: { v: { $type: 'string' } }, collation: { locale: 'en', strength: 2 } }
    await target.db.createCollection('target', options)
    await target.db.createCollection('view', { viewOn: 'target', pipeline: [] })
    await using writing = await Writing.open(target)
    await move(writing, [{ _id: 1, v: 'a' }])
    const [info] = await target.db.listCollections({ name: 'target' }).toArray()
    expect(info).toMatchObject({ options: { validator: options.validator, collation: options.collation } })
    const [check] = await writing.destination.check([{ target: 'view', mode: 'append' }], writing.context)
    expect(check?.problems[0]?.message).toContain('is a view')
  })
})

describe.skipIf(!inject('mongo').replicaSet)('a replica set', () => {
  test('has rows and their checkpoint in one transaction', async () => {
    await using target = Target.create()
    await using writing = await Writing.open(target)
    const stream = await writing.agree(FIELDS)
    expect(stream.accepted.guarantee).toBe('exactly_once')
    const run = await writing.run(stream)
    const aborted = await writing.writer(run)
    await aborted.write(writing.batch(stream, [{ _id: 1, v: 'lost' }]), 0, 1)
    await aborted.abort(undefined)
    const rows = [
      { _id: 1, v: 'a' },
      { _id: 2, v: 'b' },
      { _id: 1, v: 'again' },
      { _id: 3, v: 'c' },
    ]
    const rejected = await writing.write(run, [writing.batch(stream, rows)], { isolate: true })
    expect(rejected.map(({ row }) => row)).toEqual([2])
    await writing.finish(run)
    const stored = await target.db.collection('target').find().sort({ _id: 1 }).toArray()
    expect(stored).toEqual([
      { _id: 1, v: 'a' },
      { _id: 2, v: 'b' },
      { _id: 3, v: 'c' },
    ])
  })

  test('an overtaken transaction is undone', async () => {
    await using target = Target.create()
    await using writing = await Writing.open(target)
    const stream = await writing.agree(FIELDS)
    const run = await writing.run(stream)
    const zombie = await writing.writer(run)
    await zombie.write(writing.batch(stream, [{ _id: 1, v: 'zombie' }]), 0, 1)
    const next = await writing.run(stream)
    expect(await codeOf(zombie.commit(checkpoint()))).toMatch(/fenced|conflict/)
    await zombie.abort(undefined)
    await writing.write(next, [writing.batch(stream, [{ _id: 2, v: 'next' }])])
    await writing.finish(next)
    expect(await target.db.collection('target').find().toArray()).toEqual([{ _id: 2, v: 'next' }])
  })
})
