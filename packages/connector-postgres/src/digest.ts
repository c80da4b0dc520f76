import type { Field } from '@nebula/core'
import type { DigestDialect } from '@nebula/sql'
import { NAMES } from './types.ts'

/** What is computed below. All versions of the server compute the same: their hash partitions depend on it. */
export const DIGEST = 'postgres-hash-1'

/** By declared types without their numbers, only those whose equal values are the same in every respect. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  smallint: 'hashint2extended',
  integer: 'hashint4extended',
  bigint: 'hashint8extended',
  'numeric(,)': 'hash_numeric_extended',
}
/** Those whose function has no name that they can be given to. */
const BY_RECORD = /^(boolean|date|uuid|bytea|time(stamp)?\S* with(out)? time zone)$/
/** Types whose binary form is their text. */
const TEXT_TYPES = /^(text|name|character( varying)?(\(\d+\))?)$/

export const DIGESTS: DigestDialect = {
  names: NAMES,
  hash(fields, expressions) {
    const terms: string[] = []
    const record: string[] = []
    for (const [i, field] of fields.entries()) {
      const expression = expressions[i] ?? ''
      const type = (field.declared ?? '').replace(/\d+/g, '')
      const value = FUNCTIONS[type] === undefined ? `${textOf(field, expression)} COLLATE "C"` : expression
      if (BY_RECORD.test(type)) record.push(expression)
      else terms.push(`coalesce(${FUNCTIONS[type] ?? 'hashtextextended'}(${value}, ${i}), ${i})`)
    }
    if (record.length > 0) terms.push(`hash_record_extended(ROW(${record.join(', ')}), 0)`)
    return `hashint8extended(${terms.join(' # ')}, 0)`
  },
  text: textOf,
}

/** The text of a value; null stays null. */
export function textOf({ declared = '' }: Field, expression: string): string {
  if (declared === 'boolean') return `${expression}::text`
  return TEXT_TYPES.test(declared) ? expression : output(expression)
}

/** The output function of any type, which a cast to text does not always use; null stays null. */
export function output(expression: string): string {
  return `CASE num_nulls(${expression}) WHEN 0 THEN concat(${expression}) END`
}
