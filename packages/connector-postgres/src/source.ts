import type {
  Catalog,
  ColumnBuilder,
  Context,
  PreviousPlan,
  Plan,
  ReadStream,
  ReadTask,
  RecordBatch,
  SourceDriver,
} from '@nebula/core'
import { columnBuilder, createBatch, NebulaError } from '@nebula/core'
import { readableTables, tableSchema } from './catalog.ts'
import type { PostgresConfig } from './config.ts'
import type { Session } from './connection.ts'
import { SessionPool } from './connection.ts'
import type { CopiedRows, CopyFormat } from './copy.ts'
import { CopyOut } from './copy.ts'
import { decodeTuples } from './decode.ts'
import { postgresError } from './errors.ts'
import { streamName } from './names.ts'
import type { PartitionRange } from './plan.ts'
import { planStreams, selectRange } from './plan.ts'
import { BINARY_WIRE, TEXT_WIRE } from './types.ts'

const WIRE_FORMATS: Readonly<Record<string, CopyFormat>> = { [BINARY_WIRE]: 'binary', [TEXT_WIRE]: 'text', csv: 'csv' }

/** Reads tables and views by COPY, all under the one snapshot that `plan` opens and holds. */
export class PostgresSource implements SourceDriver {
  readonly #pool: SessionPool
  /** Holds the exported snapshot. */
  #coordinator: Session | undefined

  constructor(config: PostgresConfig) {
    this.#pool = new SessionPool(config)
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

  async discover(context: Context): Promise<Catalog> {
    const tables = await this.#pool.use(context, (session) => readableTables(session))
    const streams = tables.map((table) => ({
      name: streamName(table),
      schema: tableSchema(table),
      key: table.key,
      rows: table.rows,
      bytes: table.bytes,
      wire: table.columns.every(({ binarySafe }) => binarySafe) ? [BINARY_WIRE, TEXT_WIRE, 'csv'] : [TEXT_WIRE, 'csv'],
      ...(table.comment === null ? {} : { comment: table.comment }),
    }))
    return { streams }
  }

  async plan(
    streams: readonly ReadStream[],
    partitionBytes: number,
    previous: PreviousPlan | undefined,
    context: Context,
  ): Promise<Plan> {
    if (this.#coordinator) {
      this.#coordinator.destroy()
      this.#pool.release(this.#coordinator)
    }
    const coordinator = await this.#pool.acquire(context.signal)
    this.#coordinator = coordinator
    return planStreams(coordinator, streams, partitionBytes, previous)
  }

  async *read(task: ReadTask, context: Context): AsyncGenerator<RecordBatch> {
    const session = await this.#session(task, context)
    const copy = new CopyOut({ ...statement(task), limits: task.batch, pool: context.pool, signal: context.signal })
    const stop = (): void => session.destroy()
    context.signal.addEventListener('abort', stop, { once: true })
    const batches = new BatchMaker(task, context)
    let ended = false
    try {
      session.client.query(copy)
      for (let rows = await copy.next(); rows; rows = await copy.next()) yield batches.make(rows)
      ended = true
    } catch (error) {
      if (context.signal.aborted)
        throw new NebulaError('aborted', { message: 'Reading was interrupted.', cause: error })
      throw postgresError(error).at({ stream: task.partition.stream, partition: task.partition.id })
    } finally {
      context.signal.removeEventListener('abort', stop)
      copy.close()
      if (!ended) session.destroy()
      this.#pool.release(session)
    }
  }

  /** A session inside a transaction that sees the task's snapshot; it stays there for the next task. */
  async #session({ snapshot }: ReadTask, context: Context): Promise<Session> {
    const name = typeof snapshot === 'string' ? snapshot : undefined
    return context.call(async (signal) => {
      const session = await this.#pool.acquire(signal, name)
      try {
        if (name !== undefined && session.snapshot !== name) {
          await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', undefined, signal)
          await session.query(`SET TRANSACTION SNAPSHOT '${name.replaceAll("'", '')}'`, undefined, signal)
          session.snapshot = name
        }
        return session
      } catch (error) {
        session.destroy()
        this.#pool.release(session)
        throw error
      }
    })
  }
}

function statement({ stream, partition }: ReadTask): { sql: string; format: CopyFormat; columns: number } {
  const format = stream.wire === undefined ? 'binary' : WIRE_FORMATS[stream.wire]
  if (format === undefined)
    throw new NebulaError('unsupported', { message: `PostgreSQL has no wire format ${stream.wire}.` })
  const sql = `COPY (${selectRange(stream, partition.range as unknown as PartitionRange)}) TO STDOUT (FORMAT ${format})`
  return { sql, format, columns: stream.schema.fields.length }
}

/** Makes batches of copied rows: in their wire format, decoded when somebody looks, or decoded at once. */
class BatchMaker {
  readonly #task: ReadTask
  readonly #context: Context
  /** Rows of the partition before this batch. */
  #before = 0

  constructor(task: ReadTask, context: Context) {
    this.#task = task
    this.#context = context
  }

  make(copied: CopiedRows): RecordBatch {
    const { stream, partition } = this.#task
    const { schema, wire } = stream
    const { data, offsets, rows } = copied
    const before = this.#before
    this.#before += rows
    const place = (row: number): string => `row ${before + row + 1} of ${partition.id}`
    const builders: ColumnBuilder[] = []
    const release = (): void => {
      for (const builder of builders) builder.free()
      copied.release()
    }
    const shared = { stream: partition.stream, schema, place, onRelease: release }
    const decode = (starts: Int32Array, count: number, onFault: (row: number) => void) => {
      for (const field of schema.fields) builders.push(columnBuilder(field.type, this.#context.pool))
      const fields = builders.map((builder, i) => ({
        builder,
        jsonb: schema.fields[i]?.declared === 'jsonb' && builder.type.kind === 'json',
      }))
      return decodeTuples({ data, starts, rows: count }, fields, onFault)
    }
    if (wire === BINARY_WIRE) {
      return createBatch({
        ...shared,
        rows,
        wire: { format: wire, offsets, data },
        columns: () => decode(offsets, rows, () => {}),
      })
    }
    if (wire !== undefined) {
      const columns = (): never => {
        throw new NebulaError('unsupported', { message: `Rows of the format ${wire} have no columns.` })
      }
      return createBatch({ ...shared, rows, wire: { format: wire, offsets, data }, columns })
    }
    const faults = new Set<number>()
    const columns = decode(offsets, rows, (row) => faults.add(row))
    if (faults.size === 0) return createBatch({ ...shared, rows, columns })
    throw new Error('to be written')
  }
}
