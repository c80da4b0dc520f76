import type { CallOptions, Context } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { LONGEST_TIMER_MS } from './timeout.ts'

/** What a pool lends: a connection, as a rule. */
export interface Pooled {
  /** Of no use any more: not lent again. */
  readonly broken: boolean
  /** What it is in the middle of, such as the transaction of a snapshot; undefined: nothing. */
  readonly state?: string | undefined
  /** Leaves its state. */
  reset(): Promise<void>
  close(): Promise<void>
  /** Breaks it off at once. */
  destroy(): void
}

export interface PoolLimits {
  /** Connections at once, lent or not. */
  readonly connections: number
  /** Milliseconds after which one that nobody uses is closed; left out: never. */
  readonly idleMs?: number | undefined
  /** Milliseconds after which one is closed once it is given back; left out: never. */
  readonly lifetimeMs?: number | undefined
}

interface Idle<T> {
  readonly item: T
  readonly closesAt: number
}

/** Lends connections, each to one borrower at a time; opened when needed, kept while they are used or in a state. */
export class Pool<T extends Pooled> {
  readonly #limits: PoolLimits
  readonly #open: (signal: AbortSignal) => Promise<T>
  readonly #way: { close(): Promise<void> } | undefined
  /** Those that are open, with the time from which they are not lent again. */
  readonly #all = new Map<T, number>()
  readonly #lent = new Set<T>()
  /** The one that was given back last is lent first, so that a surplus is closed. */
  #idle: Idle<T>[] = []
  /** Places that nobody has. */
  #places: number
  readonly #waiting: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** `way` is what the connections go through, a tunnel: it is the pool's from now on, and is closed behind them. */
  constructor(limits: PoolLimits, open: (signal: AbortSignal) => Promise<T>, way?: { close(): Promise<void> }) {
    this.#limits = limits
    this.#places = limits.connections
    this.#open = open
    this.#way = way
  }

  /**
   * Runs one piece of work as a request of `context.call`, which may repeat it, each time on a connection that is
   * broken off when the work fails or is stopped. The wait for a connection is not bounded.
   */
  async use<R>(
    context: Context,
    work: (item: T, signal: AbortSignal) => Promise<R>,
    options?: CallOptions,
  ): Promise<R> {
    await context.wait(this.#enter(context.signal))
    let last: Promise<unknown> = Promise.resolve()
    try {
      return await context.call((signal) => {
        const running = this.#lend(signal, work)
        last = running
        return running
      }, options)
    } finally {
      // A request that was given up may hold its connection a little longer.
      void last.then(this.#leave, this.#leave)
    }
  }

  /**
   * One for the caller alone, until `release`: in `state`, if one is there, else in none. Waits for it as long as it
   * takes, and opens it in one request. Throws `aborted`.
   */
  async acquire(context: Context, state?: string): Promise<T> {
    await context.wait(this.#enter(context.signal))
    try {
      return await context.call((signal) => this.#take(signal, state), { idempotent: false })
    } catch (error) {
      this.#leave()
      throw error
    }
  }

  release(item: T): void {
    if (!this.#lent.has(item)) return
    this.#giveBack(item)
    this.#leave()
  }

  /** Closes what is open, lent or not. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    const items = [...this.#all.keys()]
    this.#all.clear()
    this.#idle = []
    await Promise.all(items.filter(({ broken }) => !broken).map((item) => item.close()))
    await this.#way?.close()
  }

  async #lend<R>(signal: AbortSignal, work: (item: T, signal: AbortSignal) => Promise<R>): Promise<R> {
    const item = await this.#take(signal)
    try {
      return await breakable(item, signal, () => work(item, signal))
    } finally {
      this.#giveBack(item)
    }
  }

  /** Waits for a place, in line. */
  async #enter(signal: AbortSignal): Promise<void> {
    if (!signal.aborted && this.#places > 0) {
      this.#places--
      return
    }
    const given = !signal.aborted && (await this.#turn(signal))
    if (given && !signal.aborted) return
    if (given) this.#leave()
    throw stopped()
  }

  /** True: the place of who left is ours; false: the signal fired first. */
  #turn(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', stop)
        resolve(true)
      }
      const stop = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1)
        resolve(false)
      }
      signal.addEventListener('abort', stop, { once: true })
      this.#waiting.push(wake)
    })
  }

  readonly #leave = (): void => {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#places++
  }

  /** Inside a place: an idle one that fits, else one that leaves its state, else a new one. */
  async #take(signal: AbortSignal, state?: string): Promise<T> {
    this.#sweep()
    const fitting = this.#idle.findLastIndex(({ item }) => item.state === state)
    const [found] = this.#idle.splice(fitting, 1)
    if (!found) return this.#add(signal)
    const { item } = found
    this.#lent.add(item)
    try {
      if (item.state !== state) await breakable(item, signal, () => item.reset())
      return item
    } catch (error) {
      this.#giveBack(item)
      throw error
    }
  }

  async #add(signal: AbortSignal): Promise<T> {
    const item = await this.#open(signal)
    if (signal.aborted || this.#closed) {
      item.destroy()
      throw stopped()
    }
    this.#all.set(item, Date.now() + (this.#limits.lifetimeMs ?? Infinity))
    this.#lent.add(item)
    return item
  }

  #giveBack(item: T): void {
    if (!this.#lent.delete(item)) return
    const closesAt = Math.min(this.#all.get(item) ?? Infinity, Date.now() + (this.#limits.idleMs ?? Infinity))
    if (item.broken || this.#closed) this.#all.delete(item)
    else this.#idle.push({ item, closesAt })
    this.#sweep()
  }

  /** Closes what was idle, or lived, for long enough, and forgets what broke; those in a state stay. */
  #sweep(): void {
    const now = Date.now()
    const over = this.#idle.filter(({ item, closesAt }) => item.broken || (closesAt <= now && item.state === undefined))
    this.#idle = this.#idle.filter((idle) => !over.includes(idle))
    for (const { item } of over) {
      this.#all.delete(item)
      if (!item.broken) item.close().catch(() => item.destroy())
    }
    clearTimeout(this.#timer)
    const next = Math.min(...this.#idle.flatMap(({ item, closesAt }) => (item.state === undefined ? closesAt : [])))
    if (next === Infinity || this.#closed) return
    this.#timer = setTimeout(() => this.#sweep(), Math.min(next - now, LONGEST_TIMER_MS)).unref()
  }
}

/** Work that ends with its item broken off when it fails or the signal fires. */
async function breakable<R>(item: Pooled, signal: AbortSignal, work: () => Promise<R>): Promise<R> {
  const stop = (): void => item.destroy()
  signal.addEventListener('abort', stop, { once: true })
  try {
    const result = await work()
    if (signal.aborted) throw stopped()
    return result
  } catch (error) {
    item.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function stopped(): NebulaError {
  return new NebulaError('aborted', { message: 'Stopped while waiting for a connection.' })
}
