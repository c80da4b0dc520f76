import type { CheckpointStore, Sweep } from '@nebula/base'
import { nothingLeft } from '@nebula/base'
import { isNebulaError, NebulaError } from '@nebula/core'
import type { SqlDialect } from './dialect.ts'
import type { Loader } from './loader.ts'
import type { TableName } from './names.ts'
import type { SqlSession } from './session.ts'

interface TableSweep extends Sweep {
  readonly target: TableName
  /** For the keys. */
  readonly loaded: TableName
}

/**
 * Deletes the rows of a target whose key is not among those that are given, inside one transaction: they are loaded into
 * a table that nobody else ever sees, and that an end of the transaction by any way takes along.
 */
export class SweepTransaction<Session extends SqlSession> {
  readonly #dialect: SqlDialect<Session>
  readonly #checkpoints: CheckpointStore<Session>
  readonly #sweep: TableSweep

  constructor(dialect: SqlDialect<Session>, checkpoints: CheckpointStore<Session>, sweep: TableSweep) {
    this.#dialect = dialect
    this.#checkpoints = checkpoints
    this.#sweep = sweep
  }

  /** Returns how many rows were deleted. Throws `fenced`, and `deletes_refused` where none would be left. */
  async run(session: Session): Promise<number> {
    const { names } = this.#dialect
    const { run, stream, target, loaded } = this.#sweep
    const [from, to] = [names.table(loaded), names.table(target)]
    const { key } = stream.request
    // Its columns are declared as those of the target are, so that they are equal where those are.
    await session.execute(`CREATE TABLE ${from} AS SELECT ${names.list(key)} FROM ${to} WHERE false`)
    await this.#load(session)
    // The lock is held until the end: what a newer run brings cannot be among what is deleted.
    await this.#checkpoints.confirm(session, run)
    const equal = key.map((name) => `k.${names.quote(name)} = t.${names.quote(name)}`)
    const gone = `NOT EXISTS (SELECT 1 FROM ${from} k WHERE ${equal.join(' AND ')})`
    const deleted = await session.execute(`DELETE FROM ${to} t WHERE ${gone}`).catch((error: unknown) => {
      throw isNebulaError(error, 'row_rejected') ? notDeleted(stream.target, error) : error
    })
    if (deleted > 0 && (await session.query(`SELECT 1 FROM ${to} LIMIT 1`)).length === 0)
      throw nothingLeft(stream.target)
    await session.execute(`DROP TABLE ${from}`)
    return deleted
  }

  async #load(session: Session): Promise<void> {
    const { run, stream, loaded, keys, context } = this.#sweep
    const partition = { id: '', stream: stream.request.stream, range: null }
    const task = { run, partition, stream, order: 0, partitions: 1, isolate: false }
    const loader: Loader<Session> = this.#dialect.loader(task, loaded, context)
    try {
      for await (const batch of keys) await loader.load(session, batch, 0, batch.rows)
      await loader.end()
    } catch (error) {
      if (loader.reset()) session.destroy()
      throw this.#dialect.toError(error, `Looking for deleted rows of ${stream.target}`)
    } finally {
      loader.free()
    }
  }
}

/** The target does not let a row go that others refer to. */
function notDeleted(target: string, cause: NebulaError): NebulaError {
  return new NebulaError('deletes_refused', {
    message: `No row of ${target} was deleted: ${cause.message}`,
    fix: 'Delete first what refers to the row, let the reference do that (ON DELETE CASCADE), or write deletes: ignore.',
    cause,
  })
}
