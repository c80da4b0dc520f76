import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { BaseConfig, SshConfig } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Client, ClientChannel, ClientErrorExtensions } from 'ssh2'
import { SocksProxy } from './socks-proxy.ts'
import { hostKeyCheck } from './ssh-host-key.ts'
import { sshLogin, sshUser } from './ssh-login.ts'
import { throwIfAborted, unlessAborted, withTimeout } from './timeout.ts'
import { TunnelSocket } from './tunnel-socket.ts'

type Timeouts = BaseConfig['timeouts']

/** How long a goodbye may take to a server that is gone without a word. */
const GOODBYE_MS = 300

/** One connection to an SSH server, and those that go through it. */
export class SshConnection {
  readonly #client: Client
  readonly #socket: Socket
  readonly #server: string
  readonly #timeouts: Timeouts
  readonly #sockets = new Set<TunnelSocket>()
  readonly #lost = new AbortController()
  #proxy: Promise<SocksProxy> | undefined

  private constructor(client: Client, socket: Socket, { host, port }: SshConfig, timeouts: Timeouts) {
    this.#client = client
    this.#socket = socket
    this.#server = `${host}:${port}`
    this.#timeouts = timeouts
    let why: Error | undefined
    client.on('error', (error) => (why = error))
    client.on('close', () => {
      const message = `The connection to the SSH server ${this.#server} was lost${why ? `: ${why.message}` : ''}.`
      this.#end(new NebulaError('connection_lost', { message, cause: why }))
    })
  }

  /**
   * Connects and logs in. Throws `connection_failed`, `host_key_unknown`, `authentication_failed`, and `config_invalid`
   * also where the package ssh2 is missing.
   */
  static async open(config: SshConfig, timeouts: Timeouts, signal: AbortSignal): Promise<SshConnection> {
    const { Client: SshClient, utils } = await loadSsh2()
    const { algorithms, objection } = hostKeyCheck(config)
    const login = sshLogin(config, utils)
    throwIfAborted(signal)
    const client = new SshClient()
    let refused: NebulaError | undefined
    const ready = new Promise<void>((resolve, reject) => {
      client.on('ready', resolve)
      client.on('error', (error) => reject(refused ?? openError(error, config, timeouts)))
      client.on('close', () => reject(openError(new Error('it closed the connection'), config, timeouts)))
    })
    client.on('keyboard-interactive', (...[, , , prompts, answer]) =>
      answer(prompts.map(({ echo }) => (echo ? '' : (login.password ?? '')))),
    )
    const { host, port } = config
    const socket = connect({ host, port, noDelay: true })
    client.connect({
      ...login,
      tryKeyboard: true,
      sock: socket,
      readyTimeout: timeouts.connection,
      keepaliveInterval: timeouts.keepAlive,
      algorithms: { serverHostKey: algorithms },
      hostVerifier: (key: Buffer) => (refused = objection(key)) === undefined,
    })
    try {
      await unlessAborted(ready, signal)
    } catch (error) {
      socket.destroy()
      throwIfAborted(signal)
      throw error
    }
    return new SshConnection(client, socket, config, timeouts)
  }

  /** Fires when the connection is gone; the reason is a `NebulaError`. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Opens a connection through the server. Throws `connection_failed`, `timeout`, `aborted`. */
  async dial(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
    const what = `Connecting to ${host}:${port} through the SSH server ${this.#server}`
    const limit = { ms: this.#timeouts.connection, what, key: 'timeouts.connection' }
    const channel = await withTimeout(limit, signal, (stop) => this.#forward(host, port, stop))
    const socket = new TunnelSocket(channel)
    this.#sockets.add(socket)
    // An end that nobody listens to is none of the process.
    socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket))
    return socket
  }

  /** For drivers that take no socket. It ends with the connection. */
  proxy(): Promise<SocksProxy> {
    this.#proxy ??= SocksProxy.start((host, port) => this.dial(host, port, this.lost))
    return this.#proxy
  }

  async close(): Promise<void> {
    this.#end(new NebulaError('aborted', { message: `The connection to the SSH server ${this.#server} was closed.` }))
    const proxy = await this.#proxy?.catch(() => undefined)
    await proxy?.close()
    if (this.#socket.closed) return
    const closed = new Promise((resolve) => this.#socket.once('close', resolve))
    const timer = setTimeout(() => this.#socket.destroy(), GOODBYE_MS)
    this.#client.end()
    await closed
    clearTimeout(timer)
  }

  async #forward(host: string, port: number, signal: AbortSignal): Promise<ClientChannel> {
    const opening = new Promise<ClientChannel>((resolve, reject) => {
      // The server is told who asks; the address of a client that has none is this.
      this.#client.forwardOut('127.0.0.1', 0, host, port, (error, channel) =>
        error ? reject(error) : resolve(channel),
      )
    })
    try {
      return await unlessAborted(opening, signal)
    } catch (error) {
      opening.then((channel) => channel.destroy()).catch(() => {})
      this.lost.throwIfAborted()
      const why = (error as Error).message.replace(/^\(SSH\) Channel open failure: /, '')
      const message = `The SSH server ${this.#server} does not connect to ${host}:${port}: ${why}.`
      throw new NebulaError('connection_failed', { message, cause: error })
    }
  }

  #end(reason: NebulaError): void {
    if (this.lost.aborted) return
    this.#lost.abort(reason)
    for (const socket of this.#sockets) socket.destroy(reason)
    this.#proxy?.then((proxy) => proxy.close()).catch(() => {})
  }
}

/** Few need it, so it is installed by those who do. */
async function loadSsh2(): Promise<typeof import('ssh2')> {
  try {
    // It is CommonJS, whose names are not all seen from here.
    return (await import('ssh2')).default
  } catch (cause) {
    throw new NebulaError('config_invalid', {
      message: 'security.ssh needs the package ssh2, which is not installed.',
      fix: 'npm install ssh2',
      cause,
    })
  }
}

function openError(
  error: Error & ClientErrorExtensions & { code?: string },
  config: SshConfig,
  { connection }: Timeouts,
): NebulaError {
  const server = `${config.host}:${config.port}`
  const { level, message } = error
  if (level === 'client-authentication' || level === 'agent') {
    const why = level === 'agent' ? `: ${message}` : ''
    return new NebulaError('authentication_failed', {
      message: `The SSH server ${server} refused the login of ${sshUser(config)}${why}.`,
      cause: error,
    })
  }
  // An AggregateError of several addresses has no message of its own.
  const said = level === 'client-timeout' ? `no answer within ${connection} ms` : message || error.code
  return new NebulaError('connection_failed', {
    message: `The SSH server ${server} cannot be reached: ${said}.`,
    // What both sides can do does not change by itself.
    retryable: level !== 'handshake',
    cause: error,
  })
}
