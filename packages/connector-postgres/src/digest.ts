import type { DigestDialect } from '@nebula/sql'
import { NAMES } from './types.ts'

/** The function below. Servers of all versions compute the same, since hash partitions depend on it. */
export const DIGEST = 'postgres-hash-record-1'

/** Equal for the hash functions of PostgreSQL only when they are the same in every respect. */
const HASHED =
  /^(boolean|smallint|integer|bigint|date|time without time zone|timestamp with(out)? time zone|uuid|bytea|numeric\(\d+,\d+\))$/
const COLLATED = /^(text|character(\(\d+\)| varying(\(\d+\))?))$/

/** Binds the collation, which may call different texts equal, and takes other types by what their output function says. */
export const DIGESTS: DigestDialect = {
  names: NAMES,
  // A record's hash is a sum over its columns. Mixed once more, rows that exchange values do not add up to the same.
  hash: (fields, expressions) => {
    const values = fields.map(({ declared = '' }, i) => {
      const expression = expressions[i] ?? ''
      if (HASHED.test(declared)) return expression
      return `${COLLATED.test(declared) ? expression : output(expression)} COLLATE "C"`
    })
    return `hashint8extended(hash_record_extended(ROW(${values.join(', ')}), 0), 0)`
  },
  text: ({ declared }, expression) => (declared === 'boolean' ? `${expression}::text` : output(expression)),
  bucket: (hash, buckets) => `(${hash} & ${buckets - 1})`,
  among: (expression, list) => `${expression} = ANY ('{${list.join(',')}}'::bigint[])`,
  cast: (expression, type) => `${expression}::${{ bucket: 'integer', rows: 'bigint', sum: 'numeric' }[type]}`,
}

/** The output function of any type, which a cast to text does not always use; null stays null. */
export function output(expression: string): string {
  return `CASE num_nulls(${expression}) WHEN 0 THEN concat(${expression}) END`
}
