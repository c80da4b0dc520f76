import type { Attributes } from '@opentelemetry/api'

/** The end of a run at which something was counted. */
export type Side = 'source' | 'destination'

export type BreakerState = 'closed' | 'half_open' | 'open'

const BREAKER_VALUES: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 }

/** Counts what a run does: per batch, request or commit, never per row. Nothing in it throws or waits. */
export interface Recorder {
  /** A batch came from the source, or went into the destination; again when it is tried again. */
  batch(stream: string, side: Side, rows: number, bytes: number): void
  /** Rows that were kept as dead letters, or failed their stream. */
  rejected(stream: string, rows: number): void
  /** A task waited so many milliseconds for one end. */
  waited(stream: string, side: Side, ms: number): void
  /** Rows became durable; the oldest of them had been read `lagMs` before. */
  committed(stream: string, rows: number, lagMs: number): void
  /** How full the queue between the two ends is, from 0 to 1. */
  buffered(stream: string, fill: number): void
  /** A stream or run failed for this reason. */
  failed(code: string): void
  /** A request is tried again after it failed for this reason. */
  retried(side: Side, code: string): void
  breaker(side: Side, state: BreakerState): void
  /** How often a pool had what was asked of it, and how often not, since it was last told. */
  pool(hits: number, misses: number): void
}

/** Counts nothing. */
export const silentRecorder: Recorder = {
  batch: ignore,
  rejected: ignore,
  waited: ignore,
  committed: ignore,
  buffered: ignore,
  failed: ignore,
  retried: ignore,
  breaker: ignore,
  pool: ignore,
}

function ignore(): void {}

/** Where every copy of the OpenTelemetry API of major version 1 keeps what a program registered. */
const OTEL_GLOBAL = Symbol.for('opentelemetry.js.api.1')

/**
 * Counts through the OpenTelemetry API, for whichever meter provider the program registered before; without one,
 * nothing is kept, nor is the API loaded. Attributes are `pipeline`, `stream`, `side` and `code` alone, so their number is bounded.
 */
export async function createRecorder(pipeline: string): Promise<Recorder> {
  if (!(OTEL_GLOBAL in globalThis)) return silentRecorder
  const { metrics } = await import('@opentelemetry/api')
  const meter = metrics.getMeter('nebula')
  const counter = (name: string, unit: string, description: string) => {
    const instrument = meter.createCounter(`nebula.${name}`, { unit, description })
    return (value: number, attributes: Attributes) => instrument.add(value, { pipeline, ...attributes })
  }
  const gauge = (name: string, unit: string, description: string) => {
    const instrument = meter.createGauge(`nebula.${name}`, { unit, description })
    return (value: number, attributes: Attributes) => instrument.record(value, { pipeline, ...attributes })
  }
  const rows = counter('rows', '{row}', 'rows read from the source and written to the destination')
  const bytes = counter('bytes', 'By', 'bytes of batches read and written')
  const batches = counter('batches', '{batch}', 'batches read and written')
  const rejected = counter('rows.rejected', '{row}', 'rows that could not be read or were refused')
  const durable = counter('rows.durable', '{row}', 'rows whose commit is durable')
  const waiting = counter('waiting', 's', 'time that tasks waited for one end')
  const errors = counter('errors', '{error}', 'failures of streams and runs, by code')
  const retries = counter('retries', '{retry}', 'requests that were tried again, by code')
  const hits = counter('pool.hits', '{buffer}', 'buffers that were used again')
  const misses = counter('pool.misses', '{buffer}', 'buffers that had to be made')
  const lag = gauge('lag', 's', 'from reading the oldest row of the last commit until it was durable')
  const fill = gauge('buffer.fill', '1', 'how full the queue between source and destination is')
  const breaker = gauge('breaker.state', '1', 'circuit breaker: 0 closed, 1 half open, 2 open')
  gauge('start_time', 's', 'when the run began, seconds since 1970')(Date.now() / 1000, {})
  return {
    batch(stream, side, count, size) {
      const attributes = { stream, side }
      rows(count, attributes)
      bytes(size, attributes)
      batches(1, attributes)
    },
    rejected: (stream, count) => rejected(count, { stream }),
    waited: (stream, side, ms) => waiting(ms / 1000, { stream, side }),
    committed(stream, count, lagMs) {
      durable(count, { stream })
      lag(lagMs / 1000, { stream })
    },
    buffered: (stream, part) => fill(part, { stream }),
    failed: (code) => errors(1, { code }),
    retried: (side, code) => retries(1, { side, code }),
    breaker: (side, state) => breaker(BREAKER_VALUES[state], { side }),
    pool(found, made) {
      hits(found, {})
      misses(made, {})
    },
  }
}
