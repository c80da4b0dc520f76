import type { Checkpoint, Recalled, Run, StreamPlan, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { SqlDialect } from './dialect.ts'
import type { SqlSession } from './session.ts'

/** Raised when what is stored changes its form: newer reads older, older refuses newer. */
const VERSION = 1

/** A run as it is stored; without its checkpoints, which have rows of their own. */
export interface StoredRun {
  readonly run: Run
  readonly finished: readonly string[]
  readonly ended: boolean
}

/**
 * The table beside the targets in which runs and checkpoints are kept. One row per partition; part '' is the run itself,
 * with its id in `stream`; pipeline '' are the tables that Nebula wrote: their id in `part`, their name in `stream`.
 */
export class CheckpointTable<Session extends SqlSession> {
  readonly #dialect: SqlDialect<Session>
  readonly #schema: string
  readonly #table: string

  constructor(dialect: SqlDialect<Session>, schema: string) {
    this.#dialect = dialect
    this.#schema = schema
    this.#table = dialect.names.table({ schema, table: 'nebula_checkpoints' })
  }

  async exists(session: Session): Promise<boolean> {
    const sql = `SELECT 1 FROM (${this.#dialect.tables}) t WHERE t.schema = ? AND t.name = 'nebula_checkpoints'`
    return (await this.#query(session, sql, [this.#schema])).length > 0
  }

  /** The staging tables that stand, of all pipelines, as they are spelled in SQL. */
  async staged(session: Session): Promise<ReadonlySet<string>> {
    const { names, tables } = this.#dialect
    const sql = `SELECT t.schema, t.name FROM (${tables}) t WHERE t.name LIKE 'nebula_stage_%'`
    const rows = await session.query<{ schema: string; name: string }>(sql)
    return new Set(rows.map(({ schema, name }) => names.table({ schema, table: name })))
  }

  /** Inside a transaction: waits for other runs that create objects here, then creates schema and table. */
  async create(session: Session): Promise<void> {
    const { key, number, content } = this.#dialect.checkpointTypes
    await this.#dialect.lockSchema(session, this.#schema)
    await createSchema(session, this.#dialect, this.#schema)
    await session.execute(`CREATE TABLE IF NOT EXISTS ${this.#table} (pipeline ${key}, part ${key}, epoch ${number},
      sequence ${number}, stream ${key}, generation ${number}, content ${content}, PRIMARY KEY (pipeline, part))`)
  }

  async recall(session: Session, pipeline: string): Promise<Recalled | undefined> {
    if (!(await this.exists(session))) return undefined
    const rows = await this.#query<{ part: string; content: unknown }>(
      session,
      `SELECT part, content FROM ${this.#table} WHERE pipeline = ? ORDER BY part`,
      [pipeline],
    )
    const run = rows.find(({ part }) => part === '')
    if (!run) return undefined
    const { version, ...stored } = run.content as StoredRun & { readonly version: number }
    if (version > VERSION) {
      const message = `${this.#table} has version ${version}; this Nebula reads up to ${VERSION}.`
      throw new NebulaError('state_newer', { message, place: this.#table })
    }
    return { ...stored, checkpoints: rows.flatMap(({ part, content }) => (part === '' ? [] : [content as Checkpoint])) }
  }

  /** Locks the run's row. Throws `fenced` when a newer run has taken over; undefined when there is none. */
  async lock(session: Session, { pipeline, id, epoch }: Run): Promise<StoredRun | undefined> {
    const row = await this.#runRow(session, pipeline, 'FOR UPDATE')
    if (row && (Number(row.epoch) > epoch || (Number(row.epoch) === epoch && row.stream !== id))) throw fenced()
    return row?.content
  }

  /** Replaces the run's row, which is locked or not there. */
  async store(session: Session, stored: StoredRun): Promise<void> {
    const { pipeline, epoch, id } = stored.run
    const values = [epoch, id, JSON.stringify({ version: VERSION, ...stored }), pipeline]
    const update = `UPDATE ${this.#table} SET epoch = ?, stream = ?, content = ? WHERE pipeline = ? AND part = ''`
    if ((await this.#execute(session, update, values)) > 0) return
    const insert = `INSERT INTO ${this.#table} (epoch, stream, content, pipeline, part, sequence) VALUES (?, ?, ?, ?, '', 0)`
    await this.#execute(session, insert, values)
  }

  /** Inside the transaction of the rows. Throws `fenced` or `already_committed`. */
  async commit(session: Session, { run, partition, stream }: WriteTask, checkpoint: Checkpoint): Promise<void> {
    const row = await this.#runRow(session, run.pipeline, this.#dialect.shareLock)
    if (Number(row?.epoch) !== run.epoch || row?.stream !== run.id) throw fenced()
    const { sequence } = checkpoint
    const content = JSON.stringify(checkpoint)
    const found = await this.#query<{ sequence: string }>(
      session,
      `SELECT sequence FROM ${this.#table} WHERE pipeline = ? AND part = ? FOR UPDATE`,
      [run.pipeline, partition.id],
    )
    if (found[0] && Number(found[0].sequence) >= sequence) throw alreadyCommitted(partition.id)
    const sql = found[0]
      ? `UPDATE ${this.#table} SET epoch = ?, sequence = ?, stream = ?, generation = ?, content = ? WHERE pipeline = ? AND part = ?`
      : `INSERT INTO ${this.#table} (epoch, sequence, stream, generation, content, pipeline, part) VALUES (?, ?, ?, ?, ?, ?, ?)`
    const values = [run.epoch, sequence, partition.stream, stream.generation, content, run.pipeline, partition.id]
    await this.#execute(session, sql, values)
  }

  /** Whether a commit whose answer was lost took place. */
  async committed(session: Session, { run, partition }: WriteTask, { sequence }: Checkpoint): Promise<boolean> {
    const sql = `SELECT 1 FROM ${this.#table} WHERE pipeline = ? AND part = ? AND epoch = ? AND sequence = ?`
    return (await this.#query(session, sql, [run.pipeline, partition.id, run.epoch, sequence])).length > 0
  }

  /** Forgets the checkpoints of streams; with `keep`, only those of other generations. */
  async forget(session: Session, pipeline: string, streams: readonly StreamPlan[], keep: boolean): Promise<void> {
    for (const { request, generation } of streams) {
      await this.#execute(
        session,
        `DELETE FROM ${this.#table} WHERE pipeline = ? AND part <> '' AND stream = ? AND generation <> ?`,
        [pipeline, request.stream, keep ? generation : -1],
      )
    }
  }

  /** Forgets every checkpoint of a pipeline, and with `run` the run too. */
  async forgetAll(session: Session, pipeline: string, run: boolean): Promise<void> {
    const some = run ? '' : ` AND part <> ''`
    await this.#execute(session, `DELETE FROM ${this.#table} WHERE pipeline = ?${some}`, [pipeline])
  }

  /** Remembers that every row of a table is Nebula's. */
  async own(session: Session, name: string, id: string): Promise<void> {
    await this.#execute(session, `DELETE FROM ${this.#table} WHERE pipeline = '' AND (stream = ? OR part = ?)`, [
      name,
      id,
    ])
    await this.#execute(session, `INSERT INTO ${this.#table} (pipeline, part, stream) VALUES ('', ?, ?)`, [id, name])
  }

  /** The ids of tables that Nebula wrote, by their names. */
  async owned(session: Session): Promise<ReadonlyMap<string, string>> {
    if (!(await this.exists(session))) return new Map()
    const sql = `SELECT part, stream FROM ${this.#table} WHERE pipeline = ''`
    const rows = await session.query<{ part: string; stream: string }>(sql)
    return new Map(rows.map(({ part, stream }) => [stream, part]))
  }

  async #runRow(
    session: Session,
    pipeline: string,
    lock: string,
  ): Promise<{ epoch: string; stream: string; content: StoredRun } | undefined> {
    const sql = `SELECT epoch, stream, content FROM ${this.#table} WHERE pipeline = ? AND part = '' ${lock}`
    return (await this.#query<{ epoch: string; stream: string; content: StoredRun }>(session, sql, [pipeline]))[0]
  }

  #query<Row>(session: Session, sql: string, values: readonly unknown[]): Promise<Row[]> {
    return session.query<Row>(this.#numbered(sql), values)
  }

  #execute(session: Session, sql: string, values: readonly unknown[]): Promise<number> {
    return session.execute(this.#numbered(sql), values)
  }

  /** Every `?` as the dialect has it. */
  #numbered(sql: string): string {
    let place = 0
    return sql.replaceAll('?', () => this.#dialect.parameter(++place))
  }
}

/** Creates a schema that is missing; asking first, because creating needs a privilege even where it exists. */
export async function createSchema<Session extends SqlSession>(
  session: Session,
  { names, parameter }: SqlDialect<Session>,
  schema: string,
): Promise<void> {
  const sql = `SELECT 1 FROM information_schema.schemata WHERE schema_name = ${parameter(1)}`
  if ((await session.query(sql, [schema])).length > 0) return
  await session.execute(`CREATE SCHEMA IF NOT EXISTS ${names.quote(schema)}`)
}

function fenced(): NebulaError {
  return new NebulaError('fenced', { message: 'A newer run of this pipeline has taken over.' })
}

function alreadyCommitted(partition: string): NebulaError {
  return new NebulaError('already_committed', { message: `Partition ${partition} was already committed.` })
}
