import { tlsOptions } from '@nebula/base'
import type { CallOptions, Context, Lifecycle } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Db, Document, MongoClient, MongoClientOptions, TopologyDescriptionChangedEvent } from 'mongodb'
import type { MongoConfig } from './config.ts'
import { connectionUrl } from './config.ts'
import { mongoError } from './errors.ts'

/** Where a stream lies. */
export interface Namespace {
  readonly database: string
  readonly collection: string
}

/** Work with the driver: one request, or several that make one. Its signal goes into every call that takes one. */
export type Work<T> = (client: MongoClient, signal: AbortSignal) => Promise<T>

/** How long a goodbye to a server may take that is gone without a word. */
const GOODBYE_MS = 300

/** What stands behind the first slash after the hosts. */
const DATABASE = /^[^:]+:\/\/[^/?]+\/([^?]+)/

/** The life of a MongoDB's end of a pipeline: one client of the driver, which connects when it is needed. */
export class MongoEnd implements Lifecycle {
  protected readonly config: MongoConfig
  /** The one database of all streams; undefined: their names begin with it. */
  readonly database: string | undefined
  #link: { readonly client: MongoClient; readonly ready: Promise<void> } | undefined
  #closed = false
  #users = 0
  /** When the client is replaced, in milliseconds since 1970. */
  #expires = Infinity

  constructor(config: MongoConfig) {
    this.config = config
    const path = DATABASE.exec(config.url?.reveal() ?? '')?.[1]
    this.database = config.database ?? (path === undefined ? undefined : decodeURIComponent(path))
  }

  async open(context: Context): Promise<void> {
    await this.ping(context)
  }

  async ping(context: Context): Promise<void> {
    await this.command({ ping: 1 }, context)
  }

  async version(context: Context): Promise<string> {
    return `MongoDB ${(await this.command({ buildInfo: 1 }, context))['version']}`
  }

  async close(): Promise<void> {
    const link = this.#link
    this.#link = undefined
    this.#closed = true
    if (link) await goodbye(link.client)
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
   * Runs work as a request of `context.call`, which may repeat it. `doing` begins the message of its errors.
   * The client lives at least until it ends.
   */
  async use<T>(context: Context, work: Work<T>, { doing, ...options }: UseOptions = {}): Promise<T> {
    return context.call(async (signal) => {
      this.#users++
      try {
        return await work(await this.#connected(context), signal)
      } catch (error) {
        throw mongoError(error, doing)
      } finally {
        this.#users--
      }
    }, options)
  }

  /** The client is not replaced until the function is called. */
  hold(): () => void {
    this.#users++
    return () => this.#users--
  }

  /** Runs a command in the database of the url, else in admin; numbers and texts of the answer are the language's. */
  async command(
    command: Document,
    context: Context,
    options?: UseOptions & { readonly database?: string },
  ): Promise<Document> {
    const database = options?.database ?? this.database ?? 'admin'
    return this.use(context, (client, signal) => run(client.db(database), command, signal), options)
  }

  /** A run that does not come to MongoDB does not load its driver. */
  async #connected({ clock }: Context): Promise<MongoClient> {
    const driver = await import('mongodb')
    if (this.#closed) throw new NebulaError('lifecycle', { message: 'A MongoDB was used after close.' })
    const expired = this.#users === 1 && clock.now() >= this.#expires ? this.#link : undefined
    if (!this.#link || expired) {
      const client = new driver.MongoClient(connectionUrl(this.config), clientOptions(this.config))
      this.#link = { client, ready: connect(client) }
      this.#expires = clock.now() + (this.config.timeouts.maxLifetime ?? Infinity)
    }
    const link = this.#link
    if (expired) void goodbye(expired.client)
    try {
      await link.ready
      return link.client
    } catch (error) {
      // It does not recover from a first connection that failed.
      if (this.#link === link) this.#link = undefined
      void goodbye(link.client)
      throw error
    }
  }
}

/** Fails as soon as no server is left that may answer; the driver would wait for one to come back. */
async function connect(client: MongoClient): Promise<void> {
  const refused = Promise.withResolvers<never>()
  const look = ({ newDescription }: TopologyDescriptionChangedEvent): void => {
    const errors = Array.from(newDescription.servers.values(), ({ error }) => error)
    if (errors.length > 0 && errors.every((error) => error !== null)) refused.reject(errors[0])
  }
  client.on('topologyDescriptionChanged', look)
  try {
    await Promise.race([client.connect(), refused.promise])
  } finally {
    client.off('topologyDescriptionChanged', look)
  }
}

export interface UseOptions extends CallOptions {
  /** What for, as it begins a message: `Reading shop.orders`. */
  readonly doing?: string
}

/** Runs one command; stopped, it breaks its connection off. */
async function run(database: Db, command: Document, signal: AbortSignal): Promise<Document> {
  return database.command(command, { signal })
}

/** Nothing is repeated by the driver: `context.call` does. What the url says wins, but for that. */
function clientOptions(config: MongoConfig): MongoClientOptions {
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
