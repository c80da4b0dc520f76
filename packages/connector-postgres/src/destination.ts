import type { Move, SqlDialect, StandingTable, TableName, TableRights, TableUse } from '@nebula/sql'
import { columnsDdl, createSchema, SqlDestination } from '@nebula/sql'
import { namedTables } from './catalog.ts'
import type { PostgresConfig } from './config.ts'
import type { Session } from './connection.ts'
import { sessionPool } from './connection.ts'
import { postgresError } from './errors.ts'
import { moveIntoTarget } from './finish.ts'
import { CopyLoader } from './loader.ts'
import { NAMES, TYPES } from './types.ts'

/** Loads by COPY into staging tables, and moves them into their targets by renaming or by INSERT. */
export class PostgresDestination extends SqlDestination<Session> {
  constructor(config: PostgresConfig) {
    super(sessionPool(config), DIALECT, config.schema)
  }
}

const DIALECT: SqlDialect<Session> = {
  names: NAMES,
  types: TYPES,
  parameter: (place) => `$${place}`,
  tables: `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'SELECT, INSERT')`,
  checkpointTypes: { key: 'text', number: 'bigint', content: 'json' },
  lockSchema: async (session, schema) => {
    await session.execute(`SELECT pg_advisory_xact_lock(hashtext('nebula'), hashtext($1))`, [schema])
  },
  rights,
  describe,
  stage,
  moveIntoTarget,
  loader: (task, staging, context) => new CopyLoader(task, staging, context),
  toError: postgresError,
}

/** Privileges are asked for one by one: of a list, the server is content with any. */
const RIGHTS = `SELECT coalesce(c.relkind NOT IN ('r', 'p'), false) AS "otherKind", ARRAY(
    SELECT 'CREATE on the database' WHERE n.oid IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL SELECT concat(p, ' on schema ', nsp) FROM unnest(ARRAY['USAGE', 'CREATE']) p WHERE NOT has_schema_privilege(n.oid, p)
    UNION ALL SELECT concat(p, ' on ', nsp, '.', rel) FROM unnest(string_to_array(needs, ',')) p WHERE NOT has_table_privilege(c.oid, p)
  ) AS missing FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY t(nsp, rel, needs, place)
  LEFT JOIN pg_namespace n ON n.nspname = nsp LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = rel ORDER BY place`

function rights(session: Session, tables: readonly TableUse[]): Promise<TableRights[]> {
  const needs = tables.map(({ privileges }) => privileges.join(','))
  return session.query(RIGHTS, [tables.map((t) => t.schema), tables.map((t) => t.table), needs])
}

async function describe(session: Session, names: readonly TableName[]): Promise<(StandingTable | undefined)[]> {
  const tables = new Map((await namedTables(session, names)).map((table) => [NAMES.table(table), table]))
  return names.map((name) => {
    const table = tables.get(NAMES.table(name))
    if (!table) return undefined
    // A column that the server fills in may be left out, so it is no obstacle that it is NOT NULL.
    const fields = table.columns.map(({ field, filled }) => (filled ? { ...field, nullable: true } : field))
    return { ...name, id: String(table.oid), columns: { fields }, uniqueKeys: table.uniqueKeys }
  })
}

/** Whoever still writes there works for an epoch that is over: nobody waits for the locks of a process that is stopped. */
const TERMINATE_WRITERS = `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
  WHERE relation = to_regclass($1) AND datname = current_database() AND usename = current_user
    AND application_name = 'nebula' AND pid <> pg_backend_pid()`

/** Creates what a stream's staging table needs, and the table itself; with the target's constraints where it stands. */
async function stage(session: Session, { stream, staging, target }: Move): Promise<void> {
  const [from, to] = [NAMES.table(staging), NAMES.table(target)]
  const [found] = await session.query<{ target: boolean; staging: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AS target, to_regclass($2) IS NOT NULL AS staging',
    [to, from],
  )
  if (found?.staging) return void (await session.execute(TERMINATE_WRITERS, [from]))
  await createSchema(session, DIALECT, target.schema)
  const { fields } = stream.schema
  for (const { name, ddl } of fields.flatMap(({ requires }) => requires ?? [])) {
    // A schema or type that columns need, unless it is there.
    const finder = name.startsWith('SCHEMA ') ? 'to_regnamespace' : 'to_regtype'
    const there = await session.query(`SELECT 1 WHERE ${finder}($1) IS NOT NULL`, [name.replace(/^SCHEMA /, '')])
    if (there.length === 0) await session.execute(ddl)
  }
  const columns = columnsDdl(NAMES, stream.schema, stream.accepted.columns).join(', ')
  if (!found?.target) return void (await session.execute(`CREATE TABLE ${from} (${columns})`))
  await session.execute(`CREATE TABLE ${from} (LIKE ${to} INCLUDING CONSTRAINTS INCLUDING STORAGE)`)
  const extra = await session.query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attname <> ALL ($2)`,
    [from, fields.map(({ name }) => name)],
  )
  const drops = extra.map(({ name }) => `DROP COLUMN ${NAMES.quote(name)}`)
  if (drops.length > 0) await session.execute(`ALTER TABLE ${from} ${drops.join(', ')}`)
}
