/** One connection, as far as what SQL destinations share needs it. What it throws are NebulaErrors. */
export interface SqlSession {
  /** Of no use any more. */
  readonly broken: boolean
  /** One statement, with its values in the dialect's form; returns its rows. */
  query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]>
  /** The same; returns how many rows it changed. */
  execute(sql: string, values?: readonly unknown[]): Promise<number>
  /** Begins a transaction that may write and that sees what others commit, whatever the server's defaults. */
  begin(): Promise<void>
  /** Runs `work` in such a transaction; rolled back when it throws. */
  transaction<T>(work: () => Promise<T>): Promise<T>
  /** Closes the socket at once; the server undoes what was not committed. */
  destroy(): void
}

/** Runs `work` inside the open transaction, and commits; rolls back when it throws. */
export async function finishTransaction<T>(session: SqlSession, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work()
    await session.execute('COMMIT')
    return result
  } catch (error) {
    if (!session.broken) await session.execute('ROLLBACK').catch(() => session.destroy())
    throw error
  }
}
