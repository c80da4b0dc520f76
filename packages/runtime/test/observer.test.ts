import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { metrics, trace, context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { lineLogger, readProgress } from '@nebula/base'
import type { RunProgress } from '@nebula/base'
import type { Clock } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { MemorySource } from '@nebula/testkit'
import { MemoryTarget } from '@nebula/testkit'
import { afterEach, describe, expect, test } from 'vitest'
import { runPipeline, stateFile } from '../src/index.ts'
import type { Pipeline, Report, RunOptions } from '../src/index.ts'
import { numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()

/** A pipeline of one stream whose batches have ten rows. */
function shop(config: object, source: Partial<MemorySource> = {}, rows = 30): Pipeline {
  const streams = [numbered('orders', rows)]
  const destination = { target: new MemoryTarget() }
  const scene = { source: { streams, ...source }, destination, folder: folder() }
  return pipelineOf({ ...scene, config: { performance: { batchSize: 10 }, ...config } })
}

/** Time that passes when the test says so. */
class ManualClock implements Clock {
  #now = 1_700_000_000_000
  #sleeping: { readonly at: number; readonly ms: number; readonly wake: () => void }[] = []

  now(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(new NebulaError('aborted', { message: 'Stopped.' }))
      if (signal?.aborted) return stop()
      this.#sleeping.push({ at: this.#now + ms, ms, wake: resolve })
      signal?.addEventListener('abort', stop)
    })
  }

  /** Once somebody sleeps for `intervalMs`: wakes whoever is due, and waits until `settled` says that they have done their part. */
  async advance(ms: number, intervalMs: number, settled: () => Promise<boolean>): Promise<void> {
    while (!this.#sleeping.some((sleeper) => sleeper.ms === intervalMs)) await new Promise(setImmediate)
    this.#now += ms
    const due = this.#sleeping.filter(({ at }) => at <= this.#now)
    this.#sleeping = this.#sleeping.filter((sleeper) => !due.includes(sleeper))
    for (const { wake } of due) wake()
    while (!(await settled())) await new Promise(setImmediate)
  }
}

describe('metrics', () => {
  afterEach(() => {
    metrics.disable()
  })

  async function counted(config: object, source: Partial<MemorySource> = {}): Promise<Map<string, unknown>> {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1_000_000 })
    const provider = new MeterProvider({ readers: [reader] })
    metrics.setGlobalMeterProvider(provider)
    await runPipeline(shop(config, source)).catch(() => {})
    await provider.forceFlush()
    const found =
      exporter
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? []
    await provider.shutdown()
    const label = ({ side, code }: { side?: unknown; code?: unknown }): string => (side ?? code ?? '') as string
    return new Map(
      found.flatMap(({ descriptor: { name }, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => [`${name} ${label(attributes)}`.trim(), value] as const),
      ),
    )
  }

  test('count rows, batches, waiting, durable rows and pools', async () => {
    const found = await counted({})
    expect(Object.fromEntries(found)).toMatchObject({
      'nebula.rows source': 30,
      'nebula.rows destination': 30,
      'nebula.batches source': 3,
      'nebula.batches destination': 3,
      'nebula.rows.durable': 30,
    })
    for (const name of ['bytes source', 'waiting source', 'waiting destination', 'lag', 'pool.misses', 'start_time']) {
      expect([name, found.get(`nebula.${name}`)]).toEqual([name, expect.any(Number)])
      expect(found.get(`nebula.${name}`)).toBeGreaterThan(0)
    }
  })

  test('say how full the queue of batches is that are read ahead', async () => {
    const found = await counted({ performance: { batchSize: 10, bufferBytes: '1MB' } })
    expect(found.get('nebula.buffer.fill')).toBeTypeOf('number')
  })

  test('rows that were not committed are not durable, and the failure is counted by its code', async () => {
    const failing = {
      async beforeBatch(row: number) {
        if (row === 20) throw new NebulaError('connection_lost', { message: 'gone' })
      },
    }
    const found = await counted({}, failing)
    expect(found.get('nebula.rows source')).toBe(20)
    expect(found.get('nebula.errors connection_lost')).toBe(1)
    expect(found.has('nebula.rows.durable')).toBe(false)
  })

  test('observability.metrics: false counts nothing', async () => {
    expect(await counted({ observability: { metrics: false } })).toEqual(new Map())
  })
})

describe('tracing', () => {
  const exporter = new InMemorySpanExporter()
  afterEach(() => {
    trace.disable()
    context.disable()
    exporter.reset()
  })

  async function spans(tracing: boolean): Promise<string[]> {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager())
    const spanProcessors = [new SimpleSpanProcessor({ exporter })]
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors }))
    await runPipeline(shop({ observability: { tracing } }))
    const finished = exporter.getFinishedSpans()
    const nameOf = new Map(finished.map((span) => [span.spanContext().spanId, span.name]))
    return finished.map(({ name, parentSpanContext: parent }) => `${nameOf.get(parent?.spanId ?? '') ?? ''}>${name}`)
  }

  test('observability.tracing makes one trace of run, plan, task and commit', async () => {
    expect(await spans(true)).toEqual(['run>plan', 'task>commit', 'run>task', '>run'])
  })

  test('is off by itself', async () => {
    expect(await spans(false)).toEqual([])
  })
})

describe('advanced.debug', () => {
  test.each([
    [true, 3],
    [false, 0],
  ])('%s logs %i batches', async (debug, batches) => {
    const lines: string[] = []
    const logger = lineLogger('debug', (line) => lines.push(line))
    await runPipeline(shop({ advanced: { debug } }), { logger })
    const entries = lines.map((line) => JSON.parse(line) as object)
    const expected = { level: 'debug', message: 'batch', stream: 'orders', read: 10, written: 10, rejected: 0 }
    expect(entries.filter((entry) => 'stream' in entry)).toMatchObject(Array.from({ length: batches }, () => expected))
  })
})

describe('progress', () => {
  const file = (): string => stateFile({ stateFolder: join(folder(), '.nebula'), name: 'shop' }, 'progress.json')

  /** Runs with a clock of the test's own, looking at the progress file at every batch but the first. */
  async function watched(metricsInterval: string): Promise<{ seen: RunProgress[]; report: Report }> {
    const clock = new ManualClock()
    const seen: RunProgress[] = []
    const beforeBatch = async (row: number): Promise<void> => {
      if (row === 0) return
      const samples = metricsInterval === '1s' ? row / 10 + 1 : 1
      await clock.advance(1000, metricsInterval === '1s' ? 1000 : 3_600_000, async () => {
        const now = await readProgress(file())
        return now?.history.ms.length === samples
      })
      const now = await readProgress(file())
      if (now) seen.push(now)
    }
    const report = await runPipeline(shop({ observability: { metricsInterval } }, { beforeBatch }), { clock })
    return { seen, report }
  }

  test('can be read by others while it runs, a sample at every metrics_interval', async () => {
    const { seen, report } = await watched('1s')
    expect(seen.map(({ status, history }) => [status, history.ms])).toEqual([
      ['running', [0, 1000]],
      ['running', [0, 1000, 2000]],
    ])
    expect(seen[1]).toMatchObject({
      pid: process.pid,
      pipeline: 'shop',
      run: report.run,
      intervalMs: 1000,
      streams: [{ stream: 'orders', status: 'running', partitions: 1, partitionsDone: 0, durable: 0 }],
    })
    expect(report.history.ms).toEqual([0, 1000, 2000, 2000])
    expect(report.history.streams[0]).toMatchObject({ stream: 'orders' })
    expect(report.history.streams[0]?.rows.at(-1)).toBe(30)
    expect(report.history.streams[0]?.durable.at(-1)).toBe(30)
  })

  test('a longer metrics_interval takes fewer samples', async () => {
    const { report } = await watched('1h')
    expect(report.history.ms).toEqual([0, 2000])
  })

  test('says at the end how the run ended, with the numbers of the report', async () => {
    const report = await runPipeline(shop({}))
    const [stream] = report.streams
    expect(await readProgress(file())).toMatchObject({
      status: 'done',
      run: report.run,
      streams: [{ status: 'done', read: stream?.read, written: stream?.written, bytes: stream?.bytes, durable: 30 }],
      history: { rows: report.history.streams[0]?.rows },
    })
  })

  test('tells why a run could not begin, in the place of the run before', async () => {
    await runPipeline(shop({}))
    const pipeline = shop({})
    const broken = { ...pipeline, streams: { nothing: {} } }
    await expect(runPipeline(broken)).rejects.toMatchObject({ code: 'stream_not_found' })
    const progress = await readProgress(file())
    expect(progress).toMatchObject({ status: 'failed', streams: [], error: { code: 'stream_not_found' } })
    expect(progress?.run).toBeUndefined()
  })

  test('that cannot be written is logged once, and the run goes on', async () => {
    await mkdir(`${file()}.tmp`, { recursive: true })
    const lines: string[] = []
    const options: RunOptions = { logger: lineLogger('warn', (line) => lines.push(line)) }
    expect(await runPipeline(shop({}), options)).toMatchObject({ status: 'done', rows: 30 })
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { message: 'the progress cannot be written' },
    ])
  })
})

test('the report has what a stream waited, how long it ran, and what the pipeline allowed it to lose', async () => {
  const target = new MemoryTarget()
  const pipeline = pipelineOf({
    source: { streams: [numbered('orders', 30)] },
    destination: { target, accepts: ({ name }) => (name === 'name' ? { fidelity: 'lossy', why: 'it is cut' } : {}) },
    folder: folder(),
    pipeline: { defaults: { allowLoss: ['name'] } },
  })
  const [stream] = (await runPipeline(pipeline)).streams
  expect(stream).toMatchObject({ retries: 0, lossy: [{ column: 'name', why: 'it is cut' }] })
  expect(stream?.seconds).toBeGreaterThan(0)
  expect(stream?.rowsPerSecond).toBe(Math.round(30 / Math.max(stream?.seconds ?? 0, 0.001)))
  const stored = await readFile(join(folder(), '.nebula', 'shop.report.json'), 'utf8')
  expect((JSON.parse(stored) as Report).streams[0]?.lossy).toEqual(stream?.lossy)
})
