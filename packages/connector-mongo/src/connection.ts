import type { ClientLease, Shareable, TunnelProxy } from '@nebula/base'
import { SharedClient, SshTunnel, tlsOptions, unlessAborted } from '@nebula/base'
import type { CallOptions, Context, Lifecycle } from '@nebula/core'
import type { ClientSession, Document, MongoClient, MongoClientOptions } from 'mongodb'
import type { MongoConfig } from './config.ts'
import { connectionUrl } from './config.ts'
import { driver } from './driver.ts'
import { mongoError } from './errors.ts'

/** Where a stream lies. */
export interface Namespace {
  readonly database: string
  readonly collection: string
}

/** Where requests go, and what stops them. */
export interface Link {
  readonly client: MongoClient
  /** Fires, too, when no server answers any more. */
  readonly signal: AbortSignal
  /** In whose transaction. */
  readonly session?: ClientSession | undefined
}

/** The client for several requests; it is not replaced until it is released. */
export type Lease = ClientLease<MongoClient>

/** How long a goodbye to a server may take that is gone without a word. */
const GOODBYE_MS = 300

/** What stands behind the first slash after the hosts. */
const DATABASE = /^[^:]+:\/\/[^/?]+\/([^?]+)/

/** The life of a MongoDB's end of a pipeline: one client of the driver, which connects when it is needed. */
export class MongoEnd implements Lifecycle {
  readonly config: MongoConfig
  /** The one database of all streams; undefined: their names begin with it. */
  readonly database: string | undefined
  /** What the server said of itself when this was opened. */
  hello: Document = {}
  readonly #tunnel: SshTunnel | undefined
  readonly #clients: SharedClient<MongoClient>

  constructor(config: MongoConfig) {
    this.config = config
    this.#tunnel = SshTunnel.of(config)
    this.#clients = new SharedClient(config.timeouts.maxLifetime)
    const path = DATABASE.exec(config.url?.reveal() ?? '')?.[1]
    this.database = config.database ?? (path === undefined ? undefined : decodeURIComponent(path))
  }

  async open(context: Context): Promise<void> {
    this.hello = await this.command({ hello: 1 }, context)
  }

  async ping(context: Context): Promise<void> {
    await this.command({ ping: 1 }, context)
  }

  async version(context: Context): Promise<string> {
    return `MongoDB ${(await this.command({ buildInfo: 1 }, context))['version']}`
  }

  async close(): Promise<void> {
    await this.#clients.close()
    await this.#tunnel?.close()
  }

  /** The database of a stream and the collection in it: behind the first dot, where the url names no database. */
  locate(stream: string): Namespace {
    if (this.database !== undefined) return { database: this.database, collection: stream }
    const dot = stream.indexOf('.')
    return { database: stream.slice(0, Math.max(0, dot)), collection: stream.slice(dot + 1) }
  }

  /** The name under which a collection is a stream. */
  streamName({ database, collection }: Namespace): string {
    return this.database === undefined ? `${database}.${collection}` : collection
  }

  /**
   * Runs work with the driver, one request or several that make one, by `context.call`, which may repeat it. The signal
   * goes into every call that takes one; `doing` begins the message of its errors. The client lives at least until it ends.
   */
  async use<T>(
    context: Context,
    doing: string | undefined,
    work: (link: Link) => Promise<T>,
    options?: CallOptions,
  ): Promise<T> {
    return context.call(async (signal) => {
      const { release, ...link } = await this.lend(context)
      try {
        return await work({ ...link, signal: AbortSignal.any([signal, link.signal]) })
      } catch (error) {
        throw mongoError(error, doing)
      } finally {
        release()
      }
    }, options)
  }

  /** The client for several requests, for as long as the context is not stopped. */
  async lend(context: Context): Promise<Lease> {
    try {
      const proxy = await this.#tunnel?.proxy()
      return await this.#clients.lend(context, () => connect(this.config, proxy))
    } catch (error) {
      throw mongoError(error)
    }
  }

  /** Runs a command, in the database of the url, else in admin; numbers and texts of the answer are the language's. */
  async command(command: Document, context: Context, database = this.database ?? 'admin'): Promise<Document> {
    return this.use(context, undefined, ({ client, signal }) => client.db(database).command(command, { signal }))
  }
}

/** True of what `hello` answers for a replica set, or before shards: what transactions and snapshots take. */
export function isReplicated(hello: Document): boolean {
  return hello['setName'] !== undefined || hello['msg'] === 'isdbgrid'
}

/** Connects. Who waits is told as soon as no server is left that may answer; the driver would wait for one to come back. */
function connect(config: MongoConfig, proxy: TunnelProxy | undefined): Shareable<MongoClient> {
  const client = new (driver().MongoClient)(connectionUrl(config), clientOptions(config, proxy))
  const lost = new AbortController()
  proxy?.lost.addEventListener('abort', () => lost.abort(proxy.lost.reason))
  const failures = new Map<string, Error | undefined>()
  const told = (address: string, failure?: Error): void => {
    failures.set(address, failure)
    if (![...failures.values()].includes(undefined)) lost.abort(proxy?.failures.get(address) ?? failure)
  }
  client.on('serverOpening', ({ address }) => told(address))
  client.on('serverClosed', ({ address }) => failures.delete(address))
  client.on('serverHeartbeatSucceeded', ({ connectionId }) => told(connectionId))
  // One that is awaited tells of its own connection alone.
  client.on('serverHeartbeatFailed', ({ connectionId, failure, awaited }) => !awaited && told(connectionId, failure))
  const ready = unlessAborted(client.connect(), lost.signal)
  ready.catch((error: unknown) => lost.abort(error))
  return { client, ready, lost: lost.signal, close: () => goodbye(client) }
}

/** Runs a command that writes: durable by itself, or part of the transaction. */
export async function write({ client, signal, session }: Link, database: string, command: Document): Promise<Document> {
  const options = session ? { signal, session } : { signal }
  return client.db(database).command(session ? command : { ...command, writeConcern: DURABLE }, options)
}

/** Durable at most members before it is answered. */
export const DURABLE = { w: 'majority', j: true } as const

/** Nothing is repeated by the driver: `context.call` does. What the url says wins, but for that. */
function clientOptions(config: MongoConfig, proxy: TunnelProxy | undefined): MongoClientOptions {
  const { timeouts, performance } = config
  const said = new Set([...connectionUrl(config).matchAll(/[?&]([^=&]+)=/g)].map(([, key = '']) => key.toLowerCase()))
  const defaults: MongoClientOptions = {
    appName: 'nebula',
    maxPoolSize: performance.maxConcurrency,
    maxIdleTimeMS: timeouts.idle,
    connectTimeoutMS: timeouts.connection,
    serverSelectionTimeoutMS: timeouts.connection,
  }
  return {
    ...Object.fromEntries(Object.entries(defaults).filter(([key]) => !said.has(key.toLowerCase()))),
    ...encryption(config),
    ...(proxy && { proxyHost: proxy.host, proxyPort: proxy.port }),
    ...(proxy && { proxyUsername: proxy.username, proxyPassword: proxy.password }),
    keepAliveInitialDelay: timeouts.keepAlive,
    retryReads: false,
    retryWrites: false,
  }
}

/** `prefer`, the default, leaves it to the url: a server of MongoDB does not answer what it does not expect. */
function encryption({ security: { tls } }: MongoConfig): MongoClientOptions {
  if (tls.mode === 'disable') return { tls: false }
  const { rejectUnauthorized, checkServerIdentity, ...files } = tlsOptions(tls, '')
  const name = tls.serverName === undefined ? {} : { servername: tls.serverName }
  if (tls.mode === 'prefer') return { ...files, ...name } as MongoClientOptions
  return { tls: true, rejectUnauthorized, checkServerIdentity, ...files, ...name } as MongoClientOptions
}

/** The driver's own topology: what `close` says goodbye to, without any limit of time. */
interface Goodbye {
  readonly topology?: { closeCheckedOutConnections?(): void; close?(): void }
}

async function goodbye(client: MongoClient): Promise<void> {
  const { topology } = client as unknown as Goodbye
  // Cursors and sessions are ended one after the other: each gets the time.
  const timer = setInterval(() => {
    topology?.closeCheckedOutConnections?.()
    topology?.close?.()
  }, GOODBYE_MS)
  try {
    await client.close()
  } catch {
    // Nothing is left to be said to it.
  } finally {
    clearInterval(timer)
  }
}
