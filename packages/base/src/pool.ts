import type { Context } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** What a pool lends: a connection, as a rule. */
export interface Pooled {
  /** Of no use any more: not lent again. */
  readonly broken: boolean
  /** What it is in the middle of, such as the transaction of a snapshot; undefined: nothing. */
  readonly state?: string | undefined
  /** Leaves its state. */
  reset(signal: AbortSignal): Promise<void>
  close(): Promise<void>
  /** Breaks it off at once. */
  destroy(): void
}

/** Lends at most `limit` connections, each to one borrower at a time; opened when needed, kept until `close`. */
export class Pool<T extends Pooled> {
  readonly #limit: number
  readonly #open: (signal: AbortSignal) => Promise<T>
  readonly #idle: T[] = []
  readonly #all = new Set<T>()
  readonly #waiting: (() => void)[] = []
  /** Open, or about to be. */
  #count = 0

  constructor(limit: number, open: (signal: AbortSignal) => Promise<T>) {
    this.#limit = limit
    this.#open = open
  }

  /** Runs one short piece of work under the request timeout; a connection on which it failed is broken off. */
  use<R>(context: Context, work: (item: T, signal: AbortSignal) => Promise<R>): Promise<R> {
    return context.call(async (signal) => {
      const item = await this.acquire(signal)
      try {
        return await work(item, signal)
      } catch (error) {
        item.destroy()
        throw error
      } finally {
        this.release(item)
      }
    })
  }

  /** One for the caller alone, until `release`: in `state`, if one is there, else in none. Throws `aborted`. */
  async acquire(signal: AbortSignal, state?: string): Promise<T> {
    while (!this.#hasRoom() && !signal.aborted) await this.#turn(signal)
    if (signal.aborted) {
      if (this.#hasRoom()) this.#waiting.shift()?.()
      throw new NebulaError('aborted', { message: 'Stopped while waiting for a connection.' })
    }
    const fitting = this.#idle.findIndex((item) => item.state === state)
    const [item] = this.#idle.splice(Math.max(0, fitting), 1)
    if (!item) return this.#add(signal)
    try {
      if (item.state !== state) await item.reset(signal)
      return item
    } catch (error) {
      item.destroy()
      this.release(item)
      throw error
    }
  }

  release(item: T): void {
    if (!item.broken) this.#idle.push(item)
    else if (this.#all.delete(item)) this.#count--
    this.#waiting.shift()?.()
  }

  /** Closes what is open, lent or not. */
  async close(): Promise<void> {
    const items = [...this.#all]
    this.#all.clear()
    this.#idle.length = 0
    await Promise.all(items.filter(({ broken }) => !broken).map((item) => item.close()))
  }

  #hasRoom(): boolean {
    return this.#count < this.#limit || this.#idle.length > 0
  }

  async #add(signal: AbortSignal): Promise<T> {
    this.#count++
    try {
      const item = await this.#open(signal)
      this.#all.add(item)
      return item
    } catch (error) {
      this.#count--
      this.#waiting.shift()?.()
      throw error
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        const place = this.#waiting.indexOf(wake)
        if (place >= 0) this.#waiting.splice(place, 1)
        resolve()
      }
      signal.addEventListener('abort', wake, { once: true })
      this.#waiting.push(wake)
    })
  }
}
