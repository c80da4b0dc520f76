import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** How a connection is cut: with a reset, as when a host dies, or with an orderly end in the middle of a message. */
export type Cut = 'reset' | 'end'

/** What a proxy does when so many bytes have passed: it may do anything, and nothing is forwarded until it is done. */
type Action = (connection: FaultyConnection) => Promise<void>

interface Address {
  readonly host: string
  readonly port: number
}

/** Pieces a second in which a slow direction forwards. */
const PIECES_PER_SECOND = 50

/** One direction of all connections of a proxy. Faults may be set at any time. */
export class FaultyDirection {
  /** Bytes that were forwarded, over all connections. */
  bytes = 0
  /** Each chunk, of 64 KB at most, waits so long. */
  latencyMs = 0
  /** Over all connections. */
  bytesPerSecond = Infinity
  readonly #sleep: (ms: number) => Promise<unknown>
  #next: { readonly at: number; readonly act: Action } | undefined
  #acting: Promise<void> | undefined

  constructor(sleeper: (ms: number) => Promise<unknown>) {
    this.#sleep = sleeper
  }

  /** Does `act`, once, when `bytes` more have been forwarded; resolves when it is done, with what it returned. */
  after<T>(bytes: number, act: (connection: FaultyConnection) => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run: Action = (connection) => (async () => act(connection))().then(resolve, reject)
      this.#next = { at: this.bytes + bytes, act: run }
    })
  }

  /** Forwards a chunk, in pieces that end where something is to happen. */
  async forward(chunk: Uint8Array, to: Socket, connection: FaultyConnection): Promise<void> {
    if (this.latencyMs > 0) await this.#sleep(this.latencyMs)
    for (let rest = chunk; rest.length > 0;) {
      await connection.audible
      while (this.#acting) await this.#acting
      if (connection.isCut) return
      const most = Math.max(1, Math.ceil(this.bytesPerSecond / PIECES_PER_SECOND))
      const piece = rest.subarray(0, Math.min(most, (this.#next?.at ?? Infinity) - this.bytes))
      rest = rest.subarray(piece.length)
      this.bytes += piece.length
      const act = this.#due(connection)
      try {
        if (this.bytesPerSecond < Infinity) await this.#sleep((1000 * piece.length) / this.bytesPerSecond)
        await write(to, piece)
      } finally {
        await act?.()
      }
    }
  }

  /** What is to happen behind the bytes that are counted; others of this direction wait until it is done. */
  #due(connection: FaultyConnection): (() => Promise<void>) | undefined {
    const next = this.#next
    if (next === undefined || this.bytes < next.at) return undefined
    this.#next = undefined
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#acting = promise
    return async () => {
      await next.act(connection)
      this.#acting = undefined
      resolve()
    }
  }
}

/** A client's connection and the one to the server behind it. */
export class FaultyConnection {
  readonly #client: Socket
  readonly #server: Socket
  readonly #proxy: FaultProxy
  #cut = false

  constructor(client: Socket, server: Socket, proxy: FaultProxy) {
    this.#client = client
    this.#server = server
    this.#proxy = proxy
  }

  /** Resolves when the proxy forwards. */
  get audible(): Promise<void> {
    return this.#proxy.audible
  }

  get isCut(): boolean {
    return this.#cut
  }

  /** Breaks it off on both sides, unless that was done. */
  cut(how: Cut): void {
    if (this.#cut) return
    this.#cut = true
    for (const socket of [this.#client, this.#server]) {
      if (how === 'reset') socket.resetAndDestroy()
      else socket.destroySoon()
    }
  }

  /** Forwards until both sides have ended. */
  async run(): Promise<void> {
    const { toServer, toClient } = this.#proxy
    await Promise.all([
      this.#pump(this.#client, this.#server, toServer),
      this.#pump(this.#server, this.#client, toClient),
    ])
  }

  async #pump(from: Socket, to: Socket, direction: FaultyDirection): Promise<void> {
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false }))
        await direction.forward(chunk as Uint8Array, to, this)
      // Who cannot be heard cannot say goodbye either.
      await this.audible
      to.end()
    } catch {
      await this.audible
      this.cut('reset')
    }
  }
}

/** A TCP proxy on a port of its own that does to connections what networks do. */
export class FaultProxy implements AsyncDisposable {
  readonly toServer: FaultyDirection
  readonly toClient: FaultyDirection
  /** Connections that were accepted so far. */
  accepted = 0
  readonly #target: Address
  readonly #open = new Set<FaultyConnection>()
  #listener: Server | undefined
  #port = 0
  #silence = Promise.withResolvers<void>()

  /** `sleeper` waits for latency and speed. */
  private constructor(target: Address, sleeper: (ms: number) => Promise<unknown>) {
    this.#target = target
    this.toServer = new FaultyDirection(sleeper)
    this.toClient = new FaultyDirection(sleeper)
    this.#silence.resolve()
  }

  /** Listens on a free port of the loopback interface for the server of a URL. */
  static async before(url: string, sleeper: (ms: number) => Promise<unknown> = (ms) => sleep(ms)): Promise<FaultProxy> {
    const { hostname, port } = new URL(url)
    const proxy = new FaultProxy({ host: hostname, port: Number(port) }, sleeper)
    await proxy.#listen()
    return proxy
  }

  /** The same URL, through this proxy. */
  url(url: string): string {
    const through = new URL(url)
    through.host = `127.0.0.1:${this.port}`
    return through.href
  }

  /** Of the loopback interface. */
  get port(): number {
    return this.#port
  }

  /** Open connections. */
  get connections(): number {
    return this.#open.size
  }

  /** Resolves when the proxy forwards. */
  get audible(): Promise<void> {
    return this.#silence.promise
  }

  /** From now on nothing is forwarded, and no end either: connections stay open, new ones are accepted. */
  blackHole(): void {
    this.#silence = Promise.withResolvers<void>()
  }

  /** From now on new connections are refused. */
  refuse(): void {
    this.#listener?.close()
    this.#listener = undefined
  }

  /** Forwards and accepts again. */
  async heal(): Promise<void> {
    this.#silence.resolve()
    if (!this.#listener) await this.#listen()
  }

  /** Breaks off every connection. */
  cutAll(how: Cut): void {
    for (const connection of this.#open) connection.cut(how)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.refuse()
    this.#silence.resolve()
    this.cutAll('reset')
  }

  async #listen(): Promise<void> {
    const listener = createServer({ allowHalfOpen: true }, (client) => void this.#connect(client))
    listener.listen(this.#port, '127.0.0.1')
    await once(listener, 'listening')
    this.#port = (listener.address() as AddressInfo).port
    this.#listener = listener
  }

  async #connect(client: Socket): Promise<void> {
    this.accepted++
    const server = connect({ ...this.#target, allowHalfOpen: true })
    const connection = new FaultyConnection(client, server, this)
    this.#open.add(connection)
    // What a socket has to say comes through its iterator and its writes.
    for (const socket of [client, server]) socket.on('error', () => {}).setNoDelay(true)
    await connection.run()
    this.#open.delete(connection)
  }
}

/** Resolves when the kernel has the bytes. */
function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()))
  })
}
