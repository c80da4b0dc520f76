import { NebulaError } from '@nebula/core'
import { Faults, Ledger, ManualClock, MemoryTarget } from '@nebula/testkit'
import { describe, expect, test, vi } from 'vitest'
import type { Report, RunEvent } from '../src/index.ts'
import { runPipeline } from '../src/index.ts'
import type { Scene } from './harness.ts'
import { numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()
const lost = (): NebulaError => new NebulaError('connection_lost', { message: 'gone' })
const retrying = { reliability: { maxRetries: 2, retryDelay: 1 } }
const orders = numbered('orders', 50, { positions: true })

/** Fails the calls of a point that `at` names, counted from 0. */
function failing(point: string, ...at: number[]): Faults {
  return new Faults((reached, count) => (reached === point && at.includes(count) ? lost() : undefined))
}

interface Setting extends Partial<Scene> {
  readonly faults?: Faults
  readonly commitOften?: boolean
}

function scene({ faults, commitOften = true, ...rest }: Setting = {}): Scene & { target: MemoryTarget } {
  const target = new MemoryTarget()
  return {
    target,
    source: { streams: [orders], ...(faults ? { faults } : {}) },
    destination: { target, commitOften, ...(faults ? { faults } : {}) },
    folder: folder(),
    config: { performance: { batchSize: 10 }, ...retrying },
    destinationConfig: retrying,
    ...rest,
  }
}

const all = { read: 50, written: 50, filtered: 0, rejected: 0 }

describe('a system that fails with what may pass', () => {
  test.each(['read', 'write', 'writer', 'commit'])('%s begins again behind the last commit', async (point) => {
    const faults = failing(point, point === 'writer' ? 0 : 2)
    const ledger = new Ledger()
    const { target, ...given } = scene({ faults, ledger })
    const report = await runPipeline(pipelineOf(given))
    expect(report).toMatchObject({ status: 'done', rows: 50, streams: [all] })
    expect(target.rows('orders')).toEqual(orders.rows)
    expect(ledger.released).toBe(ledger.yielded)
    expect(ledger.bytesUsed).toBe(0)
    // Five batches, and what was under way when it failed.
    expect(faults.points.filter((at) => at === 'write').length).toBeLessThanOrEqual(6)
    expect(faults.points.filter((at) => at === 'writer')).toHaveLength(2)
  })

  test('without a position it begins again from the start of the partition', async () => {
    const faults = failing('write', 3)
    const { target, ...given } = scene({ faults })
    const stream = numbered('orders', 50)
    const report = await runPipeline(pipelineOf({ ...given, source: { streams: [stream], faults } }))
    expect(report).toMatchObject({ status: 'done', streams: [all] })
    expect(target.rows('orders')).toEqual(stream.rows)
    expect(faults.points.filter((at) => at === 'write')).toHaveLength(9)
  })

  test.each(['read', 'write'])('fails when %s does so more often than max_retries', async (point) => {
    const faults = failing(point, 2, 3, 4)
    const report = await runPipeline(pipelineOf(scene({ faults })))
    expect(report.streams[0]).toMatchObject({ status: 'failed', error: { code: 'connection_lost' } })
    expect(faults.points.filter((at) => at === 'writer')).toHaveLength(3)
  })

  test('counts its retries from the last commit on', async () => {
    const faults = failing('write', 1, 2, 4, 5, 7, 8)
    const { target, ...given } = scene({ faults })
    expect(await runPipeline(pipelineOf(given))).toMatchObject({ status: 'done', streams: [all] })
    expect(target.rows('orders')).toEqual(orders.rows)
  })

  test('each end has its own retries', async () => {
    const none = { reliability: { maxRetries: 0 } }
    const batch = { performance: { batchSize: 10 } }
    const outcomes = []
    for (const point of ['read', 'write']) {
      const onlySource = scene({ faults: failing(point, 1), destinationConfig: none })
      const onlyDestination = scene({ faults: failing(point, 1), config: { ...batch, ...none } })
      for (const given of [onlySource, onlyDestination]) outcomes.push((await runPipeline(pipelineOf(given))).status)
    }
    expect(outcomes).toEqual(['done', 'failed', 'failed', 'done'])
  })

  test('a stop during the wait ends it at once', async () => {
    const clock = new ManualClock()
    const stop = new AbortController()
    const slow = { reliability: { maxRetries: 3, retryDelay: '1h', maxRetryDelay: '1h' } }
    const running = runPipeline(pipelineOf(scene({ faults: failing('write', 0), destinationConfig: slow })), {
      clock,
      signal: stop.signal,
    })
    await vi.waitFor(() => expect(clock.sleeping.filter((ms) => ms !== 1000)).toHaveLength(1))
    stop.abort()
    expect(await running).toMatchObject({ status: 'interrupted', exitCode: 130 })
  })
})

describe('a commit whose answer is lost', () => {
  test.each([0, 2, 5])('is asked about, and no row is doubled (commit %i)', async (at) => {
    const faults = failing('committed', at)
    const { target, ...given } = scene({ faults })
    expect(await runPipeline(pipelineOf(given))).toMatchObject({ status: 'done', streams: [all] })
    expect(target.rows('orders')).toEqual(orders.rows)
    expect(faults.points.filter((point) => point === 'recall')).toHaveLength(2)
    // Nothing that was committed is written again.
    expect(faults.points.filter((point) => point === 'write').length).toBeLessThanOrEqual(6)
  })

  test('and that nobody can be asked about leaves the run to be resumed', async () => {
    const faults = new Faults((point, count) => {
      if (point === 'committed' && count === 2) return lost()
      return point === 'recall' && count > 0 ? lost() : undefined
    })
    const { target, ...given } = scene({ faults })
    const report = await runPipeline(pipelineOf(given))
    expect(report.streams[0]).toMatchObject({ status: 'failed', error: { code: 'connection_lost' } })
    const next = await runPipeline(
      pipelineOf({ ...given, source: { streams: [orders] }, destination: { target, commitOften: true } }),
    )
    expect(next).toMatchObject({ status: 'done', resumed: true, streams: [all] })
    expect(target.rows('orders')).toEqual(orders.rows)
  })
})

describe('fail_fast', () => {
  const streams = [numbered('first', 30), numbered('second', 30)]

  test.each([
    [false, ['done', 'done']],
    [true, ['failed', 'interrupted']],
  ])('%s', async (failFast, statuses) => {
    const faults = failing('write', 1)
    const destinationConfig = { reliability: { ...retrying.reliability, failFast } }
    const given = scene({ faults, destinationConfig })
    const report = await runPipeline(pipelineOf({ ...given, source: { streams, faults } }))
    expect(report.streams.map(({ status }) => status)).toEqual(statuses)
  })
})

describe('time limits', () => {
  const none = { maxRetries: 0 }
  const timeouts = { queryTimeout: '7s', read: '3s', write: '2s', request: '4s' }
  const config = { performance: { batchSize: 10, flushInterval: '1s' }, timeouts, reliability: none }

  /** Something that takes so long, unless its signal fires. */
  function taking(clock: ManualClock, ms: number): (signal: AbortSignal) => Promise<void> {
    return async (signal) => {
      const done = clock.sleep(ms, signal)
      void clock.advance(ms)
      await done
    }
  }

  /** The fix that the error of a stream names; undefined: there was none. */
  const fixOf = ({ streams: [stream] }: Report): string | undefined => stream?.error?.fix.replace(/,.*/, '')

  test.each([
    ['first rows', 0, 7999, undefined],
    ['first rows', 0, 8000, 'Raise timeouts.query_timeout'],
    ['next rows', 20, 3999, undefined],
    ['next rows', 20, 4000, 'Raise timeouts.read'],
  ])('%s must come within their limit and the flush interval (row %i after %i ms)', async (_, at, ms, fix) => {
    const clock = new ManualClock()
    const given = scene({ config, destinationConfig: config })
    const beforeBatch = async (row: number, { signal }: { signal: AbortSignal }): Promise<void> => {
      if (row === at) await taking(clock, ms)(signal)
    }
    const report = await runPipeline(pipelineOf({ ...given, source: { streams: [orders], beforeBatch } }), { clock })
    expect(report.status).toBe(fix === undefined ? 'done' : 'failed')
    expect(fixOf(report)).toBe(fix)
    expect(clock.sleeping).toEqual([])
  })

  test('they bound no whole export: many batches may each take nearly as long', async () => {
    const clock = new ManualClock()
    const given = scene({ config, destinationConfig: config })
    const source = {
      streams: [orders],
      beforeBatch: (_: number, { signal }: { signal: AbortSignal }) => taking(clock, 3999)(signal),
    }
    expect(await runPipeline(pipelineOf({ ...given, source }), { clock })).toMatchObject({ status: 'done' })
  })

  test.each([
    [1999, undefined],
    [2000, 'Raise timeouts.write'],
  ])('a batch must be taken within write (%i ms)', async (ms, fix) => {
    const clock = new ManualClock()
    const { target, ...given } = scene({ config, destinationConfig: config })
    const destination = { target, beforeWrite: ({ signal }: { signal: AbortSignal }) => taking(clock, ms)(signal) }
    const report = await runPipeline(pipelineOf({ ...given, destination }), { clock })
    expect(fixOf(report)).toBe(fix)
  })

  test('a limit that was passed is tried again like any failure that may pass', async () => {
    const clock = new ManualClock()
    let slow = true
    const beforeBatch = async (row: number, { signal }: { signal: AbortSignal }): Promise<void> => {
      if (row !== 20 || !slow) return
      slow = false
      await taking(clock, 4000)(signal)
    }
    const reliability = { maxRetries: 1, retryDelay: 0 }
    const { target, ...given } = scene({ config: { ...config, reliability } })
    const running = runPipeline(pipelineOf({ ...given, source: { streams: [orders], beforeBatch } }), { clock })
    let over = false
    void running.finally(() => {
      over = true
    })
    // The wait before the retry is none, but it must be moved over.
    while (!over) await clock.advance(0)
    const report = await running
    expect(report).toMatchObject({ status: 'done', streams: [all] })
    expect(target.rows('orders')).toEqual(orders.rows)
  })
})

describe('performance', () => {
  test('checkpoint_interval: a commit follows the first position after it', async () => {
    const commits = []
    for (const checkpointInterval of ['10s', '20s', '1h']) {
      const clock = new ManualClock()
      const faults = new Faults()
      const config = { performance: { batchSize: 10, checkpointInterval } }
      const given = scene({ faults, commitOften: false, config })
      const beforeBatch = (): Promise<void> => clock.advance(6000)
      await runPipeline(pipelineOf({ ...given, source: { streams: [orders], beforeBatch } }), { clock })
      commits.push(faults.points.filter((point) => point === 'commit').length)
    }
    expect(commits[2]).toBe(1)
    expect(commits[1]).toBeGreaterThan(1)
    expect(commits[0]).toBeGreaterThan(commits[1] ?? 0)
  })

  test.each([
    [{}, 1],
    [{ bufferBytes: '1B' }, 2],
    [{ bufferBytes: '1kB' }, 5],
  ])('buffer_bytes bounds what is read ahead of the writer: %j', async (performance, batches) => {
    const ledger = new Ledger()
    const writing = Promise.withResolvers<void>()
    const { target, ...given } = scene({ ledger, config: { performance: { batchSize: 10, ...performance } } })
    let blocked = false
    const beforeWrite = async (): Promise<void> => {
      blocked = true
      await writing.promise
    }
    const running = runPipeline(pipelineOf({ ...given, destination: { target, beforeWrite } }))
    await vi.waitFor(() => expect([blocked, ledger.yielded]).toEqual([true, batches]))
    // Nothing more comes, however long one waits: all that can happen by itself has happened.
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    expect(ledger.yielded).toBe(batches)
    writing.resolve()
    expect((await running).status).toBe('done')
  })

  test.each([
    [undefined, 3, undefined, 3],
    [2, 3, undefined, 2],
    [undefined, 3, 1, 1],
    [2, 3, 5, 2],
  ])('tasks at once: parallel %s, workers %s, at most %s by the plan', async (parallel, workers, tasks, expected) => {
    let reading = 0
    let most = 0
    const full = Promise.withResolvers<void>()
    const beforeBatch = async (): Promise<void> => {
      most = Math.max(most, ++reading)
      if (reading === expected) full.resolve()
      await full.promise
      reading--
    }
    const given = scene({ config: { performance: { batchSize: 10, workers } }, pipeline: { parallel } })
    const source = { streams: [numbered('orders', 60, { cut: 10 })], beforeBatch, ...(tasks && { tasks }) }
    await runPipeline(pipelineOf({ ...given, source }))
    expect(most).toBe(expected)
  })

  test('limit is that of every stream that has none of its own', async () => {
    const given = scene({
      config: { performance: { limit: 7 } },
      pipeline: { streams: { orders: {}, lines: { limit: 3 } } },
    })
    let limits: unknown
    const onEvent = (event: RunEvent): void => {
      if (event.kind === 'planned') limits = event.prepared.run.streams.map(({ request }) => request.limit)
    }
    const source = { streams: [orders, numbered('lines', 10)] }
    await runPipeline(pipelineOf({ ...given, source }), { onEvent })
    expect(limits).toEqual([7, 3])
  })
})

describe('reliability', () => {
  test.each(['source', 'destination'])('rate_limit of the %s holds batches back', async (end) => {
    const clock = new ManualClock()
    const limited = { reliability: { rateLimit: { recordsPerSec: 10 } } }
    const config = { performance: { batchSize: 10 }, ...(end === 'source' ? limited : {}) }
    const given = scene({ config, destinationConfig: end === 'destination' ? limited : {} })
    const began = clock.now()
    const running = runPipeline(pipelineOf(given), { clock })
    // A second's burst and the debt of one batch pass at once; then each batch waits for the one before.
    for (const left of [3, 2, 1]) {
      await vi.waitFor(() => expect(clock.sleeping, `${left} batches to wait for`).toContain(1000))
      await clock.advance(1000)
    }
    expect(await running).toMatchObject({ status: 'done', streams: [all] })
    expect(clock.now() - began).toBe(3000)
  })

  test.each([
    [true, ['source healthy', 'destination healthy']],
    [false, []],
  ])('health_check %s', async (enabled, expected) => {
    const seen: string[] = []
    const onEvent = (event: RunEvent): void => {
      if (event.kind === 'health') seen.push(`${event.end} ${event.health.status}`)
    }
    const reliability = { healthCheck: { enabled, interval: '1h' } }
    const given = scene({ config: { reliability }, destinationConfig: { reliability } })
    await runPipeline(pipelineOf(given), { onEvent })
    expect(seen).toEqual(expected)
  })
})
