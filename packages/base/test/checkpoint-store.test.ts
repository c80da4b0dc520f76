import type { Checkpoint, ErrorCode, Run, StreamPlan, WriteTask } from '@nebula/core'
import { isNebulaError } from '@nebula/core'
import { expect, test } from 'vitest'
import { CheckpointStore } from '../src/checkpoint-store.ts'
import { MemoryRecords } from './memory-records.ts'

const SESSION = {}
const COUNTS = { read: 0, written: 0, filtered: 0, rejected: 0, bytes: 0 }
const STREAM = { request: { stream: 's' }, target: 't', generation: 0 } as StreamPlan

function runOf(epoch: number, id = 'run1', parts: readonly string[] = ['p1', 'p2']): Run {
  const partitions = parts.map((part) => ({ id: part, stream: 's', range: null }))
  return { pipeline: 'shop', id, epoch, fingerprint: '', plan: { partitions, restart: [] }, streams: [STREAM] }
}

const storedOf = (run: Run) => ({ run, finished: [], ended: false })

function taskOf(run: Run, id = 'p1'): WriteTask {
  return { run, partition: { id, stream: 's', range: null } } as WriteTask
}

function checkpoint(sequence: number, partition = 'p1'): Checkpoint {
  return { partition, sequence, done: true, counts: COUNTS }
}

async function codeOf(work: Promise<unknown>): Promise<ErrorCode | 'done' | 'internal'> {
  return work.then(
    () => 'done',
    (error: unknown) => (isNebulaError(error) ? error.code : 'internal'),
  )
}

/** A store in which runs were prepared one after the other. */
async function prepared(...runs: readonly Run[]): Promise<{ records: MemoryRecords; store: CheckpointStore<object> }> {
  const records = new MemoryRecords()
  const store = new CheckpointStore(records)
  for (const run of runs) {
    await store.store(SESSION, storedOf(run), await store.current(SESSION, run))
    await store.raise(SESSION, run)
  }
  return { records, store }
}

test('a commit is recalled, and is made once', async () => {
  const run = runOf(1)
  const { store } = await prepared(run)
  await store.commit(SESSION, taskOf(run), checkpoint(1))
  expect(await codeOf(store.commit(SESSION, taskOf(run), checkpoint(1)))).toBe('already_committed')
  await store.commit(SESSION, taskOf(run), checkpoint(2))
  expect(await store.sequence(SESSION, taskOf(run))).toBe(2)
  expect(await store.sequence(SESSION, taskOf(run, 'p2'))).toBe(0)
  expect((await store.recall(SESSION, 'shop'))?.checkpoints).toEqual([checkpoint(2)])
})

test('what was committed is there for the process that takes over, and partitions that are new', async () => {
  const [run, next] = [runOf(1), runOf(2, 'run1', ['p1', 'p2', 'p3'])]
  const { store } = await prepared(run)
  await store.commit(SESSION, taskOf(run), checkpoint(1))
  await store.store(SESSION, storedOf(next), await store.current(SESSION, next))
  // Killed here, nothing is forgotten.
  expect((await store.recall(SESSION, 'shop'))?.checkpoints).toEqual([checkpoint(1)])
  await store.raise(SESSION, next)
  expect(await store.sequence(SESSION, taskOf(next))).toBe(1)
  expect(await store.sequence(SESSION, taskOf(next, 'p3'))).toBe(0)
})

test('more partitions than are inserted at once', async () => {
  const parts = Array.from({ length: 2500 }, (_, i) => `p${i}`)
  const run = runOf(1, 'run1', parts)
  const { store } = await prepared(run)
  for (const part of ['p0', 'p999', 'p1000', 'p2499']) expect(await store.sequence(SESSION, taskOf(run, part))).toBe(0)
})

test.each<[string, (store: CheckpointStore<object>, run: Run) => Promise<unknown>, string]>([
  ['current', (store, run) => store.current(SESSION, run), 'fenced'],
  ['confirm', (store, run) => store.confirm(SESSION, run), 'fenced'],
  ['store', (store, run) => store.store(SESSION, storedOf(run), storedOf(run)), 'fenced'],
  ['store, as the first one', (store, run) => store.store(SESSION, storedOf(run), undefined), 'fenced'],
  ['raise', (store, run) => store.raise(SESSION, run), 'done'],
  ['sequence', (store, run) => store.sequence(SESSION, taskOf(run)), 'fenced'],
  ['commit', (store, run) => store.commit(SESSION, taskOf(run), checkpoint(9)), 'fenced'],
  ['reset', (store, run) => store.reset(SESSION, run, STREAM), 'done'],
  ['forget', (store, run) => store.forget(SESSION, run, [STREAM]), 'done'],
  ['forget, of all', (store, run) => store.forget(SESSION, run), 'done'],
  ['forgetRun', (store, run) => store.forgetRun(SESSION, run), 'done'],
])('an overtaken process changes nothing by %s', async (_, change, code) => {
  // The same run, and one behind it that began at the first epoch again, because this one was given up.
  const takenOver = await prepared(runOf(1), runOf(2))
  await takenOver.store.commit(SESSION, taskOf(runOf(2)), checkpoint(1))
  const givenUp = await prepared(runOf(1))
  await givenUp.store.forgetRun(SESSION, runOf(1))
  expect(givenUp.records.records.size).toBe(0)
  const other = runOf(1, 'run2')
  await givenUp.store.store(SESSION, storedOf(other), undefined)
  await givenUp.store.raise(SESSION, other)
  await givenUp.store.commit(SESSION, taskOf(other), checkpoint(1))
  for (const { store, records } of [takenOver, givenUp]) {
    const before = structuredClone([...records.records])
    expect(await codeOf(change(store, runOf(1)))).toBe(code)
    // What it makes for itself nobody asks for.
    const mine = ([, record]: (typeof before)[number]) => record.pipeline !== 'shop/run1' || store === takenOver.store
    expect([...records.records].filter(mine)).toEqual(before)
  }
})

test('of two that begin with the same epoch one is fenced', async () => {
  const ended = runOf(5)
  const { store } = await prepared(ended)
  const [one, two] = [runOf(6, 'one'), runOf(6, 'two')]
  const seen = [await store.current(SESSION, one), await store.current(SESSION, two)]
  await store.store(SESSION, storedOf(one), seen[0])
  expect(await codeOf(store.store(SESSION, storedOf(two), seen[1]))).toBe('fenced')
  expect(await codeOf(store.current(SESSION, two))).toBe('fenced')
  expect((await store.recall(SESSION, 'shop'))?.run).toEqual(one)
})

test('partitions that begin again are no checkpoints, and streams that are forgotten leave none', async () => {
  const run = runOf(1)
  const { store, records } = await prepared(run)
  await store.commit(SESSION, taskOf(run), checkpoint(3))
  await store.reset(SESSION, run, STREAM)
  expect((await store.recall(SESSION, 'shop'))?.checkpoints).toEqual([])
  await store.commit(SESSION, taskOf(run), checkpoint(1))
  await store.forget(SESSION, run, [STREAM])
  expect([...records.records.values()].map(({ part }) => part)).toEqual([''])
})

test('what has a name is ours by its id, and so is what stands there until it is replaced', async () => {
  const { store, records } = await prepared()
  await store.own(SESSION, 'a', '1')
  await store.own(SESSION, 'b', '2')
  expect(await store.owned(SESSION)).toEqual(
    new Map([
      ['1', 'a'],
      ['2', 'b'],
    ]),
  )
  // Twice, as by a process that was killed in between.
  for (let i = 0; i < 2; i++) await store.own(SESSION, 'a', '3', '1')
  expect(await store.owned(SESSION)).toEqual(
    new Map([
      ['1', 'a'],
      ['2', 'b'],
      ['3', 'a'],
    ]),
  )
  await store.own(SESSION, 'a', '4', '3')
  // An id that is given again.
  await store.own(SESSION, 'c', '2')
  expect(await store.owned(SESSION)).toEqual(
    new Map([
      ['3', 'a'],
      ['4', 'a'],
      ['2', 'c'],
    ]),
  )
  expect(records.records.size).toBe(3)
})

test('what a newer version stored is refused, and what an older one did is read', async () => {
  const run = runOf(1)
  const { store, records } = await prepared(run)
  const [key, record] = [...records.records][0] as [string, { content: object }]
  const stored = (version: number) =>
    records.records.set(key, { ...record, content: { ...record.content, version } } as never)
  stored(3)
  expect(await codeOf(store.recall(SESSION, 'shop'))).toBe('state_newer')
  expect(await codeOf(store.current(SESSION, runOf(2)))).toBe('state_newer')
  stored(1)
  expect((await store.recall(SESSION, 'shop'))?.run).toEqual(run)
})
