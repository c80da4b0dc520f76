import type { BufferPool, RecordBatch } from '@nebula/core'
import type { RowEncoder } from './frame.ts'
import { FRAME_HEAD, frameCopyData } from './frame.ts'

/** Bytes, about, that are encoded before they are sent. */
const CHUNK_BYTES = 1_048_576

/** Encodes columns into CopyData messages; one is on its way while the next is encoded. */
export class RowSender {
  readonly #encoder: RowEncoder
  readonly #columns: readonly number[]
  readonly #pool: BufferPool
  #sent: Promise<void> = Promise.resolve()

  /** `columns` are those of a batch that are encoded; the encoder is the sender's from now on. */
  constructor(encoder: RowEncoder, columns: readonly number[], pool: BufferPool) {
    this.#encoder = encoder
    this.#columns = columns
    this.#pool = pool
  }

  /** Resolves when the last message was taken; rejects with what `write` threw. */
  get sent(): Promise<void> {
    return this.#sent
  }

  /** Sends rows `from` to `to`; resolves when the columns are not needed any more. `write` may keep what it is given until it resolves. */
  async send(
    batch: RecordBatch,
    from: number,
    to: number,
    write: (messages: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const columns = this.#columns.map((index) => batch.column(index))
    const rows = Math.ceil((CHUNK_BYTES * batch.rows) / Math.max(1, batch.byteLength))
    for (let row = from; row < to; row += rows) {
      const most = this.#encoder.begin(columns, row, Math.min(to, row + rows), batch.wire)
      const bytes = this.#pool.take(FRAME_HEAD + most)
      const out = { bytes, view: new DataView(bytes.buffer) }
      const end = this.#encoder.write(out, FRAME_HEAD)
      frameCopyData(out, end)
      const before = this.#sent
      this.#sent = write(bytes.subarray(0, end)).finally(() => this.#pool.give(bytes))
      this.#sent.catch(() => {})
      await before
    }
  }

  /** What became of the last message matters no more. */
  forget(): void {
    this.#sent = Promise.resolve()
  }

  free(): void {
    this.#encoder.free()
  }
}
