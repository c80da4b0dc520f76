import { NebulaError } from './errors.ts'

export interface BufferPoolStatistics {
  /** Bytes lent out now, and the most that ever were. */
  readonly used: number
  readonly peak: number
  /** Bytes kept for reuse. */
  readonly idle: number
  readonly limit: number
  readonly hits: number
  readonly misses: number
}

const SMALLEST = 4096
/** Idle buffers of one size class; more are left to the garbage collector. */
const IDLE_PER_CLASS = 8

/**
 * Lends large buffers and alone counts their memory. Sizes are rounded up to classes, so a returned buffer fits
 * the next request. `take` never waits: who reads asks `ready` first, so that over the limit nothing new is read while
 * what is under way can finish.
 */
export class BufferPool {
  readonly limit: number
  /** Is given every wait for memory; set by who bounds the time of the pool's user. */
  during: (wait: Promise<void>) => Promise<void> = (wait) => wait
  #used = 0
  #peak = 0
  #idleBytes = 0
  #hits = 0
  #misses = 0
  readonly #idle = new Map<number, Uint8Array[]>()
  #waiting: (() => void)[] = []

  constructor(limitBytes: number) {
    this.limit = limitBytes
  }

  /** A buffer of at least `bytes`; its content is undefined. The caller owns it until `give`. */
  take(bytes: number): Uint8Array {
    const size = sizeClass(bytes)
    this.#used += size
    if (this.#used > this.#peak) this.#peak = this.#used
    const buffer = this.#idle.get(size)?.pop()
    if (buffer) {
      this.#hits++
      this.#idleBytes -= size
      return buffer
    }
    this.#misses++
    this.#evict()
    return new Uint8Array(new ArrayBuffer(size))
  }

  /** Returns a buffer that came from `take`; nobody may touch it afterwards, nor a read or write be under way on it. */
  give(buffer: Uint8Array): void {
    const size = buffer.byteLength
    this.#used -= size
    const kept = this.#idle.get(size) ?? []
    if (kept.length === 0) this.#idle.set(size, kept)
    if (kept.length < IDLE_PER_CLASS && this.#used + this.#idleBytes + size <= this.limit) {
      kept.push(buffer)
      this.#idleBytes += size
    } else drop(buffer)
    if (!this.isFull && this.#waiting.length > 0) {
      const waiting = this.#waiting
      this.#waiting = []
      for (const wake of waiting) wake()
    }
  }

  /** Idle buffers make room for those in use: together they stay below the limit, as far as it is kept. */
  #evict(): void {
    for (const [size, buffers] of this.#idle) {
      while (this.#used + this.#idleBytes > this.limit) {
        const buffer = buffers.pop()
        if (!buffer) break
        drop(buffer)
        this.#idleBytes -= size
      }
    }
  }

  /** Frees what is idle. */
  trim(): void {
    for (const buffers of this.#idle.values()) for (const buffer of buffers.splice(0)) drop(buffer)
    this.#idleBytes = 0
  }

  /** Nothing new is read: what is kept only for the next batch is to be given back now, or that batch waits for it. */
  get isFull(): boolean {
    return this.#used >= this.limit
  }

  /** Resolves once less than the limit is lent out. Throws `aborted` when `signal` fires first. */
  async ready(signal: AbortSignal): Promise<void> {
    if (this.isFull) await this.during(this.#room(signal))
  }

  async #room(signal: AbortSignal): Promise<void> {
    while (this.isFull) {
      if (signal.aborted) throw new NebulaError('aborted', { message: 'Stopped while waiting for memory.' })
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake)
          resolve()
        }
        signal.addEventListener('abort', wake, { once: true })
        this.#waiting.push(wake)
      })
    }
  }

  get statistics(): BufferPoolStatistics {
    const { limit } = this
    return { used: this.#used, peak: this.#peak, idle: this.#idleBytes, limit, hits: this.#hits, misses: this.#misses }
  }
}

/** Frees a buffer at once: the collector looks at the heap, on which a buffer weighs nothing, and comes late. */
function drop({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** Eight classes to each doubling: at most an eighth is slack. */
function sizeClass(bytes: number): number {
  let step = SMALLEST / 8
  while (step * 16 < bytes) step *= 2
  return Math.max(SMALLEST, Math.ceil(bytes / step) * step)
}
