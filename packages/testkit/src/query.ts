import pg from 'pg'

/** Runs SQL over a connection of its own and returns the rows; none where it is several statements. */
export async function query(
  url: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<{ [column: string]: unknown }[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    // A query with parameters is one statement.
    const result = await (values.length === 0 ? client.query(sql) : client.query(sql, [...values]))
    return Array.isArray(result) ? [] : result.rows
  } finally {
    await client.end()
  }
}
