import type { Attributes } from '@opentelemetry/api'
import type { ProgressFeed } from './progress-feed.ts'

export interface Prometheus {
  /** All metrics now, in Prometheus' text form. */
  readonly collect: () => Promise<string>
  readonly close: () => Promise<void>
}

/** Collects what this process counts, from now on. */
export async function collectMetrics(): Promise<Prometheus> {
  const { prometheus, provider } = await openProvider()
  const { metrics } = await import('@opentelemetry/api')
  metrics.setGlobalMeterProvider(provider)
  return {
    collect: prometheus.collect,
    async close() {
      metrics.disable()
      await prometheus.close()
    },
  }
}

/** The metrics that the progress of another process tells, under the names that it counts them by. */
export async function progressMetrics(feed: ProgressFeed): Promise<Prometheus> {
  const { prometheus, provider } = await openProvider()
  const meter = provider.getMeter('nebula')
  type Stream = NonNullable<ProgressFeed['current']>['streams'][number]
  const observe = (name: string, unit: string, values: (stream: Stream) => [number, Attributes][]): void =>
    meter.createObservableCounter(`nebula.${name}`, { unit }).addCallback((result) => {
      for (const stream of feed.current?.streams ?? []) {
        const fixed = { pipeline: feed.current?.pipeline ?? '', stream: stream.stream }
        for (const [value, attributes] of values(stream)) result.observe(value, { ...fixed, ...attributes })
      }
    })
  const bySide = (source: number, destination: number): [number, Attributes][] => [
    [source, { side: 'source' }],
    [destination, { side: 'destination' }],
  ]
  observe('rows', '{row}', (s) => bySide(s.read, s.written))
  observe('bytes', 'By', (s) => [[s.bytes, { side: 'source' }]])
  observe('rows.rejected', '{row}', (s) => [[s.rejected, {}]])
  observe('rows.durable', '{row}', (s) => [[s.durable, {}]])
  observe('waiting', 's', (s) => bySide(s.sourceMs / 1000, s.destinationMs / 1000))
  meter.createObservableGauge('nebula.start_time', { unit: 's' }).addCallback((result) => {
    const view = feed.current
    if (view) result.observe(view.startedAt / 1000, { pipeline: view.pipeline })
  })
  return prometheus
}

async function openProvider() {
  const [{ MeterProvider }, { PrometheusExporter, PrometheusSerializer }] = await Promise.all([
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/exporter-prometheus'),
  ])
  const reader = new PrometheusExporter({ preventServerStart: true })
  const provider = new MeterProvider({ readers: [reader] })
  const serializer = new PrometheusSerializer()
  const prometheus: Prometheus = {
    collect: async () => serializer.serialize((await reader.collect()).resourceMetrics),
    close: () => provider.shutdown(),
  }
  return { prometheus, provider }
}
