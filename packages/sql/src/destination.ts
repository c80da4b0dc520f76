import type { Places, Pool, Pooled, StagedStream, StandingTarget, Sweep } from '@nebula/base'
import { StagedDestination } from '@nebula/base'
import type {
  Acceptance,
  Context,
  ReadBack,
  Schema,
  StreamRequest,
  TargetCheck,
  TargetInfo,
  TargetRequest,
  Writer,
  WriteTask,
} from '@nebula/core'
import { isNebulaError } from '@nebula/core'
import { acceptStream } from './accept.ts'
import { checkTargets } from './check-targets.ts'
import { CheckpointTable } from './checkpoint-table.ts'
import type { Move, SqlDialect } from './dialect.ts'
import type { TableName } from './names.ts'
import { refuseRepeatedKeys } from './repeated-keys.ts'
import type { SqlSession } from './session.ts'
import { SqlEnd } from './sql-end.ts'
import { SweepTransaction } from './sweep.ts'
import { SqlWriter } from './writer.ts'

/** Loads every stream into a staging table, and moves all of it into the target in one transaction. */
export class SqlDestination<Session extends SqlSession & Pooled> extends StagedDestination<Session, TableName> {
  readonly #pool: Pool<Session>
  readonly #dialect: SqlDialect<Session>
  readonly #schema: string

  /** `schema` is that of targets that name none, and of the checkpoint table. */
  constructor(pool: Pool<Session>, dialect: SqlDialect<Session>, schema: string) {
    super(new SqlEnd(pool, dialect.names.vendor), new CheckpointTable(dialect, schema), schema)
    this.#pool = pool
    this.#dialect = dialect
    this.#schema = schema
  }

  async check(requests: readonly TargetRequest[], context: Context): Promise<TargetCheck[]> {
    return this.#pool.use(context, (session) => checkTargets(this.#dialect, session, this.#schema, requests))
  }

  readBack(target: string): ReadBack {
    const { names } = this.#dialect
    return { stream: names.spell(names.parse(target, this.#schema)) }
  }

  accept(request: StreamRequest, schema: Schema, wire: readonly string[], target?: TargetInfo): Acceptance {
    const { types, names } = this.#dialect
    return acceptStream(types, names, { request, schema, wire, standing: target?.schema })
  }

  async writer(task: WriteTask, context: Context): Promise<Writer> {
    const { toError } = this.#dialect
    const loader = this.#dialect.loader(task, this.#move(task).staging, context)
    return new SqlWriter(task, loader, { pool: this.#pool, checkpoints: this.checkpoints, context, toError })
  }

  protected readonly work: StagedDestination<Session, TableName>['work'] = (context, _doing, work, options) => {
    const transaction = (session: Session): ReturnType<typeof work> => session.transaction(() => work(session))
    return this.#pool.use(context, options?.looks ? work : transaction, options)
  }

  protected async standing(session: Session, targets: readonly string[]): Promise<(StandingTarget | undefined)[]> {
    const { names } = this.#dialect
    const tables = targets.map((target) => names.parse(target, this.#schema))
    return (await this.#dialect.describe(session, tables)).map((table) => {
      if (!table) return undefined
      const { id, columns: schema, uniqueKeys } = table
      const name = names.table(table)
      return { name, id, info: { schema, uniqueKeys }, hasRows: () => hasRows(session, name) }
    })
  }

  protected async staged(session: Session, prefix: string): Promise<Places<TableName>> {
    const sql = `SELECT t.schema, t.name FROM (${this.#dialect.tables}) t WHERE t.name LIKE '${prefix}%'`
    const tables = await session.query<{ schema: string; name: string }>(sql)
    return new Map(tables.map(({ schema, name }) => [name, { schema, table: name }]))
  }

  protected async stage(session: Session, staged: StagedStream, found: TableName | undefined): Promise<void> {
    const move = this.#move(staged)
    // It may be that this user only does not see it: then nothing may be forgotten, and this fails.
    if (!found) await this.drop(session, move.staging)
    await this.#dialect.stage(session, move)
  }

  protected async drop(session: Session, table: TableName): Promise<void> {
    await session.execute(`DROP TABLE IF EXISTS ${this.#dialect.names.table(table)}`)
  }

  protected async move(session: Session, staged: StagedStream): Promise<void> {
    const { names } = this.#dialect
    const move = this.#move(staged)
    if (staged.stream.request.mode === 'merge') await refuseRepeatedKeys(session, names, move)
    const id = await this.#dialect.moveIntoTarget(session, move)
    if (id !== undefined) await this.checkpoints.own(session, names.table(move.target), id)
  }

  protected sweepTarget(session: Session, sweep: Sweep): Promise<number> {
    const { target } = this.#move(sweep)
    // An overtaken process may be at work on a table of its own.
    const loaded = { ...target, table: sweep.name }
    return new SweepTransaction(this.#dialect, this.checkpoints, { ...sweep, target, loaded }).run(session)
  }

  #move({ run, stream }: StagedStream): Move {
    const target = this.#dialect.names.parse(stream.target, this.#schema)
    return { stream, target, staging: { ...target, table: this.stagingName({ run, stream }) } }
  }
}

/** None in a table that the user may not look into: that is told as a missing privilege. */
async function hasRows(session: SqlSession, table: string): Promise<boolean> {
  try {
    return (await session.query(`SELECT 1 FROM ${table} LIMIT 1`)).length > 0
  } catch (error) {
    if (isNebulaError(error, 'permission_denied')) return false
    throw error
  }
}
