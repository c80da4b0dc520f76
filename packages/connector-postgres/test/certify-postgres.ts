import type { Keys, PostgresServer, PostgresVersion, Table } from '@nebula/testkit'
import { memoryFolder, postgres as startServer } from '@nebula/testkit'
import { certify } from '@nebula/testkit/certify'
import pg from 'pg'
import { postgres } from '../src/index.ts'
import { Database, PASSWORD } from './harness.ts'

/** The database of the check that is under way, which is the only one. */
let current: Database | undefined

async function place(server: PostgresServer): Promise<Keys> {
  await current?.[Symbol.asyncDispose]()
  current = await Database.create(server.url)
  return { url: current.url }
}

/** Its session for the system's own means; another one where the check has killed the server. */
async function database(): Promise<Database> {
  if (!current) throw new Error('There is no place.')
  return (current = await current.reconnected())
}

/** The schema and the table, quoted, of a target as pipelines name it. */
function tableOf(target: string): readonly [schema: string, table: string] {
  const parts = [...target.matchAll(/"((?:[^"]|"")*)"|([^."]+)/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  )
  const [schema = '', table = ''] = (parts.length === 1 ? ['public', ...parts] : parts).map((part) =>
    pg.escapeIdentifier(part),
  )
  return [schema, `${schema}.${table}`]
}

/** Types of the tables that the suite asks for. */
const TYPES: { readonly [kind: string]: string } = { int32: 'integer', int64: 'bigint', utf8: 'text' }

async function create(_: Keys, { name, fields, rows, key }: Table): Promise<void> {
  const quote = (column: string): string => pg.escapeIdentifier(column)
  const columns = fields.map(({ name: column, type, nullable }) => {
    return `${quote(column)} ${TYPES[type.kind]}${nullable ? '' : ' NOT NULL'}`
  })
  const primary = key ? [`PRIMARY KEY (${key.map(quote).join(', ')})`] : []
  const [schema, table] = tableOf(name)
  const comments = fields.flatMap(({ name: column, comment }) =>
    comment === undefined ? [] : [`COMMENT ON COLUMN ${table}.${quote(column)} IS ${pg.escapeLiteral(comment)}`],
  )
  const made = await database()
  await made.query(
    [
      `CREATE SCHEMA IF NOT EXISTS ${schema}`,
      `DROP TABLE IF EXISTS ${table}`,
      `CREATE TABLE ${table} (${[...columns, ...primary].join(', ')})`,
      ...comments,
    ].join('; '),
  )
  await made.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [
    objectsOf({ fields, rows }),
  ])
}

function objectsOf({ fields, rows }: Pick<Table, 'fields' | 'rows'>): string {
  return JSON.stringify(rows.map((row) => Object.fromEntries(fields.map((field, i) => [field.name, row[i]]))))
}

/** Every row gets a new version, which lies elsewhere. */
async function update(_: Keys, { name, fields, rows }: Table): Promise<void> {
  const [, table] = tableOf(name)
  const [key = '', ...others] = fields.map((field) => pg.escapeIdentifier(field.name))
  const set = others.map((column) => `${column} = changed.${column}`).join(', ')
  await (
    await database()
  ).query(
    `UPDATE ${table} t SET ${set} FROM json_populate_recordset(NULL::${table}, $1) changed WHERE t.${key} = changed.${key}`,
    [objectsOf({ fields, rows })],
  )
}

async function contents(_: Keys, { name, fields }: Table): Promise<(string | null)[][]> {
  const columns = fields.map((field) => `${pg.escapeIdentifier(field.name)}::text`).join(', ')
  const [, table] = tableOf(name)
  const read = await database()
  await read.query('SET intervalstyle = iso_8601')
  return read.texts(`SELECT ${columns} FROM ${table}`)
}

/** The suite of the testkit on one version. A file for each: they run at once. */
export function certifyPostgres(version: PostgresVersion): void {
  certify(postgres, {
    // With a flag of ours, so that it is a server that may be killed.
    server: () => startServer({ version, parent: memoryFolder(), flags: ['-c', 'max_connections=100'] }),
    config: ({ server }) => place(server),
    through: (keys, port) => {
      const url = new URL(String(keys['url']))
      url.port = String(port)
      return { ...keys, url: url.href }
    },
    secrets: () => [PASSWORD],
    create,
    update,
    contents,
    // No text of PostgreSQL holds a zero byte.
    refuses: ({ kind }, text) => kind === 'utf8' && text.includes('\0'),
  })
}
