import type { Kind, StreamPlan } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Move } from './dialect.ts'
import type { Names } from './names.ts'
import type { SqlSession } from './session.ts'

/** What stands in an INSERT before its rows; and behind them, to merge them. */
interface InsertClauses {
  readonly values: string
  readonly conflict: (names: Names, stream: StreamPlan) => string
}

/**
 * Adds the staged rows to the target that stands, or merges them, and drops the staging table. Throws `counts_differ`
 * when the target took fewer: what it runs for each row may drop it silently.
 */
export async function insertStaged(
  session: SqlSession,
  names: Names,
  { stream, staging, target }: Move,
  { values, conflict }: InsertClauses,
): Promise<void> {
  const [from, to] = [names.table(staging), names.table(target)]
  const columns = names.list(stream.schema.fields.map(({ name }) => name))
  const insert = columns ? `INSERT INTO ${to} (${columns}) ${values}` : `INSERT INTO ${to}`
  const [staged] = await session.query<{ rows: string }>(`SELECT count(*) AS rows FROM ${from}`)
  const merging = stream.request.mode === 'merge' ? conflict(names, stream) : ''
  const taken = await session.execute(`${insert} SELECT ${columns} FROM ${from} ${merging}`)
  if (taken !== Number(staged?.rows)) {
    throw new NebulaError('counts_differ', {
      message: `${stream.target} took ${taken} of ${staged?.rows} rows.`,
      fix: 'Look for a trigger or a rule of the target that drops rows.',
    })
  }
  await session.execute(`DROP TABLE ${from}`)
}

/** Types of which equal values are the same; of others `1.0` and `1.00` are equal, and texts under a collation. */
const EXACT: ReadonlySet<Kind> = new Set<Kind>([
  'bool',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'binary',
  'date',
  'time',
  'timestamp',
  'uuid',
])

/** The clause by which a row that is there becomes the one that has its key. */
export function onConflict(names: Names, { schema, request: { key } }: StreamPlan): string {
  const changing = schema.fields.filter(({ name, type }) => !key.includes(name) || !EXACT.has(type.kind))
  const columns = changing.length > 0 ? changing.map(({ name }) => name) : key
  const set = columns.map((name) => `${names.quote(name)} = excluded.${names.quote(name)}`)
  return `ON CONFLICT (${names.list(key)}) DO UPDATE SET ${set.join(', ')}`
}
