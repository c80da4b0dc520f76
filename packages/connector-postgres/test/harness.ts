import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
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

/** Whose tables, targets and interrupted reads are tested one by one. The suite certifies both in either form. */
export const VERSIONS: readonly ('14' | '18')[] = process.env['NEBULA_FULL'] === '1' ? ['18', '14'] : ['18']

/** The password of the role that tests log in with; nobody else knows it, for the server may be the user's own. */
export const PASSWORD = `cert/S3cret&${randomBytes(9).toString('hex')}`

/** Logs a role of the tests in, by server: a superuser that owns all there is in their databases but the system's own. */
const logins = new Map<string, Promise<URL>>()
/** Databases that are empty again, by server. */
const empty = new Map<string, string[]>()

/** What the server keeps of the password (RFC 5803), of one iteration: hundreds of logins are not to cost thousands each. */
function verifierOf(password: string): string {
  const salt = randomBytes(16)
  const key = (name: string): Buffer =>
    createHmac('sha256', pbkdf2Sync(password, salt, 1, 32, 'sha256'))
      .update(name)
      .digest()
  const stored = createHash('sha256').update(key('Client Key')).digest('base64')
  return `SCRAM-SHA-256$1:${salt.toString('base64')}$${stored}:${key('Server Key').toString('base64')}`
}

async function login(server: string): Promise<URL> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    await client.query(`DO $$ BEGIN CREATE ROLE nebula_tests; EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
    await client.query(`ALTER ROLE nebula_tests SUPERUSER LOGIN PASSWORD '${verifierOf(PASSWORD)}'`)
  } finally {
    await client.end()
  }
  return Object.assign(new URL(server), { username: 'nebula_tests', password: encodeURIComponent(PASSWORD) })
}

/** Whether the database is as a new one, once what the tests' role owned there is gone. */
const IS_EMPTY = `SELECT count(*) = 0 AS empty FROM pg_database d WHERE datname = current_database()
  AND (EXISTS (SELECT FROM pg_shdepend WHERE dbid = d.oid) OR EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = d.oid))`

/** An empty database that nobody else uses meanwhile, with a client for the test itself. */
export class Database implements AsyncDisposable {
  readonly url: string
  /** False once the server has ended the session. */
  connected = true
  readonly #server: string
  readonly #client: pg.Client

  private constructor(server: string, url: string) {
    this.#server = server
    this.url = url
    this.#client = new pg.Client({ connectionString: url })
    this.#client
      .on('error', () => {})
      .on('end', () => {
        this.connected = false
      })
  }

  static async create(server: string, ...statements: string[]): Promise<Database> {
    const loggedIn = logins.get(server) ?? login(server)
    logins.set(server, loggedIn)
    const url = empty.get(server)?.pop() ?? (await createDatabase({ url: (await loggedIn).href }))
    const database = new Database(server, url)
    await database.#client.connect()
    for (const statement of statements) await database.query(statement)
    return database
  }

  /** The same database, by a session that is not ended. */
  async reconnected(): Promise<Database> {
    if (this.connected) return this
    const database = new Database(this.#server, this.url)
    await database.#client.connect()
    return database
  }

  async query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]> {
    return (await this.#client.query(sql, values)).rows as Row[]
  }

  /** Rows of texts, as lists. */
  async texts(sql: string): Promise<(string | null)[][]> {
    return (await this.#client.query({ text: sql, rowMode: 'array' })).rows as (string | null)[][]
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

  /** Ends every other session. They are gone when it returns, and with them what they held: locks, snapshots. */
  async endOthers(): Promise<void> {
    const others = 'FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()'
    // False says that it does not end, or that it has ended by itself meanwhile.
    await this.query(`SELECT pg_terminate_backend(pid, 10000) ${others}`)
    const [left] = await this.query<{ sessions: number }>(`SELECT count(*)::int AS sessions ${others}`)
    if (left?.sessions !== 0) throw new Error('A session does not end.')
  }

  /** A new database costs a hundred times what emptying one does, so the next test gets this one if that succeeds. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.endOthers()
      await this.query('DROP OWNED BY CURRENT_USER CASCADE')
      const [answer] = await this.query<{ empty: boolean }>(IS_EMPTY)
      if (answer?.empty === true) empty.set(this.#server, [...(empty.get(this.#server) ?? []), this.url])
    } catch {
      // The server was killed, or the test left its own session in a transaction that failed: another one is made.
    } finally {
      await this.#client.end()
    }
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

/** The target of what is only read. */
export const NOWHERE = 'nowhere'

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
    const [standing] = target === NOWHERE ? [] : await this.destination.describe([target], this.context)
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

/** What a piece of work fails with. */
export async function failure(work: Promise<unknown>): Promise<NebulaError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isNebulaError(error)) throw new Error('it did not fail')
  return error
}

/** The code that a piece of work fails with. */
export async function codeOf(work: Promise<unknown>): Promise<ErrorCode | undefined> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return isNebulaError(error) ? error.code : undefined
}
