import { NebulaError } from '@nebula/core'
import type { Move } from './dialect.ts'
import type { Names } from './names.ts'
import type { SqlSession } from './session.ts'

/** Throws `data_invalid` when two staged rows have the same key: nobody knows which of them is to stay. */
export async function refuseRepeatedKeys(session: SqlSession, names: Names, { stream, staging }: Move): Promise<void> {
  const key = names.list(stream.request.key)
  const repeated = `SELECT 1 FROM ${names.table(staging)} GROUP BY ${key} HAVING count(*) > 1 LIMIT 1`
  if ((await session.query(repeated)).length === 0) return
  throw new NebulaError('data_invalid', {
    message: `Rows of the stream have the same key (${stream.request.key.join(', ')}), so they cannot be merged.`,
    fix: 'Name a key that tells all rows apart, or correct the rows at the source.',
    stream: stream.request.stream,
  })
}
