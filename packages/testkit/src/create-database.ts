import { randomBytes } from 'node:crypto'
import pg from 'pg'

/**
 * Creates an empty database and returns its URL. A database of the same name is dropped first.
 * Nothing drops the database afterwards: a server of `postgres()` takes it along when it stops,
 * one of `POSTGRES_URL` keeps it.
 */
export async function createDatabase(
  server: { readonly url: string },
  name = `nebula_test_${randomBytes(6).toString('hex')}`,
): Promise<string> {
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  try {
    const quoted = client.escapeIdentifier(name)
    await client.query(`DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`)
    await client.query(`CREATE DATABASE ${quoted}`)
  } finally {
    await client.end()
  }
  const url = new URL(server.url)
  url.pathname = `/${encodeURIComponent(name)}`
  return url.href
}
