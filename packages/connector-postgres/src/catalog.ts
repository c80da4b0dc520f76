import type { Field, TypeDefinition } from '@nebula/core'
import { utf8 } from '@nebula/core'
import type { TableName } from '@nebula/sql'
import type { Session } from './connection.ts'
import { logicalType, NAMES, native } from './types.ts'

/** A table, view or foreign table with its columns, as the server describes it. */
export interface Table extends TableName {
  readonly oid: number
  /** pg_class.relkind */
  readonly kind: string
  readonly readable: boolean
  /** Columns of the primary key; and of each unique index over all rows in which none is null. */
  readonly key: readonly string[]
  readonly uniqueKeys: readonly (readonly string[])[]
  readonly rows: number
  readonly bytes: number
  readonly comment: string | null
  readonly columns: readonly TableColumn[]
}

interface TableColumn {
  readonly field: Field
  /** Not sent and not NULL: the server fills it in. */
  readonly filled: boolean
  /** The binary form is the same on every server. */
  readonly binarySafe: boolean
}

type TableRow = Omit<Table, 'columns'> & { readonly columns: readonly ColumnRow[] }

interface ColumnRow {
  readonly name: string
  readonly type: number
  readonly modifier: number
  readonly declared: string
  readonly required: boolean
  readonly generated: boolean
  readonly filled: boolean
  readonly comment: string | null
  /** The name of a type of the system's own that is made of no other, and has a binary form; most are. */
  readonly plain: string | null
}

/** The columns of an index `i`, in order; null where one of them may be null. */
const INDEXED = `SELECT CASE WHEN bool_and(a.attnotnull) THEN json_agg(a.attname ORDER BY k.place) END
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.place <= i.indnkeyatts`

/** Columns and estimates of the relations that `filter` chooses; estimates of a partitioned table are its leaves'. */
function tablesQuery(filter: string): string {
  return `SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS table, c.relkind AS kind,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable,
  obj_description(c.oid, 'pg_class') AS comment, size.rows, size.bytes,
  coalesce((SELECT (${INDEXED}) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), '[]') AS key,
  (SELECT coalesce(json_agg(k.names), '[]') FROM pg_index i CROSS JOIN LATERAL (${INDEXED}) k(names) WHERE i.indrelid = c.oid
    AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND k.names IS NOT NULL) AS "uniqueKeys",
  (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8, 'modifier', a.atttypmod,
      'declared', format_type(a.atttypid, a.atttypmod), 'required', a.attnotnull, 'generated', a.attgenerated <> '',
      'filled', a.atthasdef OR a.attidentity <> '',
      'comment', col_description(c.oid, a.attnum), 'plain', CASE WHEN t.oid < 10000 AND t.typtype = 'b' AND t.typelem = 0
      AND t.typsend <> 0 AND t.typreceive <> 0 THEN t.typname END) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
  SELECT sum(greatest(p.reltuples, 0))::float8 AS rows, sum(p.relpages::float8 * 8192 + coalesce(t.relpages, 0)::float8 * 8192) AS bytes
  FROM pg_class p LEFT JOIN pg_class t ON t.oid = p.reltoastrelid
  WHERE p.oid = c.oid OR c.relkind = 'p' AND p.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)) size
WHERE ${filter} ORDER BY n.nspname, c.relname`
}

const USERS = `c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND c.relname NOT LIKE 'nebula\\_%'`

/** Everything that there is, without system tables and Nebula's own. */
export function allTables(session: Session): Promise<Table[]> {
  return loadTables(session, USERS, [])
}

/** The named relations that exist. */
export function namedTables(session: Session, names: readonly TableName[]): Promise<Table[]> {
  const filter = '(n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[]))'
  return loadTables(session, filter, [names.map(({ schema }) => schema), names.map(({ table }) => table)])
}

/** Type names are qualified in full: the search path is empty while they are printed. */
async function loadTables(session: Session, filter: string, values: readonly unknown[]): Promise<Table[]> {
  return session.transaction(async () => {
    await session.query(`SET LOCAL search_path = ''`)
    const tables = await session.query<TableRow>(tablesQuery(filter), values)
    const columns = tables.flatMap((table) => table.columns)
    const plain = columns.flatMap(({ type: oid, plain: name }) => (name === null ? [] : [{ ...PLAIN, oid, name }]))
    const others = columns.flatMap((column) => (column.plain === null ? [column.type] : []))
    const made = others.length === 0 ? [] : await session.query<TypeRow>(TYPES, [others])
    const types = new Types([...plain, ...made])
    return tables.map((table) => ({ ...table, columns: table.columns.map((column) => types.column(column)) }))
  }, 'READ ONLY')
}

interface TypeRow {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly isArray: boolean
  readonly binary: boolean
  /** Types that it is made of. */
  readonly parts: readonly number[]
  readonly ddl: string | null
  readonly extension: boolean
}

const PLAIN = { schema: 'pg_catalog', kind: 'b', isArray: false, binary: true, parts: [], ddl: null, extension: false }

/** The given types and, recursively, those that they are made of; with the statements that create the user's own. */
const TYPES = `WITH RECURSIVE used(whole, oid) AS (SELECT 0::oid, unnest($1::oid[]) UNION SELECT used.oid, part.oid FROM used CROSS JOIN LATERAL (
  SELECT typelem AS oid FROM pg_type WHERE oid = used.oid AND typlen = -1 AND typelem <> 0
  UNION ALL SELECT typbasetype FROM pg_type WHERE oid = used.oid AND typbasetype <> 0
  UNION ALL SELECT a.atttypid FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
    WHERE t.oid = used.oid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT rngsubtype FROM pg_range WHERE rngtypid = used.oid
  UNION ALL SELECT rngtypid FROM pg_range g WHERE (to_jsonb(g) ->> 'rngmultitypid')::oid = used.oid) part)
SELECT t.oid::int8::float8 AS oid, n.nspname AS schema, t.typname AS name, t.typtype AS kind,
  t.typlen = -1 AND t.typelem <> 0 AS "isArray", t.typsend <> 0 AND t.typreceive <> 0 AS binary,
  (SELECT coalesce(json_agg(used.oid::int8), '[]') FROM used WHERE used.whole = t.oid) AS parts, e.extname IS NOT NULL AS extension,
  CASE WHEN e.extname IS NOT NULL THEN format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I', e.extname, n.nspname)
  WHEN t.typtype = 'e' THEN format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname,
    (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
  WHEN t.typtype = 'd' THEN format('CREATE DOMAIN %I.%I AS %s%s%s%s%s', n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod),
    (SELECT format(' COLLATE %I.%I', cn.nspname, l.collname) FROM pg_collation l JOIN pg_namespace cn ON cn.oid = l.collnamespace
      JOIN pg_type b ON b.oid = t.typbasetype WHERE l.oid = t.typcollation AND t.typcollation <> b.typcollation),
    ' DEFAULT ' || t.typdefault, CASE WHEN t.typnotnull THEN ' NOT NULL' END,
    (SELECT string_agg(format(' CONSTRAINT %I %s', conname, pg_get_constraintdef(k.oid)), '' ORDER BY conname)
      FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
  WHEN t.typtype = 'c' AND r.relkind = 'c' THEN format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname,
    (SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
      FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped))
  WHEN t.typtype = 'r' THEN (SELECT format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s)', n.nspname, t.typname,
    format_type(rngsubtype, NULL)) FROM pg_range WHERE rngtypid = t.oid) END AS ddl
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class r ON r.oid = t.typrelid
LEFT JOIN pg_depend d ON d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
LEFT JOIN pg_extension e ON e.oid = d.refobjid WHERE t.oid = ANY (ARRAY(SELECT oid FROM used))`

/** Send or receive objects by number, cannot read back what they send, or have no input at all. */
const UNSAFE =
  /^(reg\w+|tsquery|aclitem|record|int2vector|oidvector|pg_(node_tree|ndistinct|dependencies|mcv_list|brin_\w+))$/
/** Numbers below are the same on every server. */
const FIRST_UNSTABLE_OID = 10_000
const FIRST_USER_OID = 16_384

/** What is known of the types of some tables. */
class Types {
  readonly #rows: ReadonlyMap<number, TypeRow>

  constructor(rows: readonly TypeRow[]) {
    this.#rows = new Map(rows.map((row) => [row.oid, row]))
  }

  column(row: ColumnRow): TableColumn {
    const { name, declared, generated, comment, filled } = row
    const type = this.#rows.get(row.type)
    const binarySafe = this.#binarySafe(row.type)
    const modelled = type?.schema === 'pg_catalog' ? logicalType(type.name, row.modifier, declared) : native(declared)
    const offers = binarySafe && modelled.kind !== 'utf8' ? [modelled, utf8] : [utf8]
    const requires = this.#requires(row.type)
    const field: Field = {
      name,
      type: offers[0] ?? utf8,
      nullable: !row.required,
      vendor: 'postgres',
      declared,
      offers,
      ...(requires.length > 0 ? { requires } : {}),
      ...(generated ? { generated } : {}),
      ...(comment === null ? {} : { comment }),
    }
    return { field, filled, binarySafe }
  }

  /** Arrays carry the number of their element type and composites those of their columns: stable only when built in. */
  #binarySafe(oid: number): boolean {
    const type = this.#rows.get(oid)
    if (!type || !type.binary || type.kind === 'c' || (oid < FIRST_USER_OID && UNSAFE.test(type.name))) return false
    return type.parts.every((part) => this.#binarySafe(part) && (!type.isArray || part < FIRST_UNSTABLE_OID))
  }

  /** The user's types that a type needs, and it itself, in the order in which they can be created. */
  #requires(oid: number, found = new Map<string, TypeDefinition>()): TypeDefinition[] {
    const type = this.#rows.get(oid)
    if (!type || oid < FIRST_USER_OID) return [...found.values()]
    for (const part of type.extension ? [] : type.parts) this.#requires(part, found)
    const { schema, ddl } = type
    if (ddl === null) return [...found.values()]
    if (schema !== 'public')
      found.set(schema, { name: `SCHEMA ${NAMES.quote(schema)}`, ddl: `CREATE SCHEMA ${NAMES.quote(schema)}` })
    const name = `${NAMES.quote(schema)}.${NAMES.quote(type.name)}`
    found.set(name, { name, ddl })
    return [...found.values()]
  }
}
