import type { StreamPlan } from '@nebula/core'
import type { Session } from './connection.ts'
import type { TableName } from './names.ts'
import { columnList, quote, quoteTable } from './names.ts'

export interface Move {
  readonly stream: StreamPlan
  readonly staging: TableName
  readonly target: TableName
}

/** Inside a transaction: makes the staged rows the target's, or adds them to it. */
export async function moveIntoTarget(session: Session, move: Move): Promise<void> {
  const { stream, staging, target } = move
  const [from, to] = [quoteTable(staging), quoteTable(target)]
  const [found] = await session.query<{ oid: string | null }>('SELECT to_regclass($1)::oid AS oid', [to])
  if (!found?.oid) return rename(session, move)
  const columns = columnList(stream.schema.fields.map(({ name }) => name))
  await session.query(`LOCK TABLE ${to} IN ${stream.request.mode === 'append' ? 'ROW' : 'ACCESS'} EXCLUSIVE MODE`)
  if (stream.request.mode === 'overwrite') await session.query(`TRUNCATE ${to}`)
  if (columns)
    await session.query(`INSERT INTO ${to} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${from}`)
  await session.query(`DROP TABLE ${from}`)
}

/** The staging table becomes the target; a key that the source's table has becomes its primary key. */
async function rename(session: Session, { stream, staging, target }: Move): Promise<void> {
  await session.query(`ALTER TABLE ${quoteTable(staging)} RENAME TO ${quote(target.table)}`)
  const { key } = stream.request
  const fields = key.map((name) => stream.schema.fields.find((field) => field.name === name))
  const known = key.length > 0 && fields.every((field) => field?.vendor === 'postgres' && !field.nullable)
  if (known) await session.query(`ALTER TABLE ${quoteTable(target)} ADD PRIMARY KEY (${columnList(key)})`)
}
