import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '@nebula/core'
import { NebulaError } from '@nebula/core'

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** A clock that stands still until a test moves it on. */
export class ManualClock implements Clock {
  #now: number
  #sleepers: Sleeper[] = []

  constructor(now = 1_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  /** Milliseconds until each sleeper wakes, soonest first. */
  get sleeping(): number[] {
    return this.#sleepers.map(({ at }) => at - this.#now).sort((a, b) => a - b)
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const stopped = (): NebulaError => new NebulaError('aborted', { message: 'Stopped while waiting.' })
    if (signal?.aborted) throw stopped()
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
        reject(stopped())
      }
      const wake = (): void => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }
      const sleeper = { at: this.#now + ms, wake }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', stop, { once: true })
    })
  }

  /** Moves on, through every moment at which somebody wakes, and lets what they do come to rest. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await turn()
    for (;;) {
      const [next] = this.#sleepers.toSorted((a, b) => a.at - b.at)
      if (!next || next.at > end) break
      this.#now = Math.max(this.#now, next.at)
      this.#sleepers = this.#sleepers.filter((other) => other !== next)
      next.wake()
      await turn()
    }
    this.#now = end
  }

  /** Moves on to each next waking until `work` is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let done = false
    const settle = (): void => {
      done = true
    }
    work.then(settle, settle)
    for (await turn(); !done; await turn()) {
      const [soonest] = this.sleeping
      if (soonest !== undefined) await this.advance(soonest)
    }
    return work
  }
}
