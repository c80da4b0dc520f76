import type { Clock, NebulaError } from '@nebula/core'
import { Alarm } from './alarm.ts'
import type { TimeLimit } from './timeout.ts'
import { timeoutError } from './timeout.ts'

/**
 * Bounds many pieces of work, one after the other: each batch of a task. Cheap enough for that, and fair: what its
 * user waits for on its own side does not count. It only tells that the time is over; whoever works must stop then.
 */
export class Deadline {
  readonly #clock: Clock
  readonly #alarm: Alarm
  #limit: TimeLimit | undefined
  #at = 0
  #waits = 0
  #waitsSince = 0

  /** `expire` gets the error `timeout`, which names the key to raise. */
  constructor(clock: Clock, expire: (error: NebulaError) => void) {
    this.#clock = clock
    this.#alarm = new Alarm(clock, () => {
      if (!this.#limit || this.#waits > 0) return
      const leftMs = this.#at - clock.now()
      if (leftMs > 0) this.#alarm.set(leftMs)
      else expire(timeoutError(this.#limit))
    })
  }

  async bound<T>(limit: TimeLimit, work: () => Promise<T>): Promise<T> {
    this.#limit = limit
    const now = this.#clock.now()
    this.#at = now + limit.ms
    // Of a wait that is under way, what is left of it.
    this.#waitsSince = now
    this.#alarm.set(limit.ms)
    try {
      return await work()
    } finally {
      this.#limit = undefined
      this.#alarm.clear()
    }
  }

  /** Waits for something; the time stands still. */
  async wait<T>(something: Promise<T>): Promise<T> {
    if (this.#waits++ === 0) this.#waitsSince = this.#clock.now()
    try {
      return await something
    } finally {
      if (--this.#waits === 0) {
        this.#at += this.#clock.now() - this.#waitsSince
        if (this.#limit) this.#alarm.set(this.#at - this.#clock.now())
      }
    }
  }

  /** Nothing expires any more. */
  close(): void {
    this.#alarm.close()
  }
}
