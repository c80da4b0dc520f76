import type { Pool, Pooled } from '@nebula/base'
import type { Context, Lifecycle } from '@nebula/core'
import type { SqlSession } from './session.ts'

/** The life of a database's end of a pipeline: sessions are opened when needed, and closed with it. */
export class SqlEnd<Session extends SqlSession & Pooled> implements Lifecycle {
  protected readonly pool: Pool<Session>
  readonly #vendor: string

  /** The pool is its own from now on. */
  constructor(pool: Pool<Session>, vendor: string) {
    this.pool = pool
    this.#vendor = vendor
  }

  async open(context: Context): Promise<void> {
    await this.ping(context)
  }

  async ping(context: Context): Promise<void> {
    await this.pool.use(context, (session) => session.query('SELECT 1'))
  }

  async version(context: Context): Promise<string> {
    const sql = 'SELECT version() AS version'
    const [row] = await this.pool.use(context, (session) => session.query<{ version: string }>(sql))
    return `${this.#vendor} ${/\d+(\.\d+)*/.exec(row?.version ?? '')?.[0] ?? ''}`.trim()
  }

  async close(): Promise<void> {
    await this.pool.close()
  }
}
