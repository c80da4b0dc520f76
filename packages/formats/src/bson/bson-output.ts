import type { BufferPool } from '@nebula/core'
import { BytesBuilder, viewOf } from '@nebula/core'

/**
 * Growing memory of a pool that BSON is written to. `bytes` and `view` are of the same memory, and others after
 * `ensure`; what was written stays in place.
 */
export class BsonOutput {
  readonly #memory: BytesBuilder
  bytes: Uint8Array = EMPTY
  view: DataView = EMPTY_VIEW
  /** Bytes in use, for those who write one value behind the other. */
  size = 0
  /** Room that `ensure` leaves beyond what it is asked for. */
  slack = 16

  constructor(pool: BufferPool) {
    this.#memory = new BytesBuilder({ kind: 'binary' }, pool)
  }

  /** Begins anew; returns room for `rows + 1` offsets, of which the first is 0. */
  start(rows: number): Int32Array {
    this.#memory.start(rows)
    this.size = 0
    this.#adopt()
    return this.#memory.offsets
  }

  /** Makes room for `length` bytes at `at`, and for the slack; keeps what lies before `at`. */
  ensure(at: number, length: number): void {
    if (at + length + this.slack <= this.bytes.length) return
    this.#memory.size = at
    this.#memory.ensure(length + this.slack)
    this.#adopt()
  }

  #adopt(): void {
    const { data } = this.#memory
    if (data === this.bytes) return
    this.bytes = data
    this.view = viewOf(data)
  }

  /** Gives the memory back. */
  free(): void {
    this.#memory.free()
    this.bytes = EMPTY
    this.view = EMPTY_VIEW
    this.size = 0
  }
}

const EMPTY = new Uint8Array(0)
const EMPTY_VIEW = new DataView(EMPTY.buffer)
