import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Opens a connection to a host. */
type Dial = (host: string, port: number) => Promise<Duplex>

/** How long a client may take to say where it wants to go. */
const GREETING_MS = 10_000

const VERSION = 5
const BY_PASSWORD = 2
const NO_METHOD = 0xff
const CONNECT = 1
const IPV4 = 1
const DOMAIN = 3
const IPV6 = 4
const DONE = 0
const GENERAL_FAILURE = 1
const HOST_UNREACHABLE = 4

/**
 * A SOCKS5 proxy (RFC 1928) on the loopback interface, for drivers that take a proxy and no socket. Only who knows its
 * password (RFC 1929) goes through: other users of the computer do not.
 */
export class SocksProxy {
  readonly host = '127.0.0.1'
  readonly username = 'nebula'
  readonly password = randomBytes(24).toString('base64url')
  /** By `host:port`, why the last connection to it could not be opened. */
  readonly failures = new Map<string, unknown>()
  readonly #dial: Dial
  readonly #server: Server
  readonly #closed = Promise.withResolvers<void>()
  readonly #clients = new Set<Socket>()

  private constructor(dial: Dial) {
    this.#dial = dial
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
      this.#clients.add(client)
      client.once('close', () => this.#clients.delete(client))
      // Whoever is cut off here learns it from the socket.
      this.#serve(client).catch(() => client.destroy())
    })
    this.#server.once('close', this.#closed.resolve)
  }

  static async start(dial: Dial): Promise<SocksProxy> {
    const proxy = new SocksProxy(dial)
    await once(proxy.#server.listen(0, proxy.host), 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const client of this.#clients) client.destroy()
    await this.#closed.promise
  }

  async #serve(client: Socket): Promise<void> {
    client.on('error', () => {}).setTimeout(GREETING_MS, () => client.destroy())
    if (!(await this.#authenticate(client))) return void client.end()
    const [, command, , kind = 0] = await take(client, 4)
    const to = await readAddress(client, kind)
    client.setTimeout(0)
    if (command !== CONNECT || to === undefined) return void client.end(reply(GENERAL_FAILURE))
    const name = `${to.host}:${to.port}`
    let way: Duplex
    try {
      way = await this.#dial(to.host, to.port)
      this.failures.delete(name)
    } catch (error) {
      this.failures.set(name, error)
      return void client.end(reply(HOST_UNREACHABLE))
    }
    client.write(reply(DONE))
    await pipeline(client, way, client)
  }

  async #authenticate(client: Socket): Promise<boolean> {
    const [version, count = 0] = await take(client, 2)
    if (version !== VERSION || !(await take(client, count)).includes(BY_PASSWORD)) {
      client.write(Buffer.of(VERSION, NO_METHOD))
      return false
    }
    client.write(Buffer.of(VERSION, BY_PASSWORD))
    await take(client, 1)
    const username = await takeText(client)
    const password = await takeText(client)
    const isOurs = username.equals(Buffer.from(this.username)) && isEqual(password, Buffer.from(this.password))
    client.write(Buffer.of(1, isOurs ? DONE : GENERAL_FAILURE))
    return isOurs
  }
}

async function readAddress(client: Socket, kind: number): Promise<{ host: string; port: number } | undefined> {
  let host: string
  if (kind === IPV4) host = (await take(client, 4)).join('.')
  else if (kind === DOMAIN) host = (await takeText(client)).toString()
  else if (kind === IPV6) host = (await take(client, 16)).toString('hex').replace(/(.{4})(?=.)/g, '$1:')
  else return undefined
  return { host, port: (await take(client, 2)).readUInt16BE() }
}

/** A text behind its length in one byte. */
async function takeText(client: Socket): Promise<Buffer> {
  const [length = 0] = await take(client, 1)
  return take(client, length)
}

/** Exactly so many bytes. Rejects when they will not come. */
async function take(client: Socket, bytes: number): Promise<Buffer> {
  if (bytes === 0) return Buffer.alloc(0)
  for (;;) {
    const chunk = client.read(bytes) as Buffer | null
    if (chunk?.length === bytes) return chunk
    if (chunk !== null || client.readableEnded || client.destroyed) throw new Error('The client has gone.')
    const gone = new AbortController()
    const leave = (): void => gone.abort()
    client.once('close', leave).once('end', leave)
    await once(client, 'readable', { signal: gone.signal })
    client.off('close', leave).off('end', leave)
  }
}

function isEqual(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** The answer to a request; the address that it names is of no use here. */
function reply(code: number): Buffer {
  return Buffer.of(VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0)
}
