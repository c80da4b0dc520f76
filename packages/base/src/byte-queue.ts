import { NebulaError } from '@nebula/core'

interface Waiter {
  readonly wake: () => void
}

/**
 * A first-in first-out queue that is bounded by bytes: `push` waits while it is full and never drops; an item larger
 * than the whole bound passes alone. One producer and one consumer.
 */
export class ByteQueue<T> implements AsyncIterable<T> {
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

  /** Resolves once there is room and the item is queued; rejects when the consumer went away or `fail` was called. */
  async push(item: T): Promise<void> {
    const bytes = this.#sizeOf(item)
    while (this.#bytes > 0 && this.#bytes + bytes > this.#maxBytes && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#producer = { wake: resolve }
      })
    }
    if (this.#ended) throw this.#error ?? new NebulaError('aborted', { message: 'The queue was closed.' })
    this.#items.push(item)
    this.#bytes += bytes
    this.#wake('consumer')
  }

  /** No more items: the consumer ends after the last one. */
  end(): void {
    this.#ended = true
    this.#wakeBoth()
  }

  /** The consumer gets `error` after the items that are queued; a waiting producer gets it at once. */
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

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) {
        this.#bytes -= this.#sizeOf(item)
        this.#wake('producer')
        yield item
      } else if (this.#ended) {
        if (this.#error !== undefined) throw this.#error
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#consumer = { wake: resolve }
        })
      }
    }
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
