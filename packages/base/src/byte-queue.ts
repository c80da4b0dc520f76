import { NebulaError } from '@nebula/core'

interface Waiter {
  readonly wake: () => void
}

/**
 * A first-in first-out queue that is bounded by bytes: `push` waits while more than the bound is queued and never drops,
 * so that the last item alone may pass it. With a bound of 0 one item waits at a time. One producer and one consumer.
 */
export class ByteQueue<T> {
  readonly #maxBytes: number
  readonly #sizeOf: (item: T) => number
  readonly #items: T[] = []
  #bytes = 0
  #ended = false
  #error: unknown
  #producer: Waiter | undefined
  #consumer: Waiter | undefined

  constructor(maxBytes: number, sizeOf: (item: T) => number) {
    this.#maxBytes = maxBytes
    this.#sizeOf = sizeOf
  }

  /** Bytes that wait to be taken. */
  get bytes(): number {
    return this.#bytes
  }

  /** Queues the item, and resolves once another may come. Rejects, and takes nothing, when the queue is at its end. */
  async push(item: T): Promise<void> {
    if (this.#ended) throw this.#error ?? new NebulaError('aborted', { message: 'The queue was closed.' })
    this.#items.push(item)
    this.#bytes += this.#sizeOf(item)
    this.#wake('consumer')
    while (this.#bytes > this.#maxBytes && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#producer = { wake: resolve }
      })
    }
  }

  /** No more items: the consumer ends after the last one. */
  end(): void {
    this.#ended = true
    this.#wakeBoth()
  }

  /** The consumer gets `error` after the items that are queued; the producer gets it with its next one. */
  fail(error: unknown): void {
    this.#error ??= error
    this.end()
  }

  /** The items that were queued and not taken, for their release; the queue is closed. */
  drain(): T[] {
    this.end()
    this.#bytes = 0
    return this.#items.splice(0)
  }

  /** Takes the next item, once there is one; undefined behind the last. */
  async next(): Promise<T | undefined> {
    while (this.#items.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#consumer = { wake: resolve }
      })
    }
    const item = this.#items.shift()
    if (item === undefined) {
      if (this.#error !== undefined) throw this.#error
      return undefined
    }
    this.#bytes -= this.#sizeOf(item)
    this.#wake('producer')
    return item
  }

  #wake(side: 'producer' | 'consumer'): void {
    const waiter = side === 'producer' ? this.#producer : this.#consumer
    if (side === 'producer') this.#producer = undefined
    else this.#consumer = undefined
    waiter?.wake()
  }

  #wakeBoth(): void {
    this.#wake('producer')
    this.#wake('consumer')
  }
}
