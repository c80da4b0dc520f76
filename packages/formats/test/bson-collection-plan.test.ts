import type { PreviousPlan } from '@nebula/core'
import { expect, test } from 'vitest'
import { areLarge, keptPartitions, rangePartitions } from '../src/bson/collection-plan.ts'
import { describeCollection, planSample } from '../src/bson/collection-sample.ts'
import { wholeRange } from '../src/bson/id-ranges.ts'

const RANGE = wholeRange(true, undefined)
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
  const now = { uuid: 'one', snapshot: undefined }
  expect(keptPartitions('x', now, undefined)).toEqual({})
  expect(keptPartitions('x', now, previous([]))).toEqual({})
  expect(keptPartitions('x', now, previous(['other#00000']))).toEqual({})
  expect(keptPartitions('x', now, previous(['x#00001']))).toEqual({ kept: PARTITIONS })
  const another = keptPartitions('x', { ...now, uuid: 'three' }, previous(['x#00001']))
  expect(another).toEqual({ reason: 'the collection was dropped and made anew' })
})

test('those of a snapshot stay as long as that is kept', () => {
  const before = previous(['x#00000'], '17')
  expect(keptPartitions('x', { uuid: 'one', snapshot: '17' }, before)).toEqual({ kept: PARTITIONS })
  for (const snapshot of ['18', undefined])
    expect(keptPartitions('x', { uuid: 'one', snapshot }, before).reason).toContain('no longer keeps its snapshot')
})

test('documents of more than 4 MB are large', () => {
  const of = (documentBytes: number): boolean => areLarge(rangePartitions('x', [RANGE, { ...RANGE, documentBytes }]))
  expect([of(4_000_000), of(4_000_001), areLarge([])]).toEqual([false, true, false])
})

test('a sample has as many documents as are wanted, and of large ones fewer', () => {
  expect(planSample(undefined, 1000, true)).toEqual({ first: 1000, drawn: 0, batchSize: 1000 })
  expect(planSample({ rows: 0, bytes: 0 }, 1000, true)).toMatchObject({ first: 1000, drawn: 0 })
  expect(planSample({ rows: 900, bytes: 90_000 }, 1000, true)).toMatchObject({ first: 900 + 100, drawn: 0 })
  expect(planSample({ rows: 1e6, bytes: 1e9 }, 1000, true)).toEqual({ first: 250, drawn: 750, batchSize: 250 })
  expect(planSample({ rows: 1e6, bytes: 1e9 }, 1000, false)).toMatchObject({ first: 1000, drawn: 0 })
  const large = { rows: 1000, bytes: 16e9 }
  expect(planSample(large, 1000, true)).toEqual({ first: 5, drawn: 1, batchSize: 1 })
})

test('a stream has a key and can be cut where there is an index on _id; else rows may be missed', () => {
  const traits = { type: 'collection', indexed: true, size: { rows: 5, bytes: 50 }, snapshot: false }
  const stream = describeCollection('x', [], traits)
  expect(stream).toMatchObject({ name: 'x', key: ['_id'], rows: 5, bytes: 50, consistency: 'row' })
  expect(stream.partitionBytes).toBeGreaterThan(0)
  expect(stream.mayMiss).toBeUndefined()
  expect(describeCollection('x', [], { ...traits, snapshot: true }).consistency).toBe('snapshot')
  const view = describeCollection('x', [], { ...traits, type: 'view', indexed: false, size: undefined })
  expect(view).toMatchObject({ key: [], comment: 'view', mayMiss: true })
  expect([view.partitionBytes, view.rows]).toEqual([undefined, undefined])
})
