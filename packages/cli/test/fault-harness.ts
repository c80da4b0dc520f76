import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Report } from '@nebula/runtime'
import type { FaultyConnection, FaultyDirection } from '@nebula/testkit'
import { createDatabase, FaultProxy } from '@nebula/testkit'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { vi } from 'vitest'
import type { Outcome } from './crash-harness.ts'
import { query, runNebula } from './crash-harness.ts'
import { nebula } from './harness.ts'

/** Rows of the stream: about 1.3 MB, in partitions of about 200 KB. */
const ROWS = 12_000
const PARTITION_BYTES = 200_000
/** No fault may hold a run up for longer; the limits that the tests set are far below. */
const HANGING_MS = 30_000

/** Of the bytes of the rows: some partitions are committed, some are not begun. */
const MIDDLE_BYTES = 700_000

/** Keys of an end at which every failure is final. */
export const NO_RETRY = { reliability: { max_retries: 0 } }
/** Keys of an end that tries again at once. */
export const RETRIES = { reliability: { max_retries: 3, retry_delay: '10ms' } }
/** So long an end may take to answer. */
export const SHORT_MS = 1_000
/** Keys of an end at which nothing may take longer, and nothing is tried again. */
export const SHORT = {
  ...NO_RETRY,
  // It is added to the limit of a read.
  performance: { flush_interval: '100ms' },
  timeouts: Object.fromEntries(
    ['connection', 'request', 'query_timeout', 'read', 'write'].map((key) => [key, `${SHORT_MS}ms`]),
  ),
}

const TYPES = { id: 'int64', note: 'text', amount: 'decimal(12,2)', day: 'date' }
const TABLE = 'id bigint PRIMARY KEY, note text, amount numeric(12,2), day date'
const ORDERS = `SELECT i AS id, 'note "' || i || '", ' || repeat('x', 40 + i % 60) AS note,
  (i % 100000 / 100.0)::numeric(12,2) AS amount, date '2000-01-01' + i % 9000 AS day FROM generate_series(1, ${ROWS}) i`
/** What the target holds before an append. */
const EXISTING = `SELECT -i AS id, 'there before' AS note, 0::numeric(12,2) AS amount, date '2000-01-01' AS day
  FROM generate_series(1, 100) i`

type Mode = 'overwrite' | 'append'

export interface Route {
  readonly from: 'csv' | 'postgres'
  readonly to: 'csv' | 'postgres'
  readonly mode: Mode
}

/** Keys of the two ends, as in a pipeline file, and of the pipeline itself. */
export interface Settings {
  readonly source?: object
  readonly destination?: object
  readonly pipeline?: object
  /** URLs in place of those of the two databases. */
  readonly sourceUrl?: string
  readonly targetUrl?: string
  /** More of the command line. */
  readonly args?: readonly string[]
}

/** The first thing that went wrong, wherever it is told. */
interface Failure {
  readonly code: string
  readonly message: string
  readonly fix: string
}

export interface FaultyRun extends Outcome {
  readonly failure: Failure | undefined
}

/** One table at a source, one route, and its pipeline file in a folder of its own. */
export class Scene implements AsyncDisposable {
  readonly route: Route
  readonly folder: string
  readonly source: string
  readonly target: string
  readonly #expected: string

  private constructor(route: Route, folder: string, urls: { source: string; target: string }, expected: string) {
    this.route = route
    this.folder = folder
    this.source = urls.source
    this.target = urls.target
    this.#expected = expected
  }

  /** `servers` are those of the source's database and of the target's. */
  static async create(route: Route, servers: { readonly source: string; readonly target: string }): Promise<Scene> {
    const folder = await mkdtemp(join(tmpdir(), 'nebula-faults-'))
    const source = await createDatabase({ url: servers.source })
    const target = await createDatabase({ url: servers.target })
    await query(source, `CREATE TABLE orders (${TABLE}); INSERT INTO orders ${ORDERS}; ANALYZE orders`)
    const expected = await csvOf(source, 'orders')
    if (route.from === 'csv') {
      await mkdir(join(folder, 'in'))
      await writeFile(join(folder, 'in', 'orders.csv'), expected)
    }
    const scene = new Scene(route, folder, { source, target }, expected)
    await scene.reset()
    return scene
  }

  /** Everything as it was before the first run. */
  async reset(): Promise<void> {
    await rm(join(this.folder, 'out'), { recursive: true, force: true })
    await rm(join(this.folder, '.nebula'), { recursive: true, force: true })
    await mkdir(join(this.folder, 'out'))
    if (this.route.to === 'csv') return
    await query(this.target, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    if (this.route.mode === 'append')
      await query(this.target, `CREATE TABLE orders (${TABLE}); INSERT INTO orders ${EXISTING}`)
  }

  /** Writes the pipeline file that `command` runs. */
  async writePipeline(settings: Settings): Promise<void> {
    await writeFile(join(this.folder, 'orders.json'), JSON.stringify(this.#pipeline(settings)))
  }

  /** Runs the command with these settings to its end, in a process of its own. */
  async run(settings: Settings = {}, started?: (child: ChildProcess) => void): Promise<FaultyRun> {
    await this.writePipeline(settings)
    const env = this.#environment(settings)
    const invocation = { args: ['run', 'orders.json', ...(settings.args ?? [])], cwd: this.folder, env }
    const outcome = await runNebula(invocation, HANGING_MS, started)
    if (outcome.milliseconds >= HANGING_MS) throw new Error(`The run hangs. ${outcome.stderr}`)
    return { ...outcome, failure: failureOf(outcome.report) }
  }

  /** Runs the command in this process, which is quicker: for runs to which nothing happens. */
  async runHere(settings: Settings = {}): Promise<FaultyRun> {
    await this.writePipeline(settings)
    Object.assign(process.env, this.#environment(settings))
    const began = performance.now()
    const args = ['run', join(this.folder, 'orders.json'), '--json', ...(settings.args ?? [])]
    const { code, stdout, stderr } = await nebula(...args)
    const report = JSON.parse(stdout) as Report
    return { report, code, stderr, milliseconds: performance.now() - began, failure: failureOf(report) }
  }

  /** The same command again: it ends well, with every row at its place once, and nothing else is left. */
  async rerun(settings: Settings = {}): Promise<FaultyRun> {
    const outcome = await this.runHere(settings)
    this.expectDone(outcome)
    await this.expectSame()
    await this.expectNothingLeft()
    return outcome
  }

  expectDone({ code, failure, stderr }: FaultyRun): void {
    assert.deepEqual({ code, failure }, { code: 0, failure: undefined }, stderr)
  }

  /** Compares source and destination, row by row. */
  async expectSame(): Promise<void> {
    const actual = this.route.to === 'csv' ? await this.#targetFile() : await this.#targetTable()
    assert.deepEqual(firstDifference(actual, this.#expected), undefined)
  }

  /** No session, staging, lock or temporary file of a run that is over. */
  async expectNothingLeft(): Promise<void> {
    for (const url of [this.source, this.target])
      await vi.waitFor(async () => assert.deepEqual(await sessions(url), []), { timeout: 10_000 })
    const tables = await query(
      this.target,
      `SELECT relname FROM pg_class WHERE relname LIKE 'nebula%' AND relkind = 'r'`,
    )
    assert.deepEqual(tables, this.route.to === 'csv' ? [] : [{ relname: 'nebula_checkpoints' }])
    const files = await readdir(this.folder, { recursive: true })
    assert.deepEqual(
      files.filter((name) => /\.(lock|takeover|tmp|staged|run)\b/.test(name)),
      [],
    )
  }

  #environment({ sourceUrl = this.source, targetUrl = this.target }: Settings): Record<string, string> {
    return { SOURCE_URL: sourceUrl, TARGET_URL: targetUrl }
  }

  #pipeline({ source, destination, pipeline }: Settings): object {
    const { from, to, mode } = this.route
    return {
      source: { ...this.#end(from, 'in', 'SOURCE_URL'), advanced: { partition_bytes: PARTITION_BYTES }, ...source },
      destination: { ...this.#end(to, 'out', 'TARGET_URL'), ...destination },
      streams: {
        [from === 'csv' ? 'orders' : 'public.orders']: {
          mode,
          target: to === 'csv' ? 'orders' : 'public.orders',
          ...(from === 'csv' ? { types: TYPES } : {}),
        },
      },
      parallel: 1,
      ...pipeline,
    }
  }

  #end(connector: Route['from'], path: string, variable: string): object {
    return connector === 'csv' ? { connector, path: `./${path}` } : { connector, url: `\${${variable}}` }
  }

  async #targetFile(): Promise<string> {
    const files = (await readdir(join(this.folder, 'out'))).filter((name) => name.endsWith('.csv'))
    assert.equal(files.length, 1)
    return readFile(join(this.folder, 'out', files[0] ?? ''), 'utf8')
  }

  async #targetTable(): Promise<string> {
    const before = await csvOf(this.target, '(SELECT * FROM orders WHERE id < 0)')
    const existing = this.route.mode === 'append' ? `(${EXISTING})` : '(SELECT * FROM orders WHERE false)'
    assert.equal(before, await csvOf(this.target, existing))
    return csvOf(this.target, '(SELECT * FROM orders WHERE id > 0)')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** A route, and which of its ends something happens to. */
export interface FaultyRoute extends Route {
  readonly faulty: 'source' | 'destination'
}

/** A scene whose faulty end is reached through a proxy. */
export class FaultyScene implements AsyncDisposable {
  readonly scene: Scene
  readonly proxy: FaultProxy
  readonly #faulty: FaultyRoute['faulty']

  private constructor(scene: Scene, proxy: FaultProxy, faulty: FaultyRoute['faulty']) {
    this.scene = scene
    this.proxy = proxy
    this.#faulty = faulty
  }

  /** `server` is that of the faulty end, `other` that of the sound one. */
  static async create({ faulty, ...route }: FaultyRoute, server: string, other = server): Promise<FaultyScene> {
    const sourceFails = faulty === 'source'
    const scene = await Scene.create(
      route,
      sourceFails ? { source: server, target: other } : { source: other, target: server },
    )
    return new FaultyScene(scene, await FaultProxy.before(server), faulty)
  }

  /** The direction in which the rows flow. */
  get rows(): FaultyDirection {
    return this.#faulty === 'source' ? this.proxy.toClient : this.proxy.toServer
  }

  /** The direction in which they are asked for. */
  get other(): FaultyDirection {
    return this.#faulty === 'source' ? this.proxy.toServer : this.proxy.toClient
  }

  /** The database of the faulty end, without the proxy. */
  get database(): string {
    return this.#faulty === 'source' ? this.scene.source : this.scene.target
  }

  /** `keys` are for the faulty end; `login` is another user of its database. */
  settings(keys: object, login?: Login): Settings {
    const url = new URL(this.proxy.url(this.database))
    if (login) Object.assign(url, login)
    return this.#faulty === 'source'
      ? { source: keys, sourceUrl: url.href }
      : { destination: keys, targetUrl: url.href }
  }

  run(keys: object, login?: Login): Promise<FaultyRun> {
    return this.scene.run(this.settings(keys, login))
  }

  /** Runs, and does something in the middle of the rows; they wait for it. */
  async runUntil(keys: object, act: Act, login?: Login): Promise<FaultyRun> {
    const running = Promise.withResolvers<ChildProcess>()
    const done = this.rows.after(MIDDLE_BYTES, async (connection) => act(connection, await running.promise))
    const [outcome] = await Promise.all([this.scene.run(this.settings(keys, login), running.resolve), done])
    return outcome
  }

  /** The same command again, without retries: it ends well, and nothing is left. */
  async rerun(login?: Login): Promise<FaultyRun> {
    const outcome = await this.scene.rerun(this.settings(NO_RETRY, login))
    await vi.waitFor(() => assert.equal(this.proxy.connections, 0))
    return outcome
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]()
    await this.scene[Symbol.asyncDispose]()
  }
}

export interface Login {
  readonly username: string
  readonly password: string
}

type Act = (connection: FaultyConnection, run: ChildProcess) => void | Promise<void>

/** The rows of a table as CSV, by id, as the server writes it. */
async function csvOf(url: string, table: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const sql = `COPY (SELECT id, note, amount, day FROM ${table} t ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`
    const chunks: Buffer[] = []
    for await (const chunk of client.query(copyTo(sql))) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks).toString('utf8')
  } finally {
    await client.end()
  }
}

/** Sessions of Nebula in the database of a URL. */
async function sessions(url: string): Promise<unknown[]> {
  return query(
    url,
    `SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND backend_type = 'client backend'`,
  )
}

function failureOf(report: Report | undefined): Failure | undefined {
  const failed = report as (Partial<Report> & { readonly error?: Failure }) | undefined
  return failed?.error ?? failed?.streams?.flatMap(({ error }) => error ?? [])[0]
}

function firstDifference(actual: string, expected: string): object | undefined {
  if (actual === expected) return undefined
  const [left, right] = [actual.split('\n'), expected.split('\n')]
  const line = right.findIndex((text, index) => text !== left[index])
  return { lines: [left.length, right.length], line, actual: left[line], expected: right[line] }
}
