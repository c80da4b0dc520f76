import type { Digest, Field } from '@nebula/core'
import type { Names } from './names.ts'

/** How a database hashes rows, and writes values as texts. */
export interface DigestDialect {
  readonly names: Names
  /** A signed hash of 64 bits of the values of columns, whose sum over rows tells when rows exchange values. */
  hash(fields: readonly Field[], expressions: readonly string[]): string
  /** The text of a column's value; null stays null. */
  text(field: Field, expression: string): string
}

/**
 * The query for a digest of the rows that `from` gives. `place` says where a row lies. The key is hashed in a subquery,
 * so that this happens once, and rows that are not asked for are not hashed as a whole.
 */
export function digestQuery(dialect: DigestDialect, digest: Digest, from: string, place: string): string {
  const { columns, key, buckets, rows } = digest
  const quoted = columns.map(({ name }) => dialect.names.quote(name))
  const keyed = key.length === 0 ? columns : columns.filter(({ name }) => key.includes(name))
  const names = keyed.map(({ name }) => dialect.names.quote(name))
  // In the subquery, columns have names that no table has a say in. Its OFFSET keeps it from being dissolved.
  const inner = columns.map((_, i) => `c${i}`)
  const outputs = [dialect.hash(keyed, names), place, ...quoted].join(', ')
  const subquery = `(SELECT ${outputs} ${from} OFFSET 0) AS x(${['k', 'p', ...inner].join(', ')})`
  const hash = key.length === 0 ? 'k' : dialect.hash(columns, inner)
  const bucket = `(k & ${buckets - 1})`
  if (!rows) {
    const sums = `CAST(count(*) AS bigint), CAST(sum(${hash}) AS numeric)`
    return `SELECT CAST(${bucket} AS integer), ${sums} FROM ${subquery} GROUP BY 1`
  }
  if ('buckets' in rows) return `SELECT k, ${hash} FROM ${subquery} WHERE ${bucket} IN (${rows.buckets.join(', ')})`
  const texts = columns.map((field, i) => dialect.text(field, `c${i}`))
  const found = ['k', hash, 'CAST(p AS text)', ...texts].join(', ')
  return `SELECT ${found} FROM ${subquery} WHERE k IN (${rows.keys.join(', ')})`
}
