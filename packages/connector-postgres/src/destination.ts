import type {
  Acceptance,
  Context,
  DestinationDriver,
  Recalled,
  Run,
  Schema,
  StreamPlan,
  StreamRequest,
  TargetInfo,
  Writer,
  WriteTask,
} from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { acceptStream, columnsDdl } from './accept.ts'
import type { Table } from './catalog.ts'
import { namedTables } from './catalog.ts'
import type { PostgresConfig } from './config.ts'
import type { Session } from './connection.ts'
import { SessionPool } from './connection.ts'
import { moveIntoTarget } from './finish.ts'
import { parseTable, quote, quoteTable } from './names.ts'
import type { StoredRun } from './state.ts'
import { createSchema, stagingTable, State } from './state.ts'
import { PostgresWriter } from './writer.ts'

/** Loads every stream into a staging table, and moves all of it into the target in one transaction. */
export class PostgresDestination implements DestinationDriver {
  readonly #pool: SessionPool
  readonly #state: State
  readonly #schema: string

  constructor(config: PostgresConfig) {
    this.#pool = new SessionPool(config)
    this.#state = new State(config.schema)
    this.#schema = config.schema
  }

  async open(context: Context): Promise<void> {
    await this.ping(context)
  }

  async ping(context: Context): Promise<void> {
    await this.#pool.use(context, (session, signal) => session.query('SELECT 1', undefined, signal))
  }

  async close(): Promise<void> {
    await this.#pool.close()
  }

  async describe(targets: readonly string[], context: Context): Promise<(TargetInfo | undefined)[]> {
    const names = targets.map((target) => parseTable(target, this.#schema))
    return this.#pool.use(context, async (session) => {
      const tables = new Map((await namedTables(session, names)).map((table) => [quoteTable(table), table]))
      const owned = await this.#state.owned(session)
      const found: (TargetInfo | undefined)[] = []
      for (const name of names) {
        const table = tables.get(quoteTable(name))
        found.push(table && (await describeTable(session, table, owned)))
      }
      return found
    })
  }

  accept(request: StreamRequest, schema: Schema, wire: readonly string[], target?: TargetInfo): Acceptance {
    return acceptStream(request, schema, wire, target?.schema)
  }

  async recall(pipeline: string, context: Context): Promise<Recalled | undefined> {
    return this.#pool.use(context, (session) => this.#state.recall(session, pipeline))
  }

  async prepare(run: Run, context: Context): Promise<void> {
    await this.#pool.use(context, (session) =>
      session.transaction('READ WRITE', async () => {
        const state = this.#state
        await state.create(session)
        const before = await state.lock(session, run)
        const same = before?.run.id === run.id
        const finished = same ? before.finished : []
        if (same) await state.forget(session, run.pipeline, run.streams, true)
        else await state.forgetAll(session, run.pipeline, false)
        const staging = new Set(run.streams.map((stream) => quoteTable(stagingTable(run, stream, this.#schema))))
        for (const stream of before?.run.streams ?? []) {
          const table = quoteTable(stagingTable(before?.run ?? run, stream, this.#schema))
          if (!staging.has(table)) await session.query(`DROP TABLE IF EXISTS ${table}`)
        }
        for (const stream of run.streams) {
          if (!finished.includes(stream.request.stream)) await this.#stage(session, run, stream)
        }
        await state.store(session, run, finished)
      }),
    )
  }

  async writer(task: WriteTask, context: Context): Promise<Writer> {
    return new PostgresWriter(task, { pool: this.#pool, state: this.#state, defaultSchema: this.#schema, context })
  }

  async finish(run: Run, streams: readonly string[], context: Context): Promise<void> {
    await this.#exclusively(run, context, async (session, before) => {
      const finished = [...(before?.finished ?? [])]
      const moved = run.streams.filter(
        ({ request: { stream } }) => streams.includes(stream) && !finished.includes(stream),
      )
      for (const stream of moved) {
        const target = parseTable(stream.target, this.#schema)
        const move = { stream, target, staging: stagingTable(run, stream, this.#schema) }
        if (await moveIntoTarget(session, move)) await this.#state.own(session, quoteTable(target))
        finished.push(stream.request.stream)
      }
      await this.#state.forget(session, run.pipeline, moved, false)
      await this.#state.store(session, run, finished)
    })
  }

  async end(run: Run, context: Context): Promise<void> {
    await this.#exclusively(run, context, async (session, before) => {
      if (before) await this.#state.store(session, run, before.finished, true)
    })
  }

  async discard(run: Run, streams: readonly string[], context: Context): Promise<void> {
    await this.#exclusively(run, context, async (session, before) => {
      const dropped = run.streams.filter(({ request }) => streams.includes(request.stream))
      for (const stream of dropped) {
        await session.query(`DROP TABLE IF EXISTS ${quoteTable(stagingTable(run, stream, this.#schema))}`)
      }
      if (before?.run.id !== run.id) return
      await this.#state.forget(session, run.pipeline, dropped, false)
      const left = run.streams.filter(
        ({ request: { stream } }) => !streams.includes(stream) && !before.finished.includes(stream),
      )
      if (left.length === 0) await this.#state.forgetAll(session, run.pipeline, true)
    })
  }

  /** One transaction that may take long, with the run's row locked. Nothing where there is no checkpoint table. */
  async #exclusively(
    run: Run,
    context: Context,
    work: (session: Session, before: StoredRun | undefined) => Promise<void>,
  ): Promise<void> {
    const session = await context.call((signal) => this.#pool.acquire(signal))
    const stop = (): void => session.destroy()
    context.signal.addEventListener('abort', stop, { once: true })
    try {
      await session.transaction('READ WRITE', async () => {
        if (await this.#state.exists(session)) await work(session, await this.#state.lock(session, run))
      })
    } catch (error) {
      if (context.signal.aborted)
        throw new NebulaError('aborted', { message: 'The work was interrupted.', cause: error })
      throw error
    } finally {
      context.signal.removeEventListener('abort', stop)
      this.#pool.release(session)
    }
  }

  /** Creates what a stream's staging table needs, and the table itself; with the target's constraints where it stands. */
  async #stage(session: Session, run: Run, stream: StreamPlan): Promise<void> {
    const target = parseTable(stream.target, this.#schema)
    const staging = quoteTable(stagingTable(run, stream, this.#schema))
    const [found] = await session.query<{ target: boolean; staging: boolean }>(
      'SELECT to_regclass($1) IS NOT NULL AS target, to_regclass($2) IS NOT NULL AS staging',
      [quoteTable(target), staging],
    )
    if (found?.staging) return
    await createSchema(session, target.schema)
    for (const definition of stream.schema.fields.flatMap(({ requires }) => requires ?? []))
      await require(session, definition)
    const { fields } = stream.schema
    if (!found?.target) {
      await session.query(`CREATE TABLE ${staging} (${columnsDdl(stream.schema, stream.accepted.columns).join(', ')})`)
      return
    }
    await session.query(`CREATE TABLE ${staging} (LIKE ${quoteTable(target)} INCLUDING CONSTRAINTS INCLUDING STORAGE)`)
    const extra = await session.query<{ name: string }>(
      `SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attname <> ALL ($2)`,
      [staging, fields.map(({ name }) => name)],
    )
    if (extra.length > 0) {
      await session.query(`ALTER TABLE ${staging} ${extra.map(({ name }) => `DROP COLUMN ${quote(name)}`).join(', ')}`)
    }
  }
}

/** A schema or type that columns need, unless it is there. */
async function require(session: Session, { name, ddl }: { name: string; ddl: string }): Promise<void> {
  const schema = name.startsWith('SCHEMA ')
  const [row] = await session.query<{ found: boolean }>(
    `SELECT ${schema ? 'to_regnamespace' : 'to_regtype'}($1) IS NOT NULL AS found`,
    [schema ? name.slice(7) : name],
  )
  if (!row?.found) await session.query(ddl)
}

async function describeTable(session: Session, table: Table, owned: ReadonlySet<number>): Promise<TargetInfo> {
  if (table.kind !== 'r' && table.kind !== 'p') {
    throw new NebulaError('target_incompatible', {
      message: `The target ${quoteTable(table)} is a view or a foreign table.`,
      fix: 'Give the stream a target of another name.',
    })
  }
  const rows = owned.has(table.oid) ? [] : await session.query(`SELECT 1 FROM ${quoteTable(table)} LIMIT 1`)
  // A column that the server fills in may be left out, so it is no obstacle that it is NOT NULL.
  const fields = table.columns.map(({ field, filled }) => (filled ? { ...field, nullable: true } : field))
  return { schema: { fields }, foreignRows: rows.length > 0 }
}
