import type { BaseConfig, Clock, Context, Health, HealthCheck, Lifecycle } from '@nebula/core'
import { toNebulaError } from '@nebula/core'
import { Deadline } from './deadline.ts'
import { unlessAborted } from './timeout.ts'

export interface HealthOptions {
  /** A driver that is open. Without `ping`, every check finds it healthy. */
  readonly driver: Lifecycle
  readonly config: BaseConfig['reliability']['healthCheck']
  readonly context: Context
  /** Called after every check. */
  readonly onCheck?: (health: Health) => void
}

const REMEMBERED = 20
const UNHEALTHY_AFTER = 3

/** Asks a system now and then whether it answers, and remembers what came of it. */
export class HealthMonitor {
  readonly #options: HealthOptions
  readonly #clock: Clock
  readonly #stop = new AbortController()
  #health: Health
  #running: Promise<void> | undefined

  /** Nothing is asked before `check` or `start`; until then the system counts as healthy. */
  constructor(options: HealthOptions) {
    this.#options = options
    this.#clock = options.context.clock
    this.#health = { status: 'healthy', since: this.#clock.now(), checks: [] }
  }

  get health(): Health {
    return this.#health
  }

  /** Asks once. A ping that waits for a connection because all are in use is not late. */
  async check(): Promise<Health> {
    const { driver, config, context, onCheck } = this.#options
    const limit = { ms: config.timeout, what: 'A health check', key: 'reliability.health_check.timeout' }
    const late = new AbortController()
    const deadline = new Deadline(this.#clock, (error) => late.abort(error))
    const signal = AbortSignal.any([context.signal, this.#stop.signal, late.signal])
    const pinging: Context = {
      ...context,
      signal,
      // One answer is wanted, not the best of several.
      call: (request, options) => context.call(request, { ...options, idempotent: false, signal }),
      wait: (something) => deadline.wait(something),
    }
    const at = this.#clock.now()
    const error = await deadline
      .bound(limit, async () => unlessAborted(Promise.resolve(driver.ping?.(pinging)), signal))
      .then(
        () => undefined,
        (reason: unknown) => toNebulaError(late.signal.aborted ? late.signal.reason : reason).code,
      )
    deadline.close()
    // Whoever stops the checks learns nothing of the system by it.
    if (signal.aborted && !late.signal.aborted) return this.#health
    this.#record({ at, ms: this.#clock.now() - at, ...(error === undefined ? {} : { error }) })
    onCheck?.(this.#health)
    return this.#health
  }

  /** Checks now, and every `interval` until `stop`, where it is enabled. */
  start(): void {
    if (this.#options.config.enabled) this.#running ??= this.#run()
  }

  /** Resolves when no check runs any more. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const signal = AbortSignal.any([this.#options.context.signal, this.#stop.signal])
    while (!signal.aborted) {
      await this.check()
      await this.#clock.sleep(this.#options.config.interval, signal).catch(() => {})
    }
  }

  #record(check: HealthCheck): void {
    const { status: before, since, checks: earlier } = this.#health
    const checks = [...earlier, check].slice(-REMEMBERED)
    const last = checks.slice(-UNHEALTHY_AFTER)
    const failed = last.filter(({ error }) => error !== undefined).length
    const status = check.error === undefined ? 'healthy' : failed === last.length ? 'unhealthy' : 'degraded'
    this.#health = { status, since: status === before ? since : this.#clock.now(), checks }
  }
}
