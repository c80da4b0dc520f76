import type {
  Catalog,
  Context,
  Field,
  Position,
  ReadOptions,
  ReadStream,
  ReadTask,
  Record,
  RecordBatch,
  RecordOptions,
  Rejection,
  Schema,
  SchemaChangeHandler,
  Source,
  SourceDriver,
  StreamInfo,
} from '@nebula/core'
import { NebulaError, schemaFingerprint } from '@nebula/core'
import { BatchReader } from './batch-reader.ts'
import { withSignal } from './context.ts'
import type { EndpointOptions } from './endpoint.ts'
import { BaseEndpoint } from './endpoint.ts'
import { Managed } from './lifecycle.ts'

/** Makes an author's driver a `Source`. */
export class BaseSource extends BaseEndpoint<SourceDriver> implements Source {
  /** What was found last, by stream. */
  readonly #known = new Map<string, Schema>()
  readonly #readers = new Map<string, BatchReader>()
  /** Of readings under way. */
  readonly #sessions = new Set<Managed<SourceDriver>>()
  #onChange: SchemaChangeHandler | undefined

  constructor(options: EndpointOptions<SourceDriver>) {
    super(options)
  }

  discover(): Promise<Catalog> {
    return this.counted(async () => {
      const { streams, ...rest } = await this.driver.discover(this.context, [])
      const catalog = { ...rest, streams: streams.map(readable) }
      await this.#compare(catalog)
      return catalog
    })
  }

  async schema(stream: string): Promise<Schema> {
    return (await this.#find(stream)).schema
  }

  read(stream: string, options: ReadOptions = {}): AsyncIterable<RecordBatch> {
    void this.driver
    return this.#guarded(options.signal, (driver, context) => this.#read(driver, context, stream, options))
  }

  records(stream?: string, options: RecordOptions = {}): AsyncIterable<Record> {
    void this.driver
    return this.#records(stream, options)
  }

  async readBatch(rows: number, stream?: string): Promise<RecordBatch | undefined> {
    void this.driver
    if (!Number.isSafeInteger(rows) || rows < 1) {
      throw new NebulaError('config_invalid', { message: 'readBatch needs a whole number of rows, from 1 on.' })
    }
    const name = stream ?? (await this.#onlyStream())
    const reader = this.#readers.get(name) ?? new BatchReader(this.read(name, { batch: { rows } }))
    this.#readers.set(name, reader)
    try {
      const batch = await reader.next(rows)
      if (!batch) this.#readers.delete(name)
      return batch
    } catch (error) {
      this.#readers.delete(name)
      await reader.close()
      throw error
    }
  }

  readChanges(position?: Position): AsyncIterable<RecordBatch> {
    if (!this.driver.readChanges) {
      const message = `The connector ${this.name} cannot tell of changes.`
      throw this.failure(new NebulaError('unsupported', { message }))
    }
    return this.#guarded(undefined, (driver, context) => driver.readChanges?.(position, context) ?? nothing())
  }

  handleSchemaChange(handler: SchemaChangeHandler): void {
    this.#onChange = handler
  }

  override async close(): Promise<void> {
    const closing = super.close()
    const readers = [...this.#readers.values()]
    this.#readers.clear()
    // The first closes the driver itself, whose error is the one to tell.
    await Promise.allSettled([...readers.map((reader) => reader.close()), ...[...this.#sessions].map((s) => s.close())])
    await closing
  }

  async #compare({ streams }: Catalog): Promise<void> {
    const now = new Map(streams.map(({ name, schema }) => [name, schema]))
    for (const [stream, before] of this.#known) {
      const after = now.get(stream)
      if (after && schemaFingerprint(after) === schemaFingerprint(before)) continue
      await this.#onChange?.({ stream, before, after })
    }
    this.#known.clear()
    for (const [stream, schema] of now) this.#known.set(stream, schema)
  }

  async #find(stream: string): Promise<StreamInfo> {
    const { streams } = await this.discover()
    const info = streams.find(({ name }) => name === stream)
    if (info) return info
    const names = streams.slice(0, 10).map(({ name }) => name)
    const more = streams.length > names.length ? ` and ${streams.length - names.length} more` : ''
    const has = names.length === 0 ? 'it has none' : `it has ${names.join(', ')}${more}`
    throw this.failure(new NebulaError('stream_not_found', { message: `No stream "${stream}" at the source; ${has}.` }))
  }

  async #onlyStream(): Promise<string> {
    const { streams } = await this.discover()
    const [first, second] = streams
    if (first && !second) return first.name
    const message = first ? `The source has ${streams.length} streams; say which.` : 'The source has no stream to read.'
    throw this.failure(new NebulaError('stream_not_found', { message }))
  }

  /** A reading with a driver of its own, which is closed when it ends, is left, or fails. */
  async *#guarded(
    signal: AbortSignal | undefined,
    read: (driver: SourceDriver, context: Context) => AsyncIterable<RecordBatch>,
  ): AsyncGenerator<RecordBatch> {
    const context = signal ? withSignal(this.context, signal) : this.context
    const session = new Managed(this.name, this.options.driver())
    this.#sessions.add(session)
    try {
      const driver = await session.open(context)
      for await (const batch of read(driver, context)) {
        const { rows, byteLength: bytes, rejected } = batch
        this.count({ batches: 1, rows, bytes, rejected: rejected.length })
        yield batch
      }
    } catch (error) {
      throw this.failure(error)
    } finally {
      this.#sessions.delete(session)
      await session.close()
    }
  }

  async *#read(
    driver: SourceDriver,
    context: Context,
    name: string,
    options: ReadOptions,
  ): AsyncGenerator<RecordBatch> {
    const stream = readStream(await this.#find(name), options)
    // One reader gains nothing from parts.
    const { partitions, snapshot } = (await driver.plan?.([stream], Number.MAX_SAFE_INTEGER, undefined, context)) ?? {
      partitions: [{ id: name, stream: name, range: null }],
    }
    const { batchSize, batchBytes, flushInterval } = this.options.config.performance
    const batch = { rows: batchSize, bytes: batchBytes, delayMs: flushInterval, ...options.batch }
    let left = options.limit ?? Infinity
    for (const partition of partitions) {
      if (left <= 0) return
      const request = { ...stream.request, ...(left === Infinity ? {} : { limit: left }) }
      const shared = { partition, batch, ...(snapshot === undefined ? {} : { snapshot }) }
      const task: ReadTask = { ...shared, stream: { ...stream, request } }
      for await (const rows of driver.read(task, context)) {
        left -= rows.rows
        yield rows
      }
    }
  }

  async *#records(stream: string | undefined, options: RecordOptions): AsyncGenerator<Record> {
    const name = stream ?? (await this.#onlyStream())
    let rejected = 0
    for await (const batch of this.read(name, options)) {
      try {
        for (const rejection of batch.rejected) {
          options.onRejected?.(rejection)
          if (++rejected > this.options.config.reliability.maxErrors) throw this.failure(refused(rejection, name))
        }
        for (let row = 0; row < batch.rows; row++) {
          const record = this.recordPool.view(batch, row)
          try {
            yield record
          } finally {
            record.release()
          }
        }
      } finally {
        batch.release()
      }
    }
  }
}

async function* nothing(): AsyncGenerator<RecordBatch> {}

function refused({ place, reason }: Rejection, stream: string): NebulaError {
  return new NebulaError('row_rejected', { message: `${place}: ${reason.replace(/\.$/, '')}.`, stream, place })
}

/** The stream with each column in the best type that a program can look at: no vendor's bytes where there is another. */
function readable(info: StreamInfo): StreamInfo {
  const fields = info.schema.fields.map((field): Field => {
    const type = [field.type, ...(field.offers ?? [])].find(({ kind }) => kind !== 'native') ?? field.type
    return { ...field, type }
  })
  return { ...info, schema: { fields } }
}

/** Throws `column_not_found`. */
function readStream({ name, schema, key }: StreamInfo, { columns, limit }: ReadOptions): ReadStream {
  const fields = columns
    ? columns.map((column) => {
        const field = schema.fields.find((candidate) => candidate.name === column)
        if (field) return field
        const message = `The stream ${name} has no column "${column}".`
        throw new NebulaError('column_not_found', { message, stream: name })
      })
    : schema.fields.filter(({ generated }) => generated !== true)
  const names = fields.map((field) => field.name)
  const request = { stream: name, mode: 'overwrite' as const, columns: names, key }
  return {
    request: { ...request, ...(limit === undefined ? {} : { limit }) },
    schema: { fields },
    decode: fields.map((_, index) => index),
  }
}
