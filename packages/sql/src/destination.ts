import type { Pool, Pooled } from '@nebula/base'
import type {
  Acceptance,
  Context,
  DestinationDriver,
  ReadBack,
  Recalled,
  RecordBatch,
  Run,
  Schema,
  StreamPlan,
  StreamRequest,
  TargetCheck,
  TargetInfo,
  TargetRequest,
  Writer,
  WriteTask,
} from '@nebula/core'
import { isNebulaError, MODES, NebulaError } from '@nebula/core'
import { acceptStream } from './accept.ts'
import { checkTargets } from './check-targets.ts'
import type { StoredRun } from './checkpoint-table.ts'
import { CheckpointTable } from './checkpoint-table.ts'
import type { Move, SqlDialect } from './dialect.ts'
import type { SqlSession } from './session.ts'
import { SqlEnd } from './sql-end.ts'
import { refuseRepeatedKeys } from './repeated-keys.ts'
import { stagingTable } from './staging.ts'
import { SweepTransaction } from './sweep.ts'
import { SqlWriter } from './writer.ts'

/**
 * Loads every stream into a staging table, and moves all of it into the target in one transaction. Run and checkpoints
 * are kept in a table beside the targets.
 */
export class SqlDestination<Session extends SqlSession & Pooled> extends SqlEnd<Session> implements DestinationDriver {
  readonly modes = MODES
  readonly #dialect: SqlDialect<Session>
  readonly #checkpoints: CheckpointTable<Session>
  readonly #schema: string
  /** Staging tables that hold rows of the checkpoints that were recalled. */
  readonly #reliedOn = new Set<string>()

  /** `schema` is that of targets that name none, and of the checkpoint table. */
  constructor(pool: Pool<Session>, dialect: SqlDialect<Session>, schema: string) {
    super(pool, dialect.names.vendor)
    this.#dialect = dialect
    this.#checkpoints = new CheckpointTable(dialect, schema)
    this.#schema = schema
  }

  async check(requests: readonly TargetRequest[], context: Context): Promise<TargetCheck[]> {
    return this.pool.use(context, (session) => checkTargets(this.#dialect, session, this.#schema, requests))
  }

  async describe(targets: readonly string[], context: Context): Promise<(TargetInfo | undefined)[]> {
    const { names } = this.#dialect
    const tables = targets.map((target) => names.parse(target, this.#schema))
    return this.pool.use(context, async (session) => {
      const owned = await this.#checkpoints.owned(session)
      const infos: (TargetInfo | undefined)[] = []
      for (const table of await this.#dialect.describe(session, tables)) {
        if (!table) {
          infos.push(undefined)
          continue
        }
        const name = names.table(table)
        const ours = owned.get(name) === table.id
        const rows = ours ? [] : await anyRow(session, name)
        infos.push({ schema: table.columns, foreignRows: rows.length > 0, uniqueKeys: table.uniqueKeys })
      }
      return infos
    })
  }

  readBack(target: string): ReadBack {
    const { names } = this.#dialect
    return { stream: names.spell(names.parse(target, this.#schema)) }
  }

  accept(request: StreamRequest, schema: Schema, wire: readonly string[], target?: TargetInfo): Acceptance {
    const { types, names } = this.#dialect
    return acceptStream(types, names, { request, schema, wire, standing: target?.schema })
  }

  async recall(pipeline: string, context: Context): Promise<Recalled | undefined> {
    return this.pool.use(context, async (session) => {
      const recalled = await this.#checkpoints.recall(session, pipeline)
      return recalled && this.#withoutLost(session, recalled)
    })
  }

  async prepare(run: Run, context: Context): Promise<void> {
    const checkpoints = this.#checkpoints
    await this.pool.use(context, (session) =>
      session.transaction(async () => {
        await checkpoints.create(session)
        const before = await checkpoints.lock(session, run)
        const same = before?.run.id === run.id
        const finished = same ? before.finished : []
        if (same) await checkpoints.forget(session, run.pipeline, run.streams, true)
        else await checkpoints.forgetAll(session, run.pipeline, false)
        const kept = new Set(run.streams.map((stream) => this.#staging(run, stream)))
        for (const stream of before?.run.streams ?? []) {
          const table = this.#staging(before?.run ?? run, stream)
          if (!kept.has(table)) await session.execute(`DROP TABLE IF EXISTS ${table}`)
        }
        const staged = await checkpoints.staged(session)
        for (const stream of run.streams) {
          if (finished.includes(stream.request.stream)) continue
          const table = this.#staging(run, stream)
          if (!staged.has(table)) {
            if (this.#reliedOn.has(table)) throw lostStaging(table)
            // It may be that this user only does not see it: then nothing may be forgotten, and this fails.
            await session.execute(`DROP TABLE IF EXISTS ${table}`)
            await checkpoints.forget(session, run.pipeline, [stream], false)
          }
          await this.#dialect.stage(session, this.#move(run, stream))
        }
        await checkpoints.store(session, { run, finished, ended: false })
      }),
    )
  }

  async writer(task: WriteTask, context: Context): Promise<Writer> {
    const { staging } = this.#move(task.run, task.stream)
    const loader = this.#dialect.loader(task, staging, context)
    const { toError } = this.#dialect
    return new SqlWriter(task, loader, { pool: this.pool, checkpoints: this.#checkpoints, context, toError })
  }

  async finish(run: Run, streams: readonly string[], context: Context): Promise<void> {
    const { names } = this.#dialect
    await this.#exclusively(run, context, async (session, before) => {
      const finished = [...(before?.finished ?? [])]
      const moved = run.streams.filter(({ request }) => {
        return streams.includes(request.stream) && !finished.includes(request.stream)
      })
      for (const stream of moved) {
        const move = this.#move(run, stream)
        if (stream.request.mode === 'merge') await refuseRepeatedKeys(session, names, move)
        const id = await this.#dialect.moveIntoTarget(session, move)
        if (id !== undefined) await this.#checkpoints.own(session, this.#dialect.names.table(move.target), id)
        finished.push(stream.request.stream)
      }
      await this.#checkpoints.forget(session, run.pipeline, moved, false)
      await this.#checkpoints.store(session, { run, finished, ended: false })
    })
  }

  async sweep(run: Run, stream: StreamPlan, keys: AsyncIterable<RecordBatch>, context: Context): Promise<number> {
    const sweep = new SweepTransaction(this.#dialect, this.#checkpoints, {
      run,
      move: this.#move(run, stream),
      context,
    })
    const options = { unbounded: true, idempotent: false }
    return this.pool.use(context, (session) => session.transaction(() => sweep.run(session, keys)), options)
  }

  async end(run: Run, context: Context): Promise<void> {
    await this.#exclusively(run, context, async (session, before) => {
      if (before) await this.#checkpoints.store(session, { ...before, ended: true })
    })
  }

  async discard(run: Run, streams: readonly string[], context: Context): Promise<void> {
    await this.#exclusively(run, context, async (session, before) => {
      const dropped = run.streams.filter(({ request }) => streams.includes(request.stream))
      for (const stream of dropped) await session.execute(`DROP TABLE IF EXISTS ${this.#staging(run, stream)}`)
      if (before?.run.id !== run.id) return
      await this.#checkpoints.forget(session, run.pipeline, dropped, false)
      // Streams that are in their targets keep the run: going on with it does not load them again.
      if (dropped.length === run.streams.length) await this.#checkpoints.forgetAll(session, run.pipeline, true)
    })
  }

  /** Without checkpoints whose rows are gone, because somebody dropped their staging table. */
  async #withoutLost(session: Session, recalled: Recalled): Promise<Recalled> {
    this.#reliedOn.clear()
    if (recalled.checkpoints.length === 0) return recalled
    const { run } = recalled
    const staged = await this.#checkpoints.staged(session)
    const kept = new Set<string>()
    for (const stream of run.streams) {
      const table = this.#staging(run, stream)
      if (!staged.has(table)) continue
      this.#reliedOn.add(table)
      kept.add(stream.request.stream)
    }
    const lost = run.plan.partitions.filter(({ stream }) => !kept.has(stream))
    const gone = new Set(lost.map(({ id }) => id))
    return { ...recalled, checkpoints: recalled.checkpoints.filter(({ partition }) => !gone.has(partition)) }
  }

  #move(run: Run, stream: StreamPlan): Move {
    const { names } = this.#dialect
    const target = names.parse(stream.target, this.#schema)
    return { stream, target, staging: stagingTable(names, run, stream, this.#schema) }
  }

  #staging(run: Run, stream: StreamPlan): string {
    return this.#dialect.names.table(this.#move(run, stream).staging)
  }

  /** One transaction that may take long, with the run's row locked. Nothing where there is no checkpoint table. */
  async #exclusively(
    run: Run,
    context: Context,
    work: (session: Session, before: StoredRun | undefined) => Promise<void>,
  ): Promise<void> {
    const exclusively = (session: Session): Promise<void> =>
      session.transaction(async () => {
        if (await this.#checkpoints.exists(session)) await work(session, await this.#checkpoints.lock(session, run))
      })
    await this.pool.use(context, exclusively, { unbounded: true })
  }
}

/** None of a table that the user may not look into: that is told as a missing privilege. */
async function anyRow(session: SqlSession, table: string): Promise<unknown[]> {
  try {
    return await session.query(`SELECT 1 FROM ${table} LIMIT 1`)
  } catch (error) {
    if (isNebulaError(error, 'permission_denied')) return []
    throw error
  }
}

function lostStaging(table: string): NebulaError {
  return new NebulaError('conflict', { message: `Somebody dropped ${table} while the run was about to go on.` })
}
