import type { Checkpoint, Context, RecordBatch, Rejection, Writer, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Session, SessionPool } from './connection.ts'
import { CopyIn, FRAME_HEAD, frameCopyData } from './copy.ts'
import { LineEncoder } from './encode-text.ts'
import type { EncodedField, RowEncoder } from './encode.ts'
import { TupleEncoder } from './encode.ts'
import type { ServerError } from './errors.ts'
import { errorCode, postgresError, serverMessage } from './errors.ts'
import { columnList, quoteTable } from './names.ts'
import type { State } from './state.ts'
import { stagingTable } from './state.ts'
import { BINARY_WIRE } from './types.ts'
import { needsText } from './accept.ts'

/** Bytes, about, that are encoded before they are sent. */
const CHUNK_BYTES = 1_048_576

export interface WriterPorts {
  readonly pool: SessionPool
  readonly state: State
  readonly defaultSchema: string
  readonly context: Context
}

/** Loads one partition into the staging table of its stream: one connection, one transaction per commit. */
export class PostgresWriter implements Writer {
  readonly #task: WriteTask
  readonly #ports: WriterPorts
  readonly #staging: string
  #session: Session | undefined
  /** `rows`: sent so far. */
  #copy: { readonly stream: CopyIn; readonly binary: boolean; rows: number } | undefined
  /** One chunk is on its way while the next is encoded. */
  #sending: Promise<void> = Promise.resolve()
  #encoder: RowEncoder | undefined

  constructor(task: WriteTask, ports: WriterPorts) {
    this.#task = task
    this.#ports = ports
    this.#staging = quoteTable(stagingTable(task.run, task.stream, ports.defaultSchema))
  }

  async write(batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]> {
    const session = await this.#begin()
    if (this.#task.isolate) return this.#isolate(session, batch, from, to)
    try {
      await this.#send(session, batch, from, to)
    } catch (error) {
      throw this.#failure(error)
    }
    return []
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const { pool, state, context } = this.#ports
    const session = await this.#begin()
    try {
      await this.#endCopy()
      await state.commit(session, this.#task, checkpoint)
    } catch (error) {
      throw this.#failure(error)
    }
    try {
      await session.query('COMMIT')
    } catch (error) {
      session.destroy()
      this.#release()
      if (postgresError(error).code !== 'connection_lost') throw this.#failure(error)
      const committed = await pool.use(context, (other) => state.committed(other, this.#task, checkpoint))
      if (!committed) throw this.#failure(error)
      return
    }
    this.#release()
  }

  async abort(): Promise<void> {
    const session = this.#session
    if (!session) return
    if (this.#copy || session.broken) session.destroy()
    else await session.query('ROLLBACK').catch(() => session.destroy())
    this.#forget()
    this.#release()
  }

  async #begin(): Promise<Session> {
    if (this.#session) return this.#session
    const { pool, context } = this.#ports
    const session = await context.call((signal) => pool.acquire(signal))
    this.#session = session
    context.signal.addEventListener('abort', this.#stop, { once: true })
    await session.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE')
    return session
  }

  readonly #stop = (): void => this.#session?.destroy()

  #release(): void {
    this.#encoder?.free()
    this.#encoder = undefined
    this.#ports.context.signal.removeEventListener('abort', this.#stop)
    if (this.#session) this.#ports.pool.release(this.#session)
    this.#session = undefined
  }

  /** Streams rows into a COPY, which is opened when there is none of this form. */
  async #send(session: Session, batch: RecordBatch, from: number, to: number): Promise<void> {
    const { accepted, schema } = this.#task.stream
    const wire = accepted.wire === undefined ? undefined : batch.wire
    const binary = wire ? wire.format === BINARY_WIRE : !needsText(accepted)
    if (this.#copy?.binary !== binary) {
      await this.#endCopy()
      const columns = columnList(schema.fields.map(({ name }) => name))
      const sql = `COPY ${this.#staging}${columns && ` (${columns})`} FROM STDIN (FORMAT ${binary ? 'binary' : 'text'})`
      this.#copy = { stream: await CopyIn.start(session.client, sql, binary), binary, rows: 0 }
    }
    const { stream } = this.#copy
    this.#copy.rows += to - from
    if (wire) return stream.write(wire.data.subarray(wire.offsets[from], wire.offsets[to]))
    const { pool } = this.#ports.context
    const encoder = this.#encoder ?? (binary ? new TupleEncoder(encodedFields(this.#task)) : new LineEncoder(pool))
    this.#encoder = encoder
    const columns = schema.fields.map((_, i) => batch.column(i))
    const rows = Math.ceil((CHUNK_BYTES * batch.rows) / Math.max(1, batch.byteLength))
    for (let row = from; row < to; row += rows) {
      const bytes = pool.take(FRAME_HEAD + encoder.begin(columns, row, Math.min(to, row + rows)))
      const end = encoder.write({ bytes, view: new DataView(bytes.buffer) }, FRAME_HEAD)
      frameCopyData(bytes, end)
      const before = this.#sending
      this.#sending = stream.write(bytes.subarray(0, end)).finally(() => pool.give(bytes))
      this.#sending.catch(() => {})
      await before
    }
  }

  /** Waits until the server has taken what was sent. */
  async #endCopy(): Promise<void> {
    const [copy, sending] = [this.#copy, this.#sending]
    this.#forget()
    await sending
    const taken = await copy?.stream.finish()
    if (copy && taken !== copy.rows) {
      throw new NebulaError('counts_differ', { message: `The server took ${taken} of ${copy.rows} rows.` })
    }
  }

  #forget(): void {
    this.#copy = undefined
    this.#sending = Promise.resolve()
  }

  /** All rows of the range, those that the server names left out and returned; or none, and `row_rejected`. */
  async #isolate(session: Session, batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]> {
    const rejected: Rejection[] = []
    const ranges: [number, number][] = [[from, to]]
    try {
      await session.query('SAVEPOINT whole')
      for (let range = ranges.pop(); range; range = ranges.pop()) {
        const [start, end] = range
        const error = start === end ? undefined : await this.#attempt(session, batch, start, end)
        if (error === undefined) continue
        const row = end - start === 1 ? start : start + copyLine(error, this.#staging) - 1
        if (!(row >= start && row < end)) {
          await session.query('ROLLBACK TO SAVEPOINT whole')
          throw error
        }
        rejected.push(this.#rejection(error, batch, row))
        ranges.push([row + 1, end], [start, row])
      }
      await session.query('RELEASE SAVEPOINT whole')
    } catch (error) {
      throw this.#failure(error)
    }
    return rejected.sort((a, b) => (a.row ?? 0) - (b.row ?? 0))
  }

  /** One COPY of some rows. Returns the server's refusal, after which none of them is in. */
  async #attempt(session: Session, batch: RecordBatch, from: number, to: number): Promise<ServerError | undefined> {
    await session.query('SAVEPOINT part')
    try {
      await this.#send(session, batch, from, to)
      await this.#endCopy()
      await session.query('RELEASE SAVEPOINT part')
      return undefined
    } catch (error) {
      if (errorCode(error) !== 'row_rejected') throw error
      this.#forget()
      await session.query('ROLLBACK TO SAVEPOINT part')
      return error as ServerError
    }
  }

  #rejection(error: ServerError, batch: RecordBatch, row: number): Rejection {
    const named = /, column (.*?)(?:: "|$)/s.exec(error.where ?? '')?.[1] ?? error.column
    const column = this.#task.stream.schema.fields.find(({ name }) => name === named)?.name
    return {
      row,
      ...(column === undefined ? {} : { column }),
      code: error.code ?? 'row_rejected',
      reason: serverMessage(error),
      place: batch.place(row),
    }
  }

  #failure(error: unknown): NebulaError {
    const { signal } = this.#ports.context
    if (signal.aborted) return new NebulaError('aborted', { message: 'Writing was interrupted.', cause: error })
    return postgresError(error, `Writing ${this.#task.stream.target}`).at({
      stream: this.#task.partition.stream,
      partition: this.#task.partition.id,
    })
  }
}

/** The line that the server's context names behind the table: `COPY t, line 7, column c`, in any language. */
function copyLine({ where = '' }: ServerError, staging: string): number {
  const name = staging.slice(staging.lastIndexOf('.') + 2, -1)
  const behind = where.indexOf(name)
  return behind < 0 ? Number.NaN : Number(/\d+/.exec(where.slice(behind + name.length))?.[0])
}

function encodedFields({ stream: { schema, accepted } }: WriteTask): EncodedField[] {
  return schema.fields.map(({ type }, i) => {
    return { type, jsonb: type.kind === 'json' && accepted.columns[i]?.type === 'jsonb' }
  })
}
