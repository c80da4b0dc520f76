import type { Duplex } from 'node:stream'
import type { BufferPool } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Client, Connection, Submittable } from 'pg'
import { postgresError } from './errors.ts'

/** Message types of the protocol (docs 55.7). */
const COPY_DATA = 0x64
const COPY_DONE = 0x63
const ERROR_RESPONSE = 0x45
/** A message's type and length. */
export const FRAME_HEAD = 5

/** Signature, flags and extension length that begin a binary COPY (docs, SQL command COPY, "File Header"). */
const BINARY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const TRAILER = -1

export type CopyFormat = 'binary' | 'text' | 'csv'

export interface CopyOutOptions {
  /** `COPY (...) TO STDOUT ...` */
  readonly sql: string
  readonly format: CopyFormat
  /** Fields of a row; a binary tuple must have as many. */
  readonly columns: number
  readonly limits: { readonly rows: number; readonly bytes: number }
  readonly pool: BufferPool
  readonly signal: AbortSignal
}

/**
 * Rows of one batch, in buffers of the pool. Binary and text: whole CopyData messages, without header and trailer;
 * csv: the lines alone. Row `i` is `data[offsets[i]] .. data[offsets[i + 1]]`, from `offsets[0]` without gaps.
 */
export interface CopiedRows {
  readonly data: Uint8Array
  readonly offsets: Int32Array
  readonly rows: number
  release(): void
}

type DataListener = (chunk: Buffer) => void

/**
 * COPY TO on the connection's own socket: while rows flow, bytes go straight into a batch's buffer, and only the other
 * messages to pg's parser. The server sends one row per CopyData (docs 55.2.6). One batch is read ahead; then the
 * socket waits.
 */
export class CopyOut implements Submittable {
  readonly #options: CopyOutOptions
  #stream: Duplex | undefined
  #parsers: DataListener[] = []
  #data: Uint8Array | undefined
  #offsets: Int32Array = new Int32Array(0)
  #rows = 0
  /** Up to where `#data` is filled, framed, and kept. */
  #end = 0
  #at = 0
  #kept = 0
  /** The file header of a binary copy has been seen. */
  #headed: boolean
  /** Bytes behind the last row of a full buffer. */
  #tail: Uint8Array = new Uint8Array(0)
  #ready: CopiedRows | undefined
  #state: 'open' | 'ended' | 'failed' = 'open'
  #error: unknown
  #wake: (() => void) | undefined

  constructor(options: CopyOutOptions) {
    this.#options = options
    this.#headed = options.format !== 'binary'
  }

  /** The next rows; undefined at the end, when the connection is free again. One call at a time. */
  async next(): Promise<CopiedRows | undefined> {
    while (this.#ready === undefined && this.#state === 'open') {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (this.#state === 'failed') throw this.#error
    const rows = this.#ready
    this.#ready = undefined
    if (rows && this.#parsers.length > 0) void this.#begin()
    return rows
  }

  /** Gives back what was read and not taken. Unless `next` returned undefined, the connection must be destroyed. */
  close(): void {
    this.#fail(new NebulaError('aborted', { message: 'Reading was left early.' }))
    this.#ready?.release()
    this.#ready = undefined
  }

  submit(connection: Connection): void {
    const { stream } = connection
    this.#stream = stream
    this.#parsers = stream.listeners('data') as DataListener[]
    stream.pause()
    stream.on('data', this.#onData)
    for (const parser of this.#parsers) stream.off('data', parser)
    connection.query(this.#options.sql)
    void this.#begin()
  }

  handleError(error: unknown): void {
    this.#fail(postgresError(error))
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    if (this.#state === 'open') this.#state = 'ended'
    this.#wake?.()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#state === 'failed') return
    const needed = this.#end + chunk.length
    if (this.#data && needed > this.#data.length && this.#rows === 0) this.#grow(needed)
    if (this.#data && needed <= this.#data.length) {
      this.#data.set(chunk, this.#end)
      this.#end = needed
      this.#scan(this.#data)
    } else {
      this.#cut()
      this.#tail = Buffer.concat([this.#tail, chunk])
    }
  }

  /** Takes a buffer once there is memory, puts in what the last one could not hold, and lets the socket flow. */
  async #begin(): Promise<void> {
    const { pool, limits, signal } = this.#options
    try {
      await pool.ready(signal)
    } catch (error) {
      this.#fail(error)
    }
    if (this.#state === 'failed') return
    const data = pool.take(Math.max(limits.bytes, this.#tail.length) + 65_536)
    data.set(this.#tail)
    this.#data = data
    this.#offsets = new Int32Array(pool.take((limits.rows + 1) * 4).buffer)
    this.#end = this.#tail.length
    this.#tail = new Uint8Array(0)
    this.#rows = this.#at = this.#kept = 0
    this.#scan(data)
    if (this.#data) this.#stream?.resume()
  }

  /** Frames what has arrived: rows are kept where they lie, other messages go to pg. */
  #scan(data: Uint8Array): void {
    const { limits } = this.#options
    const skipped = this.#options.format === 'csv' ? FRAME_HEAD : 0
    const end = this.#end
    while (end - this.#at >= FRAME_HEAD) {
      const at = this.#at
      const next = at + 1 + readInt32(data, at + 1)
      if (next > end) return
      if (data[at] === COPY_DATA) {
        const start = this.#rowStart(data, at, next)
        this.#at = next
        if (start >= 0) this.#keep(data, start + skipped, next)
        if (this.#state === 'failed') return
      } else if (!this.#forward(data, next)) return
      if (this.#rows === limits.rows || this.#kept - (this.#offsets[0] as number) >= limits.bytes) return this.#cut()
    }
  }

  #keep(data: Uint8Array, start: number, end: number): void {
    if (this.#rows === 0) this.#offsets[0] = this.#kept = start
    else if (this.#kept !== start) data.copyWithin(this.#kept, start, end)
    this.#kept += end - start
    this.#offsets[++this.#rows] = this.#kept
  }

  /** Where the message of the row begins; -1 when there is none. The first one is framed anew behind the file header. */
  #rowStart(data: Uint8Array, at: number, next: number): number {
    const { format, columns } = this.#options
    if (format !== 'binary') return at
    let start = at
    if (!this.#headed) {
      this.#headed = true
      start += BINARY_HEADER.length + readInt32(data, at + FRAME_HEAD + BINARY_HEADER.length - 4)
      data[start] = COPY_DATA
      writeInt32(data, start + 1, next - start - 1)
      if (next - start === FRAME_HEAD) return -1
    }
    const fields = readInt16(data, start + FRAME_HEAD)
    if (fields === columns) return start
    if (fields !== TRAILER) this.#fail(malformed(`a row of ${fields} instead of ${columns} fields`))
    return -1
  }

  /** Hands a message to pg; at the end of the rows all that follows, and the socket. False: the copy is over. */
  #forward(data: Uint8Array, next: number): boolean {
    const at = this.#at
    const last = data[at] === COPY_DONE || data[at] === ERROR_RESPONSE
    const bytes = Buffer.from(data.slice(at, last ? this.#end : next))
    this.#at = last ? this.#end : next
    const parsers = this.#parsers
    if (last) {
      this.#restore()
      this.#cut()
    }
    for (const parser of parsers) parser(bytes)
    return !last
  }

  /** Ends the batch; the socket waits until it is taken. */
  #cut(): void {
    const { pool } = this.#options
    const data = this.#data
    if (!data) return
    const offsets = this.#offsets
    this.#data = undefined
    this.#tail = data.slice(this.#at, this.#end)
    const release = (): void => {
      pool.give(data)
      pool.give(new Uint8Array(offsets.buffer))
    }
    if (this.#parsers.length > 0) this.#stream?.pause()
    if (this.#rows === 0) return release()
    this.#ready = { data, offsets, rows: this.#rows, release }
    this.#wake?.()
  }

  /** Room for a row that is larger than the buffer. */
  #grow(needed: number): void {
    const { pool } = this.#options
    const small = this.#data as Uint8Array
    const row = this.#end - this.#at < FRAME_HEAD ? 0 : this.#at + 1 + readInt32(small, this.#at + 1)
    const large = pool.take(Math.max(needed, row) + 65_536)
    large.set(small.subarray(0, this.#end))
    pool.give(small)
    this.#data = large
  }

  #restore(): void {
    const parsers = this.#parsers
    this.#parsers = []
    if (parsers.length === 0) return
    for (const parser of parsers) this.#stream?.on('data', parser)
    this.#stream?.off('data', this.#onData)
    this.#stream?.resume()
  }

  #fail(error: unknown): void {
    if (this.#state !== 'open') return
    this.#state = 'failed'
    this.#error = error
    this.#rows = 0
    this.#cut()
    this.#wake?.()
  }
}

/**
 * COPY FROM STDIN. `write` takes whole CopyData messages of any size; what the server has against them rejects the
 * next call. Memory handed to `write` is free again when it resolves.
 */
export class CopyIn implements Submittable {
  readonly #sql: string
  readonly #binary: boolean
  readonly #opened = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<void>()
  #stream: Duplex | undefined
  #error: unknown
  #taken = 0

  private constructor(sql: string, binary: boolean) {
    this.#sql = sql
    this.#binary = binary
    this.#ended.promise.catch(() => {})
  }

  /** Sends the statement; rejects with the server's own error. */
  static async start(client: Client, sql: string, binary: boolean): Promise<CopyIn> {
    const copy = new CopyIn(sql, binary)
    client.query(copy)
    await copy.#opened.promise
    if (binary) copy.#stream?.write(copyData(BINARY_HEADER))
    return copy
  }

  /** Resolves when the kernel has the bytes. */
  write(messages: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    if (this.#error !== undefined) return Promise.reject(this.#error)
    this.#stream?.write(messages, (error) => {
      // The server reads on and ignores what comes behind its error, so the bytes are out of our memory here as well.
      if (this.#error !== undefined || error) reject(this.#error ?? error)
      else resolve()
    })
    return promise
  }

  /** Resolves when the server has taken every row, with their number as the server counted. */
  async finish(): Promise<number> {
    if (this.#error === undefined) {
      const done = Buffer.from([COPY_DONE, 0, 0, 0, 4])
      this.#stream?.write(this.#binary ? Buffer.concat([copyData(Buffer.from([0xff, 0xff])), done]) : done)
    }
    await this.#ended.promise
    return this.#taken
  }

  submit(connection: Connection): void {
    this.#stream = connection.stream
    connection.query(this.#sql)
  }

  handleCopyInResponse(): void {
    this.#opened.resolve()
  }

  /** `COPY 123` */
  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#taken = Number(text.slice('COPY '.length))
  }

  handleReadyForQuery(): void {
    this.#ended.resolve()
  }

  handleError(error: unknown): void {
    this.#error = error
    this.#opened.reject(error)
    this.#ended.reject(error)
  }
}

function copyData(payload: Uint8Array): Buffer {
  const frame = Buffer.alloc(FRAME_HEAD + payload.length)
  frame[0] = COPY_DATA
  frame.writeInt32BE(payload.length + 4, 1)
  frame.set(payload, FRAME_HEAD)
  return frame
}

/** Writes the head of a CopyData message that fills `data[0] .. data[end]`. */
export function frameCopyData(data: Uint8Array, end: number): void {
  data[0] = COPY_DATA
  writeInt32(data, 1, end - 1)
}

function readInt32(data: Uint8Array, at: number): number {
  return (
    ((data[at] as number) << 24) |
    ((data[at + 1] as number) << 16) |
    ((data[at + 2] as number) << 8) |
    (data[at + 3] as number)
  )
}

function readInt16(data: Uint8Array, at: number): number {
  return (((data[at] as number) << 24) | ((data[at + 1] as number) << 16)) >> 16
}

function writeInt32(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 24
  data[at + 1] = value >>> 16
  data[at + 2] = value >>> 8
  data[at + 3] = value
}

function malformed(what: string): NebulaError {
  return new NebulaError('data_invalid', { message: `The server sent ${what}.`, connector: 'postgres' })
}
