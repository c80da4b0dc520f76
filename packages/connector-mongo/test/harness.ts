import { createContext } from '@nebula/base'
import type {
  Context,
  Json,
  Partition,
  Plan,
  Position,
  PreviousPlan,
  ReadStream,
  StreamInfo,
  StreamRequest,
} from '@nebula/core'
import { BufferPool, isNebulaError, type NebulaError } from '@nebula/core'
import { BSON_WIRE } from '@nebula/formats'
import { BSON, type Db, type Document, MongoClient } from 'mongodb'
import { MongoConfig } from '../src/config.ts'
import { MongoSource } from '../src/source.ts'

/** A database of its own, with a client for the test itself. */
export class Database implements AsyncDisposable {
  static #count = 0
  readonly url: string
  readonly db: Db
  readonly #client: MongoClient

  constructor(server: string) {
    const url = new URL(server)
    url.pathname = `/nebula_${process.pid}_${Date.now()}_${Database.#count++}`
    if (url.username !== '' && !url.searchParams.has('authSource')) url.searchParams.set('authSource', 'admin')
    this.url = url.href
    this.#client = new MongoClient(this.url)
    this.db = this.#client.db()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.db.dropDatabase()
    await this.#client.close()
  }
}

/** What one batch brought. */
export interface Read {
  readonly documents: readonly Document[]
  readonly bytes: number
  readonly position: Position | undefined
}

interface Reading {
  readonly from?: Position | undefined
  readonly batch?: Partial<typeof LIMITS>
  readonly snapshot?: Json | undefined
}

const LIMITS = { rows: 10_000, bytes: 8_000_000, delayMs: 10_000 }

/** A source as a run has it. */
export class Reader implements AsyncDisposable {
  readonly source: MongoSource
  readonly context: Context
  readonly #stop = new AbortController()

  constructor(url: string, options: object = {}, context: Partial<Context> = {}) {
    const config = MongoConfig.parse({ url, reliability: { retryDelay: '10ms' }, ...options })
    this.source = new MongoSource(config)
    const pool = new BufferPool(64_000_000)
    this.context = { ...createContext({ signal: this.#stop.signal, config, pool }), ...context }
  }

  abort(): void {
    this.#stop.abort()
  }

  async stream(name: string): Promise<StreamInfo> {
    const { streams } = await this.source.discover(this.context)
    const found = streams.find((stream) => stream.name === name)
    if (!found) throw new Error(`no stream ${name} among ${streams.map((stream) => stream.name).join()}`)
    return found
  }

  /** All columns, whole documents as they are. */
  async request(name: string, more: Partial<StreamRequest> = {}): Promise<ReadStream> {
    const { schema, key } = await this.stream(name)
    const columns = schema.fields.map((field) => field.name)
    return { request: { stream: name, mode: 'overwrite', columns, key, ...more }, schema, wire: BSON_WIRE, decode: [] }
  }

  async plan(stream: ReadStream, partitionBytes: number, previous?: PreviousPlan): Promise<Plan> {
    return this.source.plan([stream], partitionBytes, previous, this.context)
  }

  /** The one partition of a stream that is not cut. */
  async whole(stream: ReadStream): Promise<Partition> {
    const { partitions } = await this.plan(stream, 1e9)
    if (!partitions[0] || partitions.length > 1) throw new Error(`${partitions.length} partitions`)
    return partitions[0]
  }

  async *read(stream: ReadStream, partition: Partition, { from, batch, snapshot }: Reading = {}): AsyncGenerator<Read> {
    const where = { ...(from === undefined ? {} : { from }), ...(snapshot === undefined ? {} : { snapshot }) }
    const task = { partition, stream, batch: { ...LIMITS, ...batch }, ...where }
    for await (const read of this.source.read(task, this.context)) {
      const { wire, position, byteLength: bytes } = read
      const documents = Array.from({ length: wire ? read.rows : 0 }, (_, row) =>
        BSON.deserialize(wire?.data.slice(wire.offsets[row], wire.offsets[row + 1]) ?? new Uint8Array(), {
          promoteValues: false,
        }),
      )
      read.release()
      yield { documents, bytes, position }
    }
  }

  /** Every document of a plan's partitions. */
  async all(stream: ReadStream, partitions: readonly Partition[], snapshot?: Json): Promise<Document[]> {
    const documents: Document[] = []
    for (const partition of partitions)
      for await (const read of this.read(stream, partition, { snapshot })) documents.push(...read.documents)
    return documents
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source.close()
  }
}

/** The error with which some work fails. */
export async function failure(work: Promise<unknown>): Promise<NebulaError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isNebulaError(error)) throw new Error(`it did not fail as ours: ${String(error)}`)
  return error
}

/** The `_id`s in canonical Extended JSON, sorted. */
export function ids(documents: readonly Document[]): string[] {
  return documents.map(({ _id }) => BSON.EJSON.stringify({ _id }, { relaxed: false })).toSorted()
}
