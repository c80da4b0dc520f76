import type { CheckpointStore, Pool, Pooled } from '@nebula/base'
import type { Checkpoint, Context, RecordBatch, Rejection, Writer, WriteTask } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import type { SqlDialect } from './dialect.ts'
import type { Loader } from './loader.ts'
import type { SqlSession } from './session.ts'

export interface WriterPorts<Session extends SqlSession & Pooled> {
  readonly pool: Pool<Session>
  readonly checkpoints: CheckpointStore<Session>
  readonly context: Context
  readonly toError: SqlDialect<Session>['toError']
}

/** Loads one partition into the staging table of its stream: one connection, one transaction per commit. */
export class SqlWriter<Session extends SqlSession & Pooled> implements Writer {
  readonly #task: WriteTask
  readonly #loader: Loader<Session>
  readonly #ports: WriterPorts<Session>
  #session: Session | undefined

  constructor(task: WriteTask, loader: Loader<Session>, ports: WriterPorts<Session>) {
    this.#task = task
    this.#loader = loader
    this.#ports = ports
  }

  async write(batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]> {
    const session = await this.#begin()
    try {
      if (this.#task.isolate) return await this.#isolate(session, batch, from, to)
      await this.#loader.load(session, batch, from, to)
      return []
    } catch (error) {
      throw await this.#failure(error)
    }
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const { pool, checkpoints, context } = this.#ports
    const session = await this.#begin()
    try {
      await this.#loader.end()
      await checkpoints.commit(session, this.#task, checkpoint)
    } catch (error) {
      throw await this.#failure(error)
    }
    try {
      await session.execute('COMMIT')
    } catch (error) {
      session.destroy()
      this.#release()
      // The answer was lost, and only the table knows what came of it.
      if (!isNebulaError(error, 'connection_lost')) throw await this.#failure(error)
      const sequence = await pool.use(context, (other) => checkpoints.sequence(other, this.#task))
      if (sequence !== checkpoint.sequence) throw await this.#failure(error)
      return
    }
    this.#release()
  }

  async abort(): Promise<void> {
    const session = this.#session
    if (!session) return
    if (this.#loader.reset() || session.broken) session.destroy()
    else await session.execute('ROLLBACK').catch(() => session.destroy())
    this.#release()
  }

  async #begin(): Promise<Session> {
    if (this.#session) return this.#session
    const { pool, context } = this.#ports
    const session = await pool.acquire(context)
    this.#session = session
    context.signal.addEventListener('abort', this.#stop, { once: true })
    await session.begin()
    return session
  }

  readonly #stop = (): void => this.#session?.destroy()

  #release(): void {
    this.#loader.free()
    this.#ports.context.signal.removeEventListener('abort', this.#stop)
    if (this.#session) this.#ports.pool.release(this.#session)
    this.#session = undefined
  }

  /** All rows of the range, those that the server names left out and returned; or none, and `row_rejected`. */
  async #isolate(session: Session, batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]> {
    const rejected: Rejection[] = []
    const ranges: [number, number][] = [[from, to]]
    await session.execute('SAVEPOINT whole')
    for (let range = ranges.pop(); range; range = ranges.pop()) {
      const [start, end] = range
      const error = start === end ? undefined : await this.#attempt(session, batch, start, end)
      if (error === undefined) continue
      const row = end - start === 1 ? start : this.#loader.refusedRow(error, start, end)
      if (row === undefined) {
        await session.execute('ROLLBACK TO SAVEPOINT whole')
        throw error
      }
      rejected.push({ row, place: batch.place(row), ...this.#loader.rejection(error) })
      ranges.push([row + 1, end], [start, row])
    }
    await session.execute('RELEASE SAVEPOINT whole')
    return rejected.sort((a, b) => (a.row ?? 0) - (b.row ?? 0))
  }

  /** One load of some rows. Returns the server's refusal, after which none of them is in. */
  async #attempt(session: Session, batch: RecordBatch, from: number, to: number): Promise<unknown> {
    await session.execute('SAVEPOINT part')
    try {
      await this.#loader.load(session, batch, from, to)
      await this.#loader.end()
      await session.execute('RELEASE SAVEPOINT part')
      return undefined
    } catch (error) {
      if (this.#ports.toError(error).code !== 'row_rejected') throw error
      this.#loader.reset()
      await session.execute('ROLLBACK TO SAVEPOINT part')
      return error
    }
  }

  async #failure(error: unknown): Promise<NebulaError> {
    const { context, toError } = this.#ports
    if (context.signal.aborted) return new NebulaError('aborted', { message: 'Writing was interrupted.', cause: error })
    const { stream, partition } = this.#task
    const failure = toError(error, `Writing ${stream.target}`).at({ stream: partition.stream, partition: partition.id })
    const taken = failure.code === 'query_failed' || failure.code === 'connection_lost'
    return (taken && (await this.#fenced())) || failure
  }

  /** A newer run that has taken over ends the sessions of the older one, and may have taken the staging table along. */
  async #fenced(): Promise<NebulaError | undefined> {
    const { pool, checkpoints, context } = this.#ports
    this.#session?.destroy()
    this.#release()
    try {
      await pool.use(context, (session) => checkpoints.confirm(session, this.#task.run), { idempotent: false })
      return undefined
    } catch (error) {
      // A password that is refused is not tried again either.
      return isNebulaError(error, 'fenced') || isNebulaError(error, 'authentication_failed') ? error : undefined
    }
  }
}
