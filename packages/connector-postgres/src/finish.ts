import type { Move } from '@nebula/sql'
import { insertStaged, onConflict } from '@nebula/sql'
import type { Session } from './connection.ts'
import { NAMES } from './types.ts'

/** What others may not do with the target meanwhile: only read, when rows are looked for; nothing, when they are replaced. */
const LOCKS = { overwrite: 'ACCESS EXCLUSIVE', append: 'ROW EXCLUSIVE', merge: 'SHARE ROW EXCLUSIVE' } as const

/**
 * A target that would lose nothing but its rows is dropped, and the staging table renamed; any other is refilled, or
 * given more. Returns the target's oid when all its rows are now Nebula's.
 */
export async function moveIntoTarget(session: Session, move: Move): Promise<string | undefined> {
  const [from, to] = [NAMES.table(move.staging), NAMES.table(move.target)]
  const { mode } = move.stream.request
  const replaces = mode === 'overwrite'
  const standing = await oidOf(session, to)
  if (standing) await session.query(`LOCK TABLE ${to} IN ${LOCKS[mode]} MODE`)
  if (!standing || (replaces && (await isBare(session, from, to)))) {
    await replace(session, move, standing !== undefined)
    return oidOf(session, to)
  }
  if (replaces) await session.query(`${(await session.query(REFERENCED, [to]))[0] ? 'DELETE FROM' : 'TRUNCATE'} ${to}`)
  await insertStaged(session, NAMES, move, { values: 'OVERRIDING SYSTEM VALUE', conflict: onConflict })
  return replaces ? standing : undefined
}

async function oidOf(session: Session, table: string): Promise<string | undefined> {
  const rows = await session.query<{ oid: string | null }>('SELECT to_regclass($1)::oid::text AS oid', [table])
  return rows[0]?.oid ?? undefined
}

/** The staging table becomes the target. A key that the source's table has, or by which is merged, becomes its primary key. */
async function replace(session: Session, { stream, staging, target }: Move, stands: boolean): Promise<void> {
  if (stands) await session.query(`DROP TABLE ${NAMES.table(target)}`)
  await session.query(`ALTER TABLE ${NAMES.table(staging)} RENAME TO ${NAMES.quote(target.table)}`)
  const { key, mode } = stream.request
  const fields = key.map((name) => stream.schema.fields.find((field) => field.name === name))
  const known = key.length > 0 && fields.every((field) => field?.vendor === 'postgres' && !field.nullable)
  const add = `ALTER TABLE ${NAMES.table(target)} ADD PRIMARY KEY (${NAMES.list(key)})`
  if ((known || mode === 'merge') && !stands) await session.query(add)
}

/** A table that others refer to. */
const REFERENCED = `SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::regclass AND conrelid <> confrelid LIMIT 1`

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
