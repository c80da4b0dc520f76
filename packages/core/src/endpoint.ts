import type { BufferPoolStatistics } from './buffer-pool.ts'

/** One request that showed whether a system answers. */
export interface HealthCheck {
  /** Milliseconds since 1970, and how long it took. */
  readonly at: number
  readonly ms: number
  /** The code of the error; left out: the system answered. */
  readonly error?: string
}

export interface Health {
  /** Degraded: the last check failed; unhealthy: the last three, or every one there was. */
  readonly status: 'healthy' | 'degraded' | 'unhealthy'
  /** Milliseconds since 1970 at which the status became what it is. */
  readonly since: number
  /** The last ones, oldest first. */
  readonly checks: readonly HealthCheck[]
}

/** What a source or destination did since it was initialized. */
export interface MetricsSnapshot {
  /** Milliseconds since 1970; undefined before `initialize`. */
  readonly startedAt: number | undefined
  readonly batches: number
  readonly rows: number
  readonly bytes: number
  /** Rows that the source could not read. */
  readonly rejected: number
  /** Rows that are committed; 0 at a source. */
  readonly durable: number
  /** Failed calls, by the code of their error. */
  readonly errors: Readonly<Record<string, number>>
  readonly buffers: BufferPoolStatistics
  readonly records: { readonly lent: number; readonly idle: number; readonly hits: number; readonly misses: number }
}

/** What sources and destinations have in common. Constructing never connects. */
export interface Endpoint extends AsyncDisposable {
  /** The name of the connector. */
  readonly name: string
  /** Connects; once, before anything else. Throws `lifecycle` the second time. */
  initialize(): Promise<void>
  /** Asks the system now. Never throws because the system does not answer: that is the result. */
  health(): Promise<Health>
  metrics(): MetricsSnapshot
  /** Stops what runs, and releases every socket, file and timer. Idempotent; also the end of an `await using`. */
  close(): Promise<void>
}
