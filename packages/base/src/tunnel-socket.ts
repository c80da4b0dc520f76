import { Duplex } from 'node:stream'
import type { ClientChannel } from 'ssh2'

/** One connection through a tunnel, to which it is already connected, with what drivers ask of a `net.Socket`. */
export class TunnelSocket extends Duplex {
  readonly #channel: ClientChannel
  /** Waits for the room that the other side gives. */
  #writing: ((error?: Error | null) => void) | undefined

  constructor(channel: ClientChannel) {
    super({ allowHalfOpen: false })
    this.#channel = channel
    channel
      .on('data', (chunk: Buffer) => void (this.push(chunk) || channel.pause()))
      .on('end', () => this.push(null))
      // What came before is still read.
      .on('close', () => (this.readableEnded ? this.destroy() : this.once('end', () => this.destroy())))
      .on('error', (error: Error) => this.destroy(error))
  }

  connect(): this {
    process.nextTick(() => this.emit('connect'))
    return this
  }

  setNoDelay(): this {
    return this
  }

  /** The connection of the tunnel is kept alive, and the server that it leads to keeps its own. */
  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  override _read(): void {
    this.#channel.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#writing = done
    this.#channel.write(chunk, (error) => {
      this.#writing = undefined
      done(error)
    })
  }

  override _final(done: () => void): void {
    this.#channel.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#channel.destroy()
    // A channel that ends forgets who waits to write.
    this.#writing?.(error ?? new Error('The connection was closed.'))
    // What TLS over it has to say comes before its end, as with a socket: its own close takes one turn.
    setImmediate(() => setImmediate(done, error))
  }
}
