import { createContext } from '@nebula/base'
import type {
  CommittedPartition,
  Context,
  Field,
  Mode,
  Partition,
  Plan,
  PreviousPlan,
  ReadStream,
  Rejection,
  Run,
  StreamInfo,
  StreamPlan,
} from '@nebula/core'
import type { ErrorCode } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import { createDatabase } from '@nebula/testkit'
import type { Connection, Submittable } from 'pg'
import pg from 'pg'
import { PostgresConfig } from '../src/config.ts'
import { PostgresDestination } from '../src/destination.ts'
import { PostgresSource } from '../src/source.ts'

/** A database of its own, with a client for the test itself. */
export class Database implements AsyncDisposable {
  readonly url: string
  readonly #client: pg.Client

  private constructor(url: string, client: pg.Client) {
    this.url = url
    this.#client = client
  }

  static async create(server: string, ...statements: string[]): Promise<Database> {
    const url = await createDatabase({ url: server })
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    const database = new Database(url, client)
    for (const statement of statements) await database.query(statement)
    return database
  }

  async query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]> {
    return (await this.#client.query(sql, values)).rows as Row[]
  }

  /** What COPY says of a query, byte by byte. */
  async copy(query: string, format: 'binary' | 'text'): Promise<string> {
    const collector = new Collector(`COPY (${query}) TO STDOUT (FORMAT ${format})`)
    this.#client.query(collector)
    const bytes = await collector.done.promise
    return format === 'text' ? bytes.toString() : bytes.toString('hex')
  }

  async count(table: string): Promise<number> {
    const [row] = await this.query<{ count: string }>(`SELECT count(*) FROM ${table}`)
    return Number(row?.count)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end()
  }
}

class Collector implements Submittable {
  readonly done = Promise.withResolvers<Buffer>()
  readonly #sql: string
  readonly #chunks: Buffer[] = []

  constructor(sql: string) {
    this.#sql = sql
  }

  submit(connection: Connection): void {
    connection.query(this.#sql)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    this.#chunks.push(Buffer.from(chunk))
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.done.resolve(Buffer.concat(this.#chunks))
  }

  handleError(error: Error): void {
    this.done.reject(error)
  }
}

export interface MoveOptions {
  readonly mode?: Mode
  readonly target?: string
  /** Pass bytes through, where both ends can. */
  readonly wire?: boolean
  readonly isolate?: boolean
  readonly partitionBytes?: number
  readonly batchRows?: number
  readonly limit?: number
  readonly finish?: boolean
  readonly pipeline?: string
  /** The types that the destination asked for, changed. */
  readonly shape?: (fields: Field[]) => Field[]
}

export interface Moved {
  readonly rows: number
  readonly rejected: readonly Rejection[]
  readonly wire: string | undefined
  readonly run: Run
}

/** Both drivers over two databases, without a runtime. */
export class Route implements AsyncDisposable {
  readonly source: PostgresSource
  readonly destination: PostgresDestination
  readonly context: Context
  readonly controller = new AbortController()

  constructor(from: string, to: string, options: { schema?: string; maxConcurrency?: number } = {}) {
    const { schema, maxConcurrency } = options
    const performance = maxConcurrency === undefined ? {} : { performance: { maxConcurrency } }
    const shared = { ...performance, reliability: { retryDelay: 1 } }
    const config = PostgresConfig.parse({ url: from, ...shared })
    this.source = new PostgresSource(config)
    this.destination = new PostgresDestination(
      PostgresConfig.parse({ url: to, ...shared, ...(schema === undefined ? {} : { schema }) }),
    )
    this.context = createContext({ signal: this.controller.signal, config })
  }

  async info(stream: string): Promise<StreamInfo> {
    const { streams } = await this.source.discover(this.context)
    const found = streams.find(({ name }) => name === stream)
    if (!found) throw new Error(`No ${stream} among ${streams.map(({ name }) => name).join(', ')}`)
    return found
  }

  /** What a runtime agrees with both ends about one stream. */
  async agree(stream: string, options: MoveOptions = {}): Promise<{ plan: StreamPlan; read: ReadStream }> {
    const info = await this.info(stream)
    const { mode = 'overwrite', target = stream, wire = true, limit, shape = (fields) => fields } = options
    const offered = shape([...info.schema.fields].filter(({ generated }) => generated !== true))
    const columns = offered.map(({ name }) => name)
    const request = { stream, mode, columns, key: info.key, ...(limit === undefined ? {} : { limit }) }
    const [standing] = await this.destination.describe([target], this.context)
    const accepted = this.destination.accept(request, { fields: offered }, wire ? info.wire : [], standing)
    if (accepted.problems[0]) {
      throw new NebulaError(accepted.problems[0].code, { message: accepted.problems.map((p) => p.message).join('\n') })
    }
    const fields = offered.map((field, i) => ({ ...field, type: accepted.columns[i]?.as ?? field.type }))
    const decode = accepted.wire ? (accepted.replaced ?? []) : fields.map((_, index) => index)
    const source = new Map(info.schema.fields.map((field) => [field.name, field]))
    const readFields = fields.map((field) => ({ ...(source.get(field.name) ?? field), type: field.type }))
    const read = { request, schema: { fields: readFields }, decode, ...(accepted.wire ? { wire: accepted.wire } : {}) }
    return { plan: { request, target, schema: { fields }, accepted, generation: 0 }, read }
  }

  async run(streams: readonly StreamPlan[], plan: Plan, pipeline = 'test'): Promise<Run> {
    const recalled = await this.destination.recall(pipeline, this.context)
    const epoch = (recalled?.run.epoch ?? 0) + 1
    const run: Run = { pipeline, id: `run${epoch}`, epoch, fingerprint: '', plan, streams }
    await this.destination.prepare(run, this.context)
    return run
  }

  /** One task, from the source to its commit. */
  async task(
    run: Run,
    partition: Partition,
    read: ReadStream,
    options: MoveOptions = {},
  ): Promise<CommittedPartition & { rejected: Rejection[] }> {
    const stream = run.streams.find(({ request }) => request.stream === partition.stream) as StreamPlan
    const { isolate = false, batchRows = 1000 } = options
    const writer = await this.destination.writer(
      { run, partition, stream, order: 0, partitions: 1, isolate },
      this.context,
    )
    const rejected: Rejection[] = []
    let rows = 0
    try {
      const snapshot = run.plan.snapshot === undefined ? {} : { snapshot: run.plan.snapshot }
      const batch = { rows: batchRows, bytes: 100_000, delayMs: 10_000 }
      for await (const rowsOf of this.source.read({ partition, stream: read, batch, ...snapshot }, this.context)) {
        rejected.push(...rowsOf.rejected, ...(await writer.write(rowsOf, 0, rowsOf.rows)))
        rows += rowsOf.rows + rowsOf.rejected.length
        rowsOf.release()
      }
      const counts = { read: rows, written: rows - rejected.length, filtered: 0, rejected: rejected.length, bytes: 0 }
      await writer.commit({ partition: partition.id, sequence: 1, done: true, counts })
    } catch (error) {
      await writer.abort(error)
      throw error
    }
    return { partition: partition.id, read: rows, rejected }
  }

  /** A whole run of one stream. */
  async move(stream: string, options: MoveOptions = {}): Promise<Moved> {
    const { plan: streamPlan, read } = await this.agree(stream, options)
    const plan = await this.source.plan([read], options.partitionBytes ?? 32_000_000, undefined, this.context)
    const run = await this.run([streamPlan], plan, options.pipeline)
    const done = []
    for (const partition of plan.partitions) done.push(await this.task(run, partition, read, options))
    if (options.finish !== false) await this.destination.finish(run, [stream], this.context)
    const rows = done.reduce((sum, part) => sum + part.read, 0)
    return { rows, rejected: done.flatMap((part) => part.rejected), wire: streamPlan.accepted.wire, run }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.source.close(), this.destination.close()])
  }
}

export function previousOf(plan: Plan, committed: readonly CommittedPartition[]): PreviousPlan {
  return { plan: JSON.parse(JSON.stringify(plan)) as Plan, committed }
}

/** The code that a piece of work fails with. */
export async function codeOf(work: Promise<unknown>): Promise<ErrorCode | undefined> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return isNebulaError(error) ? error.code : undefined
}
