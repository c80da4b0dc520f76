import type { BaseConfig, Clock, NebulaError } from '@nebula/core'
import { isNebulaError } from '@nebula/core'

export type RetryOptions = Pick<
  BaseConfig['reliability'],
  'failFast' | 'maxRetries' | 'retryDelay' | 'retryMultiplier' | 'maxRetryDelay'
>

/**
 * Tries again what may succeed later, with waits that grow and are drawn at random between nothing and their longest
 * ("full jitter"), so that those who failed together do not come back together. Never for a commit, whose answer may
 * only have been lost.
 */
export class Retry {
  readonly #options: RetryOptions
  readonly #clock: Clock
  readonly #random: () => number

  constructor(options: RetryOptions, clock: Clock, random: () => number = Math.random) {
    this.#options = options
    this.#clock = clock
    this.#random = random
  }

  /**
   * Milliseconds to wait after `error`, when it was tried again `retries` times before; undefined: it is final. So is
   * what asks for a wait that is longer than any may be.
   */
  delayMs(error: unknown, retries: number): number | undefined {
    const { failFast, maxRetries, retryDelay, retryMultiplier, maxRetryDelay } = this.#options
    if (failFast || retries >= maxRetries || !mayPass(error)) return undefined
    const { retryAfterMs = 0 } = error
    if (retryAfterMs > maxRetryDelay) return undefined
    const longest = retryDelay && Math.min(maxRetryDelay, retryDelay * retryMultiplier ** retries)
    return Math.max(retryAfterMs, this.#random() * longest)
  }

  /** Runs an idempotent request. `onRetry` is told before each wait. Throws the last error, or `aborted`. */
  async execute<T>(
    request: () => Promise<T>,
    signal: AbortSignal,
    onRetry?: (error: NebulaError, delayMs: number) => void,
  ): Promise<T> {
    for (let retries = 0; ; retries++) {
      try {
        return await request()
      } catch (error) {
        const delayMs = this.delayMs(error, retries)
        if (delayMs === undefined) throw error
        onRetry?.(error as NebulaError, delayMs)
        await this.#clock.sleep(delayMs, signal)
      }
    }
  }
}

/** What speaks of the system and not of the data: for data that changed, the run is planned again. */
function mayPass(error: unknown): error is NebulaError {
  return isNebulaError(error) && error.retryable && error.exitCode === 3
}
