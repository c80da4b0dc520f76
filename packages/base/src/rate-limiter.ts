import type { BaseConfig, Clock } from '@nebula/core'

export type RateLimits = BaseConfig['reliability']['rateLimit']

/**
 * Two token buckets, rows and bytes, with debt: what comes passes as soon as earlier debt is paid, however large it is,
 * and who comes next waits the longer. Over any time, not more passes than the rate, the burst and one batch.
 */
export class RateLimiter {
  readonly #buckets: readonly [rows: Bucket, size: Bucket]
  readonly #clock: Clock
  readonly #unlimited: boolean
  /** When the last one passes. */
  #last = 0

  /** `burst` is in milliseconds of the rate. A rate that is left out is not limited. */
  constructor({ recordsPerSec, bytesPerSec, burst }: RateLimits, clock: Clock) {
    this.#clock = clock
    this.#unlimited = recordsPerSec === undefined && bytesPerSec === undefined
    const now = clock.now()
    this.#buckets = [new Bucket(recordsPerSec, burst, now), new Bucket(bytesPerSec, burst, now)]
  }

  /**
   * Waits until a batch may pass, in the order of the calls; undefined: it may at once. Rejects with `aborted` when the
   * signal fires first.
   */
  take(records: number, bytes: number, signal: AbortSignal): Promise<void> | undefined {
    if (this.#unlimited) return undefined
    const now = this.#clock.now()
    const [rows, size] = this.#buckets
    const at = Math.max(now, this.#last, rows.paidAt, size.paidAt)
    rows.take(records, at)
    size.take(bytes, at)
    this.#last = at
    return at > now ? this.#clock.sleep(at - now, signal) : undefined
  }
}

class Bucket {
  /** Tokens a millisecond; infinite: no limit. */
  readonly #rate: number
  readonly #capacity: number
  /** Below 0: debt. */
  #level: number
  #at: number

  constructor(perSec: number | undefined, burstMs: number, now: number) {
    this.#rate = (perSec ?? Infinity) / 1000
    this.#capacity = this.#rate * burstMs || 0
    this.#level = this.#capacity
    this.#at = now
  }

  /** When the debt is paid. */
  get paidAt(): number {
    return this.#at + Math.max(0, -this.#level) / this.#rate
  }

  /** Takes tokens at a time that is not before the last. */
  take(tokens: number, at: number): void {
    if (this.#rate === Infinity) return
    this.#level = Math.min(this.#capacity, this.#level + (at - this.#at) * this.#rate) - tokens
    this.#at = at
  }
}
