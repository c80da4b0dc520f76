import type {
  BaseConfig,
  Clock,
  Context,
  Endpoint,
  Health,
  HealthCheck,
  Lifecycle,
  Logger,
  MetricsSnapshot,
} from '@nebula/core'
import { RecordPool, toNebulaError } from '@nebula/core'
import { createContext } from './context.ts'
import { Managed } from './lifecycle.ts'
import { withTimeout } from './timeout.ts'

export interface EndpointOptions<Driver> {
  /** The name of the connector, for messages. */
  readonly name: string
  readonly config: BaseConfig
  /** Constructs a driver; connects nothing. A source calls it for every reading. */
  readonly driver: () => Driver
  /** Stops everything. */
  readonly signal?: AbortSignal
  readonly logger?: Logger
  readonly clock?: Clock
}

/** Health checks that are remembered. */
const REMEMBERED = 20
const UNHEALTHY_AFTER = 3

/** What `BaseSource` and `BaseDestination` share: life, context, health and counts. */
export abstract class BaseEndpoint<Driver extends Lifecycle> implements Endpoint {
  readonly name: string
  protected readonly options: EndpointOptions<Driver>
  protected readonly context: Context
  protected readonly recordPool: RecordPool
  readonly #managed: Managed<Driver>
  readonly #closing = new AbortController()
  readonly #errors: { [code: string]: number } = {}
  readonly #counted = new WeakSet<object>()
  readonly #counts = { batches: 0, rows: 0, bytes: 0, rejected: 0, durable: 0 }
  #startedAt: number | undefined
  #checks: readonly HealthCheck[] = []
  #status: Health['status'] = 'healthy'
  #since: number

  constructor(options: EndpointOptions<Driver>) {
    const { name, config, driver, signal = new AbortController().signal, logger, clock } = options
    this.name = name
    this.options = options
    this.recordPool = new RecordPool(config.memory.recordPoolSize)
    this.context = createContext({
      signal: AbortSignal.any([signal, this.#closing.signal]),
      config,
      name,
      ...(logger ? { logger } : {}),
      ...(clock ? { clock } : {}),
    })
    this.#managed = new Managed(name, driver())
    this.#since = this.context.clock.now()
  }

  async initialize(): Promise<void> {
    await this.counted(() => this.#managed.open(this.context))
    this.#startedAt = this.context.clock.now()
  }

  async health(): Promise<Health> {
    const driver = this.driver
    const { clock, signal } = this.context
    const ms = this.options.config.reliability.healthCheck.timeout
    const limit = { ms, what: 'A health check', key: 'reliability.health_check.timeout' }
    const at = clock.now()
    const error = await withTimeout(
      limit,
      signal,
      (inner) => driver.ping?.({ ...this.context, signal: inner }) ?? Promise.resolve(),
    ).then(
      () => undefined,
      (reason: unknown) => toNebulaError(reason).code,
    )
    this.#checks = [...this.#checks, { at, ms: clock.now() - at, ...(error === undefined ? {} : { error }) }].slice(
      -REMEMBERED,
    )
    const last = this.#checks.slice(-UNHEALTHY_AFTER)
    const failing = last.every((check) => check.error !== undefined)
    const status = error === undefined ? 'healthy' : failing ? 'unhealthy' : 'degraded'
    if (status !== this.#status) this.#since = clock.now()
    this.#status = status
    return { status, since: this.#since, checks: this.#checks }
  }

  metrics(): MetricsSnapshot {
    return {
      startedAt: this.#startedAt,
      ...this.#counts,
      errors: { ...this.#errors },
      buffers: this.context.pool.statistics,
      records: this.recordPool.statistics,
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#managed.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The open driver. Throws `lifecycle` before `initialize` and after `close`. */
  protected get driver(): Driver {
    return this.#managed.driver
  }

  /** Runs a call; an error is counted, and knows the connector. */
  protected async counted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** The error as it leaves the package; counted once, however often it passes here. */
  protected failure(thrown: unknown): Error {
    if (thrown instanceof Error && this.#counted.has(thrown)) return thrown
    const error = toNebulaError(thrown).at({ connector: this.name })
    this.#errors[error.code] = (this.#errors[error.code] ?? 0) + 1
    this.#counted.add(error)
    return error
  }

  /** Counts what moved, or became durable. */
  protected count(delta: Partial<Pick<MetricsSnapshot, 'batches' | 'rows' | 'bytes' | 'rejected' | 'durable'>>): void {
    for (const key of ['batches', 'rows', 'bytes', 'rejected', 'durable'] as const) this.#counts[key] += delta[key] ?? 0
  }
}
