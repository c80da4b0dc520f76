import type { Clock } from '@nebula/core'
import { LONGEST_TIMER_MS } from './timeout.ts'

/** A reason of its own: the one that `abort` makes is an error with a stack, dear where alarms are many. */
const NOT_NEEDED = 'The alarm is set anew, or closed.'

/**
 * Rings once, at the time that was set last. Setting and clearing costs a look at the clock: a sleep that is under way
 * is left alone, and only looks again when it ends. To be closed, or the process waits for the sleep.
 */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #at = Infinity
  #wakesAt = Infinity
  #sleep: AbortController | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  set(ms: number): void {
    this.#at = this.#clock.now() + ms
    if (this.#at < this.#wakesAt) void this.#sleepAnew()
  }

  clear(): void {
    this.#at = Infinity
  }

  /** Nothing rings any more. */
  close(): void {
    this.clear()
    this.#sleep?.abort(NOT_NEEDED)
  }

  async #sleepAnew(): Promise<void> {
    this.#sleep?.abort(NOT_NEEDED)
    const { signal } = (this.#sleep = new AbortController())
    while (this.#at !== Infinity) {
      const ms = Math.min(LONGEST_TIMER_MS, Math.max(0, this.#at - this.#clock.now()))
      this.#wakesAt = this.#clock.now() + ms
      await this.#clock.sleep(ms, signal).catch(() => {})
      if (signal.aborted) return
      if (this.#clock.now() < this.#at) continue
      this.#at = Infinity
      this.#wakesAt = Infinity
      this.#ring()
    }
    this.#wakesAt = Infinity
  }
}
