import type { StreamPlan } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Session } from './connection.ts'
import { postgresError } from './errors.ts'
import type { TableName } from './names.ts'
import { columnList, quote, quoteTable } from './names.ts'

export interface Move {
  readonly stream: StreamPlan
  readonly staging: TableName
  readonly target: TableName
}

/**
 * Inside a transaction: makes the staged rows the target's, or adds them to it. Returns whether all rows of the target
 * are now Nebula's.
 */
export async function moveIntoTarget(session: Session, move: Move): Promise<boolean> {
  const { stream, staging, target } = move
  const [from, to] = [quoteTable(staging), quoteTable(target)]
  const append = stream.request.mode === 'append'
  const [found] = await session.query<{ oid: string | null }>('SELECT to_regclass($1)::oid AS oid', [to])
  if (found?.oid) await session.query(`LOCK TABLE ${to} IN ${append ? 'ROW' : 'ACCESS'} EXCLUSIVE MODE`)
  if (!found?.oid || (!append && (await isBare(session, from, to)))) {
    await replace(session, move, Boolean(found?.oid))
    return true
  }
  if (!append) await session.query(`${(await isReferenced(session, to)) ? 'DELETE FROM' : 'TRUNCATE'} ${to}`)
  const columns = columnList(stream.schema.fields.map(({ name }) => name))
  const insert = columns ? `INSERT INTO ${to} (${columns}) OVERRIDING SYSTEM VALUE` : `INSERT INTO ${to}`
  const [staged] = await session.query<{ rows: string }>(`SELECT count(*) AS rows FROM ${from}`)
  const moved = await insertAll(session, `${insert} SELECT ${columns} FROM ${from}`)
  if (moved !== Number(staged?.rows)) {
    // A trigger or a rule of the target may drop rows without an error.
    throw new NebulaError('counts_differ', {
      message: `${stream.target} took ${moved} of ${staged?.rows} rows.`,
      fix: 'Look for a trigger or a rule of the target that drops rows.',
      connector: 'postgres',
    })
  }
  await session.query(`DROP TABLE ${from}`)
  return !append
}

/** Returns how many rows the server wrote. */
async function insertAll(session: Session, sql: string): Promise<number> {
  try {
    return (await session.client.query(sql)).rowCount ?? 0
  } catch (error) {
    throw postgresError(error)
  }
}

/** The staging table becomes the target. A key that the source's table has becomes the primary key of a new one. */
async function replace(session: Session, { stream, staging, target }: Move, stands: boolean): Promise<void> {
  if (stands) await session.query(`DROP TABLE ${quoteTable(target)}`)
  await session.query(`ALTER TABLE ${quoteTable(staging)} RENAME TO ${quote(target.table)}`)
  const { key } = stream.request
  const fields = key.map((name) => stream.schema.fields.find((field) => field.name === name))
  const known = key.length > 0 && fields.every((field) => field?.vendor === 'postgres' && !field.nullable)
  if (known && !stands) await session.query(`ALTER TABLE ${quoteTable(target)} ADD PRIMARY KEY (${columnList(key)})`)
}

async function isReferenced(session: Session, table: string): Promise<boolean> {
  const sql = `SELECT 1 FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::regclass AND conrelid <> confrelid LIMIT 1`
  return (await session.query(sql, [table])).length > 0
}

/** Columns in order, with all that a table created like another one keeps. */
const SHAPE = `SELECT json_agg(json_build_array(attname, atttypid, atttypmod, attcollation, attnotnull, attstorage,
    attstattarget, to_jsonb(a) -> 'attcompression') ORDER BY attnum)::text FROM pg_attribute a WHERE attnum > 0 AND NOT attisdropped AND attrelid`

/**
 * True when the target may be dropped, because nothing but its rows would be lost: no index, constraint, default,
 * trigger, rule, policy, view, publication, statistics, inheritance, privilege, option, label or comment.
 */
async function isBare(session: Session, staging: string, target: string): Promise<boolean> {
  const [row] = await session.query<{ bare: boolean }>(
    `SELECT c.relkind = 'r' AND c.relpersistence = 'p' AND c.relowner = s.relowner AND c.relam = s.relam
       AND c.relacl IS NOT DISTINCT FROM s.relacl AND c.reloptions IS NULL AND c.reltablespace = s.reltablespace
       AND c.relreplident = 'd' AND NOT c.relrowsecurity AND NOT c.relispartition AND c.reloftype = 0
       AND (${SHAPE} = c.oid) = (${SHAPE} = s.oid)
       AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND (attacl IS NOT NULL OR attoptions IS NOT NULL))
       AND NOT EXISTS (SELECT FROM pg_description WHERE objoid = c.oid AND classoid = 'pg_class'::regclass)
       AND NOT EXISTS (SELECT FROM pg_seclabel WHERE objoid = c.oid AND classoid = 'pg_class'::regclass)
       AND NOT EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhparent, inhrelid))
       AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND classid = 'pg_class'::regclass AND deptype = 'e')
       AND NOT EXISTS (SELECT FROM pg_depend d
         LEFT JOIN pg_class x ON d.classid = 'pg_class'::regclass AND x.oid = d.objid
         LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
         WHERE d.refobjid IN (c.oid, c.reltype) AND d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass)
           AND d.classid <> 'pg_type'::regclass AND coalesce(x.relkind, '') <> 't' AND coalesce(k.contype, '') <> 'n') AS bare
     FROM pg_class c, pg_class s WHERE c.oid = $1::regclass AND s.oid = $2::regclass`,
    [target, staging],
  )
  return row?.bare === true
}
