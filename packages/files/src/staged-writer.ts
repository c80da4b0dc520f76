import type { BufferPool, Checkpoint, Context, RecordBatch, Rejection, Writer, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Format, FormatWriter } from '@nebula/formats'
import type { Compressor } from './compressor.ts'
import type { StagedStream } from './staged-stream.ts'

const CHUNK_BYTES = 512 * 1024
/** Waits for the disk when so much is formatted and not yet written. */
const AHEAD_BYTES = 2 * 1024 * 1024
/** Waits for its turn when so much is formatted; less when the pool is small. */
const HELD_BYTES = 8 * 1024 * 1024

interface Chunk {
  readonly buffer: Uint8Array
  size: number
  /** What is written instead; begun once the chunk is full, or nothing follows. */
  packed?: Promise<Uint8Array>
}

/** How the bytes of a file are made. */
export interface FileForm {
  readonly format: Format
  /** Left out: as the format has them. */
  readonly compressor: Compressor | undefined
}

/**
 * Formats the rows of one partition. Their bytes are written while the next rows are formatted, once it is the
 * partition's turn; until then they are held back in memory, up to a limit.
 */
export class StagedWriter implements Writer {
  readonly #staged: StagedStream
  readonly #task: WriteTask
  readonly #pool: BufferPool
  readonly #wait: Context['wait']
  readonly #writer: FormatWriter
  readonly #compressor: Compressor | undefined
  /** The wire format whose rows are appended as they are. */
  readonly #wire: string | undefined
  readonly #held: number
  /** Fires with the task's signal, and at `abort`. */
  readonly #signal: AbortSignal
  readonly #stop = new AbortController()
  /** In order; all but the last are full. */
  #chunks: Chunk[] = []
  #bytes = 0
  #draining: Promise<void> | undefined
  #error: unknown
  #ended = false

  constructor(staged: StagedStream, { format, compressor }: FileForm, task: WriteTask, context: Context) {
    this.#staged = staged
    this.#task = task
    this.#pool = context.pool
    this.#wait = (something) => context.wait(something)
    this.#writer = format.writer(task.stream.schema, context.pool)
    this.#compressor = compressor
    this.#wire = task.stream.accepted.wire
    this.#held = Math.min(HELD_BYTES, context.pool.limit / 4)
    this.#signal = AbortSignal.any([context.signal, this.#stop.signal])
  }

  async write(batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]> {
    if (this.#staged.isDone(this.#task.partition.id)) return NOTHING
    const bytes = this.#bytesOf(batch, from, to)
    for (let at = 0; at < bytes.length; at += AHEAD_BYTES) await this.#append(bytes.subarray(at, at + AHEAD_BYTES))
    if (this.#pool.isFull) this.#writer.free()
    return NOTHING
  }

  /** Takes a copy of bytes; waits where too many are held. */
  async #append(bytes: Uint8Array): Promise<void> {
    this.#hold(bytes)
    if (this.#error !== undefined) throw this.#error
    if (!this.#staged.isTurn(this.#task.order)) {
      if (this.#bytes <= this.#held) return
      await this.#wait(this.#staged.turn(this.#task.order, this.#signal))
    }
    void this.#drain(CHUNK_BYTES)
    if (this.#bytes > AHEAD_BYTES) await this.#drained(CHUNK_BYTES)
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const { partition, order } = this.#task
    if (this.#staged.sequence(partition.id) >= checkpoint.sequence) {
      throw new NebulaError('already_committed', {
        message: `Commit ${checkpoint.sequence} of ${partition.id} is already there.`,
        partition: partition.id,
      })
    }
    await this.#wait(this.#staged.turn(order, this.#signal))
    await this.#drained(1)
    await this.#staged.commit(checkpoint)
    if (checkpoint.done) this.#end()
  }

  async abort(_reason: unknown): Promise<void> {
    this.#stop.abort()
    if (this.#ended) return
    await this.#draining
    this.#end()
    if (!this.#staged.isTurn(this.#task.order)) return
    // What stays behind the committed length is cut off when the file is opened or complete.
    await this.#staged.rollback().catch(() => {})
  }

  #bytesOf(batch: RecordBatch, from: number, to: number): Uint8Array {
    const { wire } = batch
    if (wire === undefined || wire.format !== this.#wire) return this.#writer.encode(batch, from, to)
    return wire.data.subarray(wire.offsets[from], wire.offsets[to])
  }

  /** Copies bytes behind those that are held. */
  #hold(bytes: Uint8Array): void {
    this.#bytes += bytes.length
    for (let at = 0; at < bytes.length;) {
      let last = this.#chunks.at(-1)
      if (!last || last.size === CHUNK_BYTES) {
        if (last) void this.#pack(last)
        last = { buffer: this.#pool.take(CHUNK_BYTES), size: 0 }
        this.#chunks.push(last)
      }
      const piece = bytes.subarray(at, at + CHUNK_BYTES - last.size)
      last.buffer.set(piece, last.size)
      last.size += piece.length
      at += piece.length
    }
  }

  /** Begins to compress a chunk to which nothing is added any more. Never rejects unseen. */
  #pack(chunk: Chunk): Promise<Uint8Array> | undefined {
    if (!this.#compressor || chunk.packed) return chunk.packed
    chunk.packed = this.#compressor.pack(chunk.buffer.subarray(0, chunk.size))
    chunk.packed.catch(() => {})
    return chunk.packed
  }

  /** Writes the chunks that have at least `least` bytes. Never rejects: the error is thrown by `#drained`. */
  #drain(least: number): Promise<void> {
    this.#draining ??= this.#writeChunks(least)
      .catch((error: unknown) => {
        this.#error = error
      })
      .finally(() => {
        this.#draining = undefined
      })
    return this.#draining
  }

  async #drained(least: number): Promise<void> {
    await this.#draining
    await this.#drain(least)
    if (this.#error !== undefined) throw this.#error
  }

  async #writeChunks(least: number): Promise<void> {
    for (;;) {
      const [first] = this.#chunks
      if (!first || first.size < least) return
      if (this.#signal.aborted) throw new NebulaError('aborted', { message: 'Stopped while rows were written.' })
      await this.#staged.append((await this.#pack(first)) ?? first.buffer.subarray(0, first.size))
      this.#chunks.shift()
      this.#bytes -= first.size
      this.#pool.give(first.buffer)
    }
  }

  /** Gives all memory back. */
  #end(): void {
    if (this.#ended) return
    this.#ended = true
    for (const { buffer } of this.#chunks) this.#pool.give(buffer)
    this.#chunks = []
    this.#writer.free()
  }
}

const NOTHING: readonly Rejection[] = []
