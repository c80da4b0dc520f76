import type {
  BufferPool,
  Catalog,
  Column,
  Context,
  Field,
  Plan,
  PreviousPlan,
  ReadStream,
  ReadTask,
  RecordBatch,
  Rejection,
  SourceDriver,
} from '@nebula/core'
import { columnBuilder, createBatch, isNebulaError, NebulaError, typeName } from '@nebula/core'
import { readableTables, tableSchema } from './catalog.ts'
import type { PostgresConfig } from './config.ts'
import type { Session } from './connection.ts'
import { SessionPool } from './connection.ts'
import type { CopiedRows, CopyFormat } from './copy.ts'
import { CopyOut } from './copy.ts'
import type { DecodedField, Tuples } from './decode.ts'
import { decodeTuples } from './decode.ts'
import { postgresError } from './errors.ts'
import { literal, streamName } from './names.ts'
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
      if (name === undefined || session.snapshot === name) return session
      try {
        await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', undefined, signal)
        await session.query(`SET TRANSACTION SNAPSHOT ${literal(name)}`, undefined, signal)
        session.snapshot = name
        return session
      } catch (error) {
        session.destroy()
        this.#pool.release(session)
        throw isNebulaError(error, 'connection_lost') || isNebulaError(error, 'aborted') ? error : lostSnapshot(error)
      }
    })
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
    const { schema, wire: format } = stream
    const { data, offsets, rows } = copied
    const before = this.#before
    this.#before += rows
    const place = (row: number): string => `row ${before + row + 1} of ${partition.id}`
    const decoder = new Decoder(stream, this.#context.pool)
    const onRelease = (): void => {
      decoder.free()
      copied.release()
    }
    const shared = { stream: partition.stream, schema, onRelease }
    if (format !== undefined) {
      const columns = (): Column[] => decoder.decode({ data, starts: offsets, rows }, () => {})
      return createBatch({ ...shared, rows, place, wire: { format, offsets, data }, columns })
    }
    const rejected = new Map<number, Rejection>()
    const columns = decoder.decode({ data, starts: offsets, rows }, (row, field) => {
      const { name, type } = schema.fields[field] as Field
      const raw = data.slice(offsets[row], offsets[row + 1])
      const reason = `the value is outside of what ${typeName(type)} holds`
      rejected.set(row, { column: name, code: 'row_rejected', reason, place: place(row), raw })
    })
    if (rejected.size === 0) return createBatch({ ...shared, rows, place, columns })
    const kept = Int32Array.from({ length: rows }, (_, row) => row).filter((row) => !rejected.has(row))
    const tuples = { data, starts: kept.map((row) => offsets[row] as number), rows: kept.length }
    return createBatch({
      ...shared,
      rows: kept.length,
      rejected: [...rejected.values()],
      place: (row) => place(kept[row] as number),
      columns: decoder.decode(tuples, () => {}),
    })
  }
}

/** The memory of one batch's columns. */
class Decoder {
  readonly #stream: ReadStream
  readonly #pool: BufferPool
  #fields: DecodedField[] = []

  constructor(stream: ReadStream, pool: BufferPool) {
    this.#stream = stream
    this.#pool = pool
  }

  decode(tuples: Tuples, onFault: (row: number, field: number) => void): Column[] {
    const { schema, wire } = this.#stream
    if (wire !== undefined && wire !== BINARY_WIRE) {
      throw new NebulaError('unsupported', { message: `Rows in the format ${wire} are not decoded.` })
    }
    if (this.#fields.length === 0) {
      this.#fields = schema.fields.map(({ type, declared }) => {
        return { builder: columnBuilder(type, this.#pool), jsonb: type.kind === 'json' && declared === 'jsonb' }
      })
    }
    return decodeTuples(tuples, this.#fields, onFault)
  }

  free(): void {
    for (const { builder } of this.#fields) builder.free()
  }
}
