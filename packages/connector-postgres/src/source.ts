import type {
  Catalog,
  Context,
  Plan,
  PreviousPlan,
  ReadStream,
  ReadTask,
  RecordBatch,
  SourceDriver,
} from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import { BINARY_WIRE, TEXT_WIRE, TupleBatches } from '@nebula/formats'
import { SqlEnd } from '@nebula/sql'
import { allTables } from './catalog.ts'
import type { PostgresConfig } from './config.ts'
import type { Session } from './connection.ts'
import { sessionPool } from './connection.ts'
import type { CopyFormat } from './copy.ts'
import { CopyOut } from './copy.ts'
import { postgresError } from './errors.ts'
import { DIGEST } from './digest.ts'
import type { PartitionRange } from './plan.ts'
import { planStreams, selectRange } from './plan.ts'
import { NAMES } from './types.ts'

const WIRE_FORMATS: Readonly<Record<string, CopyFormat>> = { [BINARY_WIRE]: 'binary', [TEXT_WIRE]: 'text', csv: 'csv' }

/** Reads tables and views by COPY, all under the one snapshot that `plan` opens and holds. */
export class PostgresSource extends SqlEnd<Session> implements SourceDriver {
  /** Holds the exported snapshot. */
  #coordinator: Session | undefined

  constructor(config: PostgresConfig) {
    super(sessionPool(config), NAMES.vendor)
  }

  async discover(context: Context): Promise<Catalog> {
    const tables = await this.pool.use(context, (session) => allTables(session))
    const denied = tables.filter((table) => !table.readable).map((table) => NAMES.spell(table))
    const streams = tables
      .filter(({ readable }) => readable)
      .map((table) => ({
        name: NAMES.spell(table),
        schema: { fields: table.columns.map(({ field }) => field) },
        key: table.key,
        rows: table.rows,
        bytes: table.bytes,
        digest: DIGEST,
        filters: ['where', 'native'] as const,
        consistency: 'snapshot' as const,
        wire: table.columns.every(({ binarySafe }) => binarySafe)
          ? [BINARY_WIRE, TEXT_WIRE, 'csv']
          : [TEXT_WIRE, 'csv'],
        ...(table.comment === null ? {} : { comment: table.comment }),
      }))
    return { streams, denied }
  }

  async plan(
    streams: readonly ReadStream[],
    partitionBytes: number,
    previous: PreviousPlan | undefined,
    context: Context,
  ): Promise<Plan> {
    const plan = async (): Promise<Plan> => {
      this.#coordinator?.destroy()
      if (this.#coordinator) this.pool.release(this.#coordinator)
      this.#coordinator = await this.pool.acquire(context)
      return planStreams(this.#coordinator, streams, partitionBytes, previous)
    }
    return context.call(plan, { unbounded: true })
  }

  async *read(task: ReadTask, context: Context): AsyncGenerator<RecordBatch> {
    const session = await this.#session(task, context)
    const copy = new CopyOut({ ...statement(task), limits: task.batch, ...context })
    const stop = (): void => session.destroy()
    context.signal.addEventListener('abort', stop, { once: true })
    const { partition, stream } = task
    const from = { stream: partition.stream, place: partition.id }
    const batches = new TupleBatches({ wire: undefined, ...stream, ...from, pool: context.pool })
    let ended = false
    try {
      session.client.query(copy)
      for (let rows = await copy.next(); rows; rows = await copy.next()) yield batches.make(rows)
      ended = true
    } catch (error) {
      if (context.signal.aborted)
        throw new NebulaError('aborted', { message: 'Reading was interrupted.', cause: error })
      throw postgresError(error).at({ connector: 'postgres', stream: partition.stream, partition: partition.id })
    } finally {
      context.signal.removeEventListener('abort', stop)
      copy.close()
      batches.close()
      if (!ended) session.destroy()
      this.pool.release(session)
    }
  }

  /** A session inside a transaction that sees the task's snapshot; it stays there for the next task. */
  async #session({ snapshot }: ReadTask, context: Context): Promise<Session> {
    const name = typeof snapshot === 'string' ? snapshot : undefined
    const session = await this.pool.acquire(context, name)
    if (name === undefined || session.state === name) return session
    const enter = async (signal: AbortSignal): Promise<Session> => {
      signal.addEventListener('abort', () => session.destroy(), { once: true })
      await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await session.query(`SET TRANSACTION SNAPSHOT '${name.replaceAll("'", "''")}'`)
      session.state = name
      return session
    }
    try {
      return await context.call(enter, { idempotent: false })
    } catch (error) {
      session.destroy()
      this.pool.release(session)
      throw isNebulaError(error) && (error.retryable || error.code === 'aborted') ? error : lostSnapshot(error)
    }
  }
}

function lostSnapshot(cause: unknown): NebulaError {
  return new NebulaError('connection_lost', {
    message: 'The connection that held the snapshot of this run is gone.',
    fix: 'Run the same command again: it goes on where it stopped, where the tables did not change.',
    retryable: false,
    cause,
  })
}

function statement({ stream, partition }: ReadTask): { sql: string; format: CopyFormat; columns: number } {
  const format = stream.wire === undefined ? 'binary' : WIRE_FORMATS[stream.wire]
  if (format === undefined)
    throw new NebulaError('unsupported', { message: `PostgreSQL has no wire format ${stream.wire}.` })
  const sql = `COPY (${selectRange(stream, partition.range as unknown as PartitionRange)}) TO STDOUT (FORMAT ${format})`
  return { sql, format, columns: stream.schema.fields.length }
}
