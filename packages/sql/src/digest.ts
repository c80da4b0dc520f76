import type { Digest, Field } from '@nebula/core'
import type { Names } from './names.ts'

/** How a database computes a digest. Expressions are those of columns, in the order of their fields. */
export interface DigestDialect {
  readonly names: Names
  /** A hash of 64 bits, signed, of the values of some columns. Sums of it must not be blind to values that change rows. */
  hash(fields: readonly Field[], expressions: readonly string[]): string
  /** The text of a column's value. */
  text(field: Field, expression: string): string
  /** Which bucket a hash falls in. */
  bucket(hash: string, buckets: number): string
  /** True where a number is one of a list; the list may be empty. */
  among(expression: string, list: readonly (number | string)[]): string
  /** A column's type in the answer. */
  cast(expression: string, type: 'bucket' | 'rows' | 'sum'): string
}

/**
 * The query for a digest of the rows that `from` (and its WHERE) gives. `place` says in people's words where a row lies.
 * The key is hashed in a subquery, so that it is hashed once and rows of other buckets are not hashed at all.
 */
export function digestQuery(dialect: DigestDialect, digest: Digest, from: string, place: string): string {
  const { columns, key, buckets, rows } = digest
  const keyFields = key.length === 0 ? columns : columns.filter(({ name }) => key.includes(name))
  const names = columns.map(({ name }) => dialect.names.quote(name))
  const keyHash = dialect.hash(
    keyFields,
    keyFields.map(({ name }) => dialect.names.quote(name)),
  )
  const inner = columns.map((_, i) => `c${i}`)
  const hash = key.length === 0 ? 'k' : dialect.hash(columns, inner)
  // The names of the subquery are its own, whatever those of the columns are. OFFSET keeps it one.
  const subquery = `(SELECT ${[keyHash, place, ...names].join(', ')} ${from} OFFSET 0) AS x(${['k', 'p', ...inner].join(', ')})`
  const bucket = dialect.bucket('k', buckets)
  if (!rows) {
    const answer = [
      dialect.cast(bucket, 'bucket'),
      dialect.cast('count(*)', 'rows'),
      dialect.cast(`sum(${hash})`, 'sum'),
    ]
    return `SELECT ${answer.join(', ')} FROM ${subquery} GROUP BY 1`
  }
  if ('buckets' in rows) return `SELECT k, ${hash} FROM ${subquery} WHERE ${dialect.among(bucket, rows.buckets)}`
  const texts = columns.map((field, i) => dialect.text(field, `c${i}`))
  return `SELECT ${['k', hash, 'p', ...texts].join(', ')} FROM ${subquery} WHERE ${dialect.among('k', rows.keys)}`
}
