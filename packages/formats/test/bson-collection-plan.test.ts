import type { PreviousPlan } from '@nebula/core'
import { expect, test } from 'vitest'
import { areLarge, keptPartitions, rangePartitions } from '../src/bson/collection-plan.ts'
import { collectionStream, planSample } from '../src/bson/collection-facts.ts'
import { wholeRange } from '../src/bson/id-ranges.ts'

const FACTS = { type: 'collection', indexed: true, size: undefined }
const RANGE = wholeRange(FACTS)
const PARTITIONS = rangePartitions('x', [RANGE, { ...RANGE, filter: '{"a":1}' }])

function previous(committed: readonly string[], snapshot?: string): PreviousPlan {
  const partitions = [...rangePartitions('other', [RANGE]), ...PARTITIONS]
  const plan = {
    partitions,
    restart: [],
    proof: { x: 'one', other: 'two' },
    ...(snapshot === undefined ? {} : { snapshot }),
  }
  return { plan, committed: committed.map((partition) => ({ partition, read: 1 })) }
}

test('partitions are numbered in order', () => {
  expect(PARTITIONS).toEqual([
    { id: 'x#00000', stream: 'x', range: RANGE },
    { id: 'x#00001', stream: 'x', range: { ...RANGE, filter: '{"a":1}' } },
  ])
})

test('those of an interrupted run stay where one is committed and the collection is the same', () => {
  const kept = (uuid: string, before?: PreviousPlan): object => keptPartitions('x', uuid, undefined, before)
  expect(kept('one')).toEqual({})
  expect(kept('one', previous([]))).toEqual({})
  expect(kept('one', previous(['other#00000']))).toEqual({})
  expect(kept('one', previous(['x#00001']))).toEqual({ kept: PARTITIONS })
  const another = kept('three', previous(['x#00001']))
  expect(another).toEqual({ reason: 'the collection was dropped and made anew' })
})

test('those of a snapshot stay as long as that is kept', () => {
  const before = previous(['x#00000'], '17')
  expect(keptPartitions('x', 'one', '17', before)).toEqual({ kept: PARTITIONS })
  for (const snapshot of ['18', undefined])
    expect(keptPartitions('x', 'one', snapshot, before).reason).toContain('no longer keeps its snapshot')
})

test('documents of more than 4 MB are large', () => {
  const of = (documentBytes: number): boolean => areLarge(rangePartitions('x', [RANGE, { ...RANGE, documentBytes }]))
  expect([of(4_000_000), of(4_000_001), areLarge([])]).toEqual([false, true, false])
})

test('a sample has as many documents as are wanted, and of large ones fewer', () => {
  const sample = (rows: number, bytes: number): object => planSample({ ...FACTS, size: { rows, bytes } }, 1000)
  const reply = (rows: number): object => ({ rows, bytes: 8_000_000 })
  expect(planSample(FACTS, 1000)).toEqual({ first: 1000, drawn: 0, reply: reply(1000), batchSize: 1000 })
  expect(sample(0, 0)).toMatchObject({ first: 1000, drawn: 0 })
  expect(sample(900, 90_000)).toMatchObject({ first: 1000, drawn: 0 })
  expect(sample(1e6, 1e9)).toEqual({ first: 250, drawn: 750, reply: reply(250), batchSize: 250 })
  expect(sample(1000, 16e9)).toEqual({ first: 5, drawn: 1, reply: reply(5), batchSize: 1 })
  const view = { ...FACTS, indexed: false, size: { rows: 1e6, bytes: 1e9 } }
  expect(planSample(view, 1000)).toMatchObject({ first: 1000, drawn: 0 })
})

test('a stream has a key and can be cut where there is an index on _id; else rows may be missed', () => {
  const stream = collectionStream('x', { ...FACTS, size: { rows: 5, bytes: 50 } }, [], false)
  expect(stream).toMatchObject({ name: 'x', key: ['_id'], rows: 5, bytes: 50, consistency: 'row' })
  expect(stream.partitionBytes).toBeGreaterThan(0)
  expect(stream.mayMiss).toBeUndefined()
  expect(collectionStream('x', FACTS, [], true).consistency).toBe('snapshot')
  const view = collectionStream('x', { ...FACTS, type: 'view', indexed: false }, [], false)
  expect(view).toMatchObject({ key: [], comment: 'view', mayMiss: true })
  expect([view.partitionBytes, view.rows]).toEqual([undefined, undefined])
})
