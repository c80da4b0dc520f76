import type { Duplex } from 'node:stream'
import { Alarm, LendingSocket } from '@nebula/base'
import type { BatchLimits, Clock } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { CopiedRows, FramerOptions } from '@nebula/formats'
import { BINARY_HEADER, copyData, CopyFramer } from '@nebula/formats'
import type { Client, Connection, Submittable } from 'pg'
import { postgresError } from './errors.ts'

/** Message types of the protocol (docs 55.7). */
const COPY_DONE = 0x63
const ERROR_RESPONSE = 0x45

export type CopyFormat = FramerOptions['format']

export interface CopyOutOptions extends FramerOptions {
  /** `COPY (...) TO STDOUT ...` */
  readonly sql: string
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly limits: BatchLimits
}

type DataListener = (chunk: Buffer) => void

/**
 * COPY TO on the connection's own socket: while rows flow, bytes go straight into a batch's buffer, and only the other
 * messages to pg's parser. One batch is read ahead; then the socket waits.
 */
export class CopyOut implements Submittable {
  readonly #options: CopyOutOptions
  readonly #framer: CopyFramer
  readonly #late: Alarm
  #stream: Duplex | undefined
  #parsers: DataListener[] = []
  #ready: CopiedRows | undefined
  #state: 'open' | 'ended' | 'failed' = 'open'
  #error: unknown
  #wake: (() => void) | undefined

  constructor(options: CopyOutOptions) {
    this.#options = options
    this.#framer = new CopyFramer(options)
    this.#late = new Alarm(options.clock, () => {
      this.#framer.hurry()
      this.#scan()
    })
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
    this.#framer.close()
    this.#late.close()
  }

  submit(connection: Connection): void {
    const { stream } = connection
    this.#stream = stream
    this.#parsers = stream.listeners('data') as DataListener[]
    stream.pause()
    stream.on('data', this.#onData)
    if (stream instanceof LendingSocket) stream.lends = true
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
    if (this.#framer.push(chunk)) {
      this.#scan()
      return
    }
    this.#cut()
    this.#framer.push(chunk)
  }

  /** Begins a batch once there is memory, and lets the socket flow. */
  async #begin(): Promise<void> {
    const { pool, signal } = this.#options
    try {
      await pool.ready(signal)
    } catch (error) {
      this.#fail(error)
    }
    if (this.#state === 'failed') return
    this.#framer.begin()
    this.#late.set(this.#options.limits.delayMs)
    if (this.#scan()) this.#stream?.resume()
  }

  /** Frames what has arrived, and hands messages that are no rows to pg. False: the batch is over. */
  #scan(): boolean {
    try {
      for (;;) {
        const found = this.#framer.scan()
        if (found === 'more') return true
        if (found === 'full') return this.#cut()
        if (found[0] === COPY_DONE || found[0] === ERROR_RESPONSE) return this.#hand(found)
        for (const parser of this.#parsers) parser(Buffer.from(found))
      }
    } catch (error) {
      this.#fail(postgresError(error))
      return false
    }
  }

  /** After the last row: all that follows is pg's, and the socket too. */
  #hand(last: Uint8Array): false {
    const bytes = Buffer.concat([last, this.#framer.rest()])
    const parsers = this.#parsers
    this.#restore()
    this.#cut()
    for (const parser of parsers) parser(bytes)
    return false
  }

  /** Ends the batch; the socket waits until it is taken. */
  #cut(): false {
    this.#late.clear()
    if (this.#parsers.length > 0) this.#stream?.pause()
    this.#ready ??= this.#framer.take()
    if (this.#ready) this.#wake?.()
    return false
  }

  #restore(): void {
    const parsers = this.#parsers
    this.#parsers = []
    if (parsers.length === 0) return
    for (const parser of parsers) this.#stream?.on('data', parser)
    this.#stream?.off('data', this.#onData)
    if (this.#stream instanceof LendingSocket) this.#stream.lends = false
    this.#stream?.resume()
  }

  #fail(error: unknown): void {
    if (this.#state !== 'open') return
    this.#state = 'failed'
    this.#error = error
    this.#framer.close()
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
