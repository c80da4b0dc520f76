import type { BatchLimits, BufferPool } from '@nebula/core'
import { NebulaError, viewOf } from '@nebula/core'
import { COPY_DATA, FRAME_HEAD } from './frame.ts'
import type { CopiedRows } from './tuple-batches.ts'

/** Signature, flags and extension length that begin a binary COPY (docs, SQL command COPY, "File Header"). */
export const BINARY_HEADER: Uint8Array = Uint8Array.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', (letter) =>
  letter.charCodeAt(0),
)
const TRAILER = -1
const NOTHING = new Uint8Array(0)
/** Room behind the limit of a batch, for its last row. */
const SLACK = 65_536
/** Of the first batch: most tables are small, and their batches as large as they may be would be memory for nothing. */
const FIRST_BYTES = 65_536

export interface FramerOptions {
  /** Binary and text rows keep their message; csv rows are the lines alone. */
  readonly format: 'binary' | 'text' | 'csv'
  /** Fields of a row; a binary tuple must have as many. */
  readonly columns: number
  readonly limits: Pick<BatchLimits, 'rows' | 'bytes'>
  readonly pool: BufferPool
}

/**
 * Finds the rows of a COPY TO in the bytes of its connection: `push` puts bytes straight into a batch's buffer, `scan`
 * keeps rows where they lie, `take` ends the batch. What is behind its last row waits for the next `begin`.
 */
export class CopyFramer {
  readonly #options: FramerOptions
  #data: Uint8Array | undefined
  /** Over `#data`, or what was there last. */
  #view: DataView = new DataView(new ArrayBuffer(0))
  #offsets: Int32Array = new Int32Array(0)
  #rows = 0
  /** More has come than the buffer of a first batch holds. */
  #large = false
  /** The batch ends with the first row that it has. */
  #due = false
  /** Up to where `#data` is filled, framed, and kept. */
  #end = 0
  #at = 0
  #kept = 0
  /** The file header of a binary copy has been seen. */
  #headed: boolean
  /** Bytes that wait for a batch, in a buffer of their own. */
  #tail: Uint8Array = NOTHING
  #tailEnd = 0

  constructor(options: FramerOptions) {
    this.#options = options
    this.#headed = options.format !== 'binary'
  }

  /** Takes a buffer, and puts in what the last one could not hold. */
  begin(): void {
    const { pool, limits } = this.#options
    this.#end = this.#tailEnd
    this.#large ||= limits.bytes <= FIRST_BYTES
    const bytes = this.#large ? limits.bytes : FIRST_BYTES
    this.#hold(pool.take(Math.max(bytes, this.#end) + SLACK)).set(this.#tail.subarray(0, this.#end))
    this.#dropTail()
    this.#offsets = new Int32Array(pool.take((limits.rows + 1) * 4).buffer)
    this.#rows = this.#at = this.#kept = 0
    this.#due = false
  }

  /** Adds bytes. False when the batch has no room for them: it is to be taken, and they are to be pushed again. */
  push(chunk: Uint8Array): boolean {
    if (!this.#data) this.#wait(chunk)
    const needed = this.#end + chunk.length
    if (this.#data && needed > this.#data.length && (this.#rows === 0 || !this.#large)) this.#grow(this.#data, needed)
    if (!this.#data || needed > this.#data.length) return !this.#data
    this.#data.set(chunk, this.#end)
    this.#end = needed
    return true
  }

  /** Frames what has arrived. Returns a copy of a message that is no row. Throws `data_invalid`. */
  scan(): 'more' | 'full' | Uint8Array {
    const { limits, format } = this.#options
    const data = this.#data
    const skipped = format === 'csv' ? FRAME_HEAD : 0
    for (;;) {
      if (this.#isFull(limits)) return 'full'
      if (!data || this.#end - this.#at < FRAME_HEAD) return 'more'
      const at = this.#at
      const next = at + 1 + this.#view.getInt32(at + 1)
      if (next > this.#end) return 'more'
      this.#at = next
      if (data[at] !== COPY_DATA) return data.slice(at, next)
      const start = format === 'binary' ? this.#tupleStart(at, next) : at
      if (start >= 0) this.#keep(data, start + skipped, next)
    }
  }

  /** The batch is full as soon as it has a row: it took long enough. */
  hurry(): void {
    this.#due = true
  }

  #isFull({ rows, bytes }: FramerOptions['limits']): boolean {
    if (this.#rows === rows) return true
    return this.#rows > 0 && (this.#due || this.#kept - (this.#offsets[0] as number) >= bytes)
  }

  /** All that has arrived behind the last message. */
  rest(): Uint8Array {
    const rest = this.#data?.slice(this.#at, this.#end) ?? this.#tail.slice(0, this.#tailEnd)
    this.#at = this.#end
    this.#dropTail()
    return rest
  }

  /** The rows of the batch; undefined, with the buffer given back, when there is none. Nothing without `begin`. */
  take(): CopiedRows | undefined {
    const { pool } = this.#options
    const data = this.#data
    if (!data) return undefined
    const offsets = this.#offsets
    this.#data = undefined
    this.#wait(data.subarray(this.#at, this.#end))
    const release = (): void => {
      pool.give(data)
      pool.give(new Uint8Array(offsets.buffer))
    }
    if (this.#rows > 0) return { data, offsets, rows: this.#rows, release }
    release()
    return undefined
  }

  /** Gives back what waits for a batch that will not be. */
  close(): void {
    this.take()?.release()
    this.#dropTail()
  }

  #wait(bytes: Uint8Array): void {
    const { pool } = this.#options
    const end = this.#tailEnd + bytes.length
    if (end > this.#tail.length) {
      const larger = pool.take(end + SLACK)
      larger.set(this.#tail.subarray(0, this.#tailEnd))
      if (this.#tail !== NOTHING) pool.give(this.#tail)
      this.#tail = larger
    }
    this.#tail.set(bytes, this.#tailEnd)
    this.#tailEnd = end
  }

  #dropTail(): void {
    if (this.#tail !== NOTHING) this.#options.pool.give(this.#tail)
    this.#tail = NOTHING
    this.#tailEnd = 0
  }

  #keep(data: Uint8Array, start: number, end: number): void {
    if (this.#rows === 0) this.#offsets[0] = this.#kept = start
    else if (this.#kept !== start) data.copyWithin(this.#kept, start, end)
    this.#kept += end - start
    this.#offsets[++this.#rows] = this.#kept
  }

  /** Where the message of a tuple begins; -1 when there is none. The first is framed anew behind the file header. */
  #tupleStart(at: number, next: number): number {
    const { columns } = this.#options
    const view = this.#view
    let start = at
    if (!this.#headed) {
      this.#headed = true
      start += BINARY_HEADER.length + view.getInt32(at + FRAME_HEAD + BINARY_HEADER.length - 4)
      view.setUint8(start, COPY_DATA)
      view.setInt32(start + 1, next - start - 1)
      if (next - start === FRAME_HEAD) return -1
    }
    const fields = view.getInt16(start + FRAME_HEAD)
    if (fields === columns) return start
    if (fields === TRAILER) return -1
    const message = `The server sent a row of ${fields} instead of ${columns} fields.`
    throw new NebulaError('data_invalid', { message })
  }

  /** Room for a whole batch, and for a row that is larger. */
  #grow(small: Uint8Array, needed: number): void {
    const { pool, limits } = this.#options
    this.#large = true
    const row = this.#end - this.#at < FRAME_HEAD ? 0 : this.#at + 1 + this.#view.getInt32(this.#at + 1)
    this.#hold(pool.take(Math.max(needed, row, limits.bytes) + SLACK)).set(small.subarray(0, this.#end))
    pool.give(small)
  }

  #hold(data: Uint8Array): Uint8Array {
    this.#data = data
    this.#view = viewOf(data)
    return data
  }
}
