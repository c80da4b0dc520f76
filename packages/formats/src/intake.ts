import type { BufferPool } from '@nebula/core'

/** Room before a chunk for the record that began in the chunk before. */
const HEAD = 64 * 1024
const CHUNK = 128 * 1024
/** The rest, behind a chunk, is for unescaped fields. */
const CAPACITY = 256 * 1024

/**
 * Joins chunks to a window over whole records. Two buffers: one is filled while the other is framed, and only the
 * record that a chunk cuts is copied. A record longer than `HEAD` is gathered in a buffer that grows.
 */
export class Intake {
  /** The bytes at hand: `data[from] .. data[to]`; whoever consumes them moves `from`. Room behind `to` is free to use. */
  data: Uint8Array
  from = HEAD
  to = HEAD
  readonly #pool: BufferPool
  #spare: Uint8Array

  constructor(pool: BufferPool) {
    this.#pool = pool
    this.data = pool.take(CAPACITY)
    this.#spare = pool.take(CAPACITY)
  }

  /** Where the next chunk belongs. It may be filled while the bytes at hand are consumed. */
  space(): Uint8Array {
    return this.#spare.subarray(HEAD, HEAD + CHUNK)
  }

  /** The bytes at hand do not fit before the next chunk: they are gathered. */
  get isLong(): boolean {
    return this.to - this.from > HEAD
  }

  /** Appends the first `bytes` of `space()` to what is left of the bytes at hand. */
  filled(bytes: number): void {
    if (this.isLong) {
      this.#append(bytes)
      return
    }
    const rest = this.to - this.from
    const filled = this.#spare
    filled.set(this.data.subarray(this.from, this.to), HEAD - rest)
    this.#spare = this.data
    this.data = filled
    this.from = HEAD - rest
    this.to = HEAD + bytes
    if (this.#spare.length === filled.length) return
    this.#pool.give(this.#spare)
    this.#spare = this.#pool.take(CAPACITY)
  }

  /** Doubles the room behind the bytes at hand. */
  widen(): void {
    this.#move(this.data.length * 2)
  }

  free(): void {
    this.#pool.give(this.data)
    this.#pool.give(this.#spare)
  }

  #append(bytes: number): void {
    const { from, to } = this
    const needed = to - from + bytes
    if (to + bytes + CHUNK > this.data.length) this.#move(Math.max(needed + CHUNK, to - from + needed))
    this.data.set(this.#spare.subarray(HEAD, HEAD + bytes), this.to)
    this.to += bytes
  }

  /** Moves the bytes at hand to the front of a buffer of at least `capacity` bytes. */
  #move(capacity: number): void {
    const { data, from, to } = this
    const larger = this.#pool.take(capacity)
    larger.set(data.subarray(from, to))
    this.#pool.give(data)
    this.data = larger
    this.from = 0
    this.to = to - from
  }
}
