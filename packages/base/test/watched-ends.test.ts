import type { RecordBatch } from '@nebula/core'
import { BaseConfig, BufferPool } from '@nebula/core'
import { ManualClock } from '@nebula/testkit'
import { expect, test } from 'vitest'
import { createContext, taskLimits, WatchedEnds } from '../src/index.ts'

const batch = { rows: 1 } as RecordBatch

function watched() {
  const clock = new ManualClock(0)
  const timeouts = { queryTimeout: '5s', read: '2s', write: '3s', request: '4s' }
  const config = BaseConfig.parse({ timeouts, performance: { flushInterval: '1s' } })
  const pool = new BufferPool(4096)
  const context = createContext({ signal: new AbortController().signal, config, clock, pool })
  return { clock, pool, ends: new WatchedEnds({ source: context, destination: context }, taskLimits(config, config)) }
}

test('time in which a source waits for memory, or for something else of ours, does not count', async () => {
  const { clock, pool, ends } = watched()
  const held = pool.take(4096)
  const { source: context } = ends
  async function* source(): AsyncGenerator<RecordBatch> {
    await clock.sleep(3000)
    await pool.ready(context.signal)
    await context.wait(clock.sleep(60_000))
    await clock.sleep(2999)
    yield batch
  }
  const reading = ends.batches(source).next()
  await clock.advance(3000)
  await clock.advance(60_000)
  pool.give(held)
  await clock.advance(62_999)
  expect(await reading).toBe(batch)
  expect(ends.late).toBeUndefined()
  ends.close()
  expect(clock.sleeping).toEqual([])
})

test('time in which nobody asks for the next batch does not count', async () => {
  const { clock, ends } = watched()
  async function* source(): AsyncGenerator<RecordBatch> {
    yield batch
    yield batch
  }
  const batches = ends.batches(source)
  for (let i = 0; i < 3; i++) {
    await batches.next()
    await clock.advance(90_000)
  }
  expect(ends.late).toBeUndefined()
})

test('a source that is late stops both ends; one that is left early is told', async () => {
  const { clock, ends } = watched()
  let left = false
  async function* source(): AsyncGenerator<RecordBatch> {
    try {
      for (;;) yield batch
    } finally {
      left = true
    }
  }
  const batches = ends.batches(source)
  await batches.leave()
  expect(left).toBe(false)
  await batches.next()
  await batches.leave()
  expect(left).toBe(true)
  async function* silent(): AsyncGenerator<RecordBatch> {
    await new Promise((_, reject) => ends.source.signal.addEventListener('abort', reject))
    yield batch
  }
  const reading = Promise.allSettled([ends.batches(silent).next()])
  await clock.advance(6000)
  expect(await reading).toMatchObject([{ status: 'rejected' }])
  expect(ends.late).toMatchObject({ end: 'source', error: { code: 'timeout' } })
  expect(ends.destination.signal.aborted).toBe(true)
})

test('a writer has a limit for each batch and one for the commit', async () => {
  for (const [work, ms] of [
    ['write', 3000],
    ['commit', 4000],
  ] as const) {
    const { clock, ends } = watched()
    const never = (): Promise<never> => new Promise(() => {})
    const writer = ends.writer({ write: never, commit: never, abort: async () => {} })
    if (work === 'write') void writer.write(batch, 0, 1)
    else void writer.commit({ partition: 'p', sequence: 1, done: true, counts: {} as never })
    await clock.advance(ms - 1)
    expect(ends.late).toBeUndefined()
    await clock.advance(1)
    expect(ends.late).toMatchObject({ end: 'destination', error: { code: 'timeout' } })
  }
})

test('reading is stopped without the writer', () => {
  const { ends } = watched()
  ends.stopReading()
  expect([ends.source.signal.aborted, ends.destination.signal.aborted]).toEqual([true, false])
})
