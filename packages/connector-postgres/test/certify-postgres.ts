import type { Keys, PostgresServer, PostgresVersion, Table } from '@nebula/testkit'
import { createDatabase, postgres as startServer } from '@nebula/testkit'
import { certify } from '@nebula/testkit/certify'
import pg from 'pg'
import { postgres } from '../src/index.ts'
import { Database } from './harness.ts'

/** Of the role that the connector logs in with. */
const PASSWORD = 'cert/S3cret&only'

async function start(version: PostgresVersion): Promise<PostgresServer> {
  // With a flag of ours, so that it is a server that may be killed.
  const server = await startServer({ version, flags: ['-c', 'max_connections=100'] })
  await using database = await Database.create(server.url)
  await database.query(`CREATE ROLE certified SUPERUSER LOGIN PASSWORD '${PASSWORD}'`)
  return server
}

async function place(server: PostgresServer): Promise<Keys> {
  const url = new URL(await createDatabase(server))
  Object.assign(url, { username: 'certified', password: encodeURIComponent(PASSWORD) })
  return { url: url.href }
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

async function connected<T>(keys: Keys, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: String(keys['url']) })
  await client.connect()
  await client.query('SET intervalstyle = iso_8601')
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function create(keys: Keys, { name, fields, rows, key }: Table): Promise<void> {
  const quote = (column: string): string => pg.escapeIdentifier(column)
  const columns = fields.map(({ name: column, type, nullable }) => {
    return `${quote(column)} ${TYPES[type.kind]}${nullable ? '' : ' NOT NULL'}`
  })
  const primary = key ? [`PRIMARY KEY (${key.map(quote).join(', ')})`] : []
  const [schema, table] = tableOf(name)
  await connected(keys, async (client) => {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`)
    await client.query(`DROP TABLE IF EXISTS ${table}`)
    await client.query(`CREATE TABLE ${table} (${[...columns, ...primary].join(', ')})`)
    for (const { name: column, comment } of fields) {
      if (comment !== undefined)
        await client.query(`COMMENT ON COLUMN ${table}.${quote(column)} IS ${pg.escapeLiteral(comment)}`)
    }
    const objects = rows.map((row) => Object.fromEntries(fields.map((field, i) => [field.name, row[i]])))
    await client.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [
      JSON.stringify(objects),
    ])
  })
}

/** Every row gets a new version, which lies elsewhere. */
async function update(keys: Keys, { name, fields, rows }: Table): Promise<void> {
  const [, table] = tableOf(name)
  const [key = '', ...others] = fields.map((field) => pg.escapeIdentifier(field.name))
  const set = others.map((column) => `${column} = changed.${column}`).join(', ')
  const objects = rows.map((row) => Object.fromEntries(fields.map((field, i) => [field.name, row[i]])))
  await connected(keys, (client) =>
    client.query(
      `UPDATE ${table} t SET ${set} FROM json_populate_recordset(NULL::${table}, $1) changed WHERE t.${key} = changed.${key}`,
      [JSON.stringify(objects)],
    ),
  )
}

async function contents(keys: Keys, { name, fields }: Table): Promise<(string | null)[][]> {
  const columns = fields.map((field) => `${pg.escapeIdentifier(field.name)}::text`).join(', ')
  const [, table] = tableOf(name)
  return connected(keys, async (client) => {
    const { rows } = await client.query({ text: `SELECT ${columns} FROM ${table}`, rowMode: 'array' })
    return rows as (string | null)[][]
  })
}

/** The suite of the testkit on one version. A file for each: they run at once. */
export function certifyPostgres(version: PostgresVersion): void {
  certify(postgres, {
    server: () => start(version),
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
