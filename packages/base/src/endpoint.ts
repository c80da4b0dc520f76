import type { BaseConfig, Clock, Context, Endpoint, Health, Lifecycle, Logger, MetricsSnapshot } from '@nebula/core'
import { RecordPool, toNebulaError } from '@nebula/core'
import { createContext } from './context.ts'
import { HealthMonitor } from './health.ts'
import { Managed } from './lifecycle.ts'

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
  readonly #monitor: HealthMonitor

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
    const made = driver()
    this.#managed = new Managed(name, made)
    this.#monitor = new HealthMonitor({ driver: made, config: config.reliability.healthCheck, context: this.context })
  }

  async initialize(): Promise<void> {
    await this.counted(() => this.#managed.open(this.context))
    this.#startedAt = this.context.clock.now()
    this.#monitor.start()
  }

  async health(): Promise<Health> {
    void this.driver
    return this.#monitor.check()
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
    await this.#monitor.stop()
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
