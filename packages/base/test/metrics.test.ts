import { metrics } from '@opentelemetry/api'
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider } from '@opentelemetry/sdk-metrics'
import { PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createRecorder, silentRecorder } from '../src/index.ts'

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
let provider: MeterProvider

beforeEach(() => {
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1_000_000 })
  provider = new MeterProvider({ readers: [reader] })
  metrics.setGlobalMeterProvider(provider)
})
afterEach(async () => {
  metrics.disable()
  await provider.shutdown()
  exporter.reset()
})

interface Point {
  readonly attributes: object
  readonly value: unknown
}

/** What a collector would get now, by name. */
async function collected(): Promise<{ [name: string]: Point[] }> {
  await provider.forceFlush()
  const found =
    exporter
      .getMetrics()
      .at(-1)
      ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? []
  return Object.fromEntries(
    found.map(({ descriptor, dataPoints }) => [
      descriptor.name,
      dataPoints.map(({ attributes, value }): Point => ({ attributes, value })),
    ]),
  )
}

test('everything arrives under its name, with pipeline, stream, side and code and nothing else', async () => {
  vi.spyOn(Date, 'now').mockReturnValueOnce(1_700_000_000_000)
  const recorder = await createRecorder('shop')
  recorder.batch('orders', 'source', 10, 100)
  recorder.batch('orders', 'source', 5, 50)
  recorder.batch('orders', 'destination', 14, 150)
  recorder.rejected('orders', 1)
  recorder.waited('orders', 'source', 250)
  recorder.waited('orders', 'source', 250)
  recorder.committed('orders', 15, 1500)
  recorder.buffered('orders', 0.25)
  recorder.failed('timeout')
  recorder.retried('source', 'connection_lost')
  recorder.breaker('destination', 'closed')
  recorder.breaker('destination', 'half_open')
  recorder.pool(3, 1)
  recorder.pool(2, 0)
  const orders = { pipeline: 'shop', stream: 'orders' }
  const source = { ...orders, side: 'source' }
  const destination = { ...orders, side: 'destination' }
  expect(await collected()).toEqual({
    'nebula.rows': [
      { attributes: source, value: 15 },
      { attributes: destination, value: 14 },
    ],
    'nebula.bytes': [
      { attributes: source, value: 150 },
      { attributes: destination, value: 150 },
    ],
    'nebula.batches': [
      { attributes: source, value: 2 },
      { attributes: destination, value: 1 },
    ],
    'nebula.rows.rejected': [{ attributes: orders, value: 1 }],
    'nebula.rows.durable': [{ attributes: orders, value: 15 }],
    'nebula.waiting': [{ attributes: source, value: 0.5 }],
    'nebula.lag': [{ attributes: orders, value: 1.5 }],
    'nebula.buffer.fill': [{ attributes: orders, value: 0.25 }],
    'nebula.errors': [{ attributes: { pipeline: 'shop', code: 'timeout' }, value: 1 }],
    'nebula.retries': [{ attributes: { pipeline: 'shop', side: 'source', code: 'connection_lost' }, value: 1 }],
    'nebula.breaker.state': [{ attributes: { pipeline: 'shop', side: 'destination' }, value: 1 }],
    'nebula.pool.hits': [{ attributes: { pipeline: 'shop' }, value: 5 }],
    'nebula.pool.misses': [{ attributes: { pipeline: 'shop' }, value: 1 }],
    'nebula.start_time': [{ attributes: { pipeline: 'shop' }, value: 1_700_000_000 }],
  })
})

test('the silent recorder records nothing', async () => {
  silentRecorder.batch('orders', 'source', 10, 100)
  silentRecorder.failed('timeout')
  expect(await collected()).toEqual({})
})
