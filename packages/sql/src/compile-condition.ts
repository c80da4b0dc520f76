import type { BoundCondition, LogicalType } from '@nebula/core'
import { EXACT_NUMBERS } from '@nebula/core'
import type { SqlTypes } from './dialect.ts'
import type { Names } from './names.ts'

/** How a dialect spells the parts of a condition. */
export interface ConditionDialect {
  readonly names: Names
  readonly types: Pick<SqlTypes, 'columnType'>
  /** The text of a quoted column, so that it compares by code point and by no collation. */
  readonly text: (column: string, declared: string | undefined) => string
}

/** The condition as SQL that is true of exactly the rows of which the runtime says so; in parentheses. */
export function compileCondition(condition: BoundCondition, dialect: ConditionDialect): string {
  switch (condition.kind) {
    case 'and':
    case 'or': {
      const terms = condition.terms.map((term) => compileCondition(term, dialect))
      return `(${terms.join(condition.kind === 'and' ? ' AND ' : ' OR ')})`
    }
    case 'not':
      return `(NOT ${compileCondition(condition.term, dialect)})`
    case 'null':
      // IS NULL would ask about the fields of a composite value.
      return `(${dialect.names.quote(condition.column)} IS NOT DISTINCT FROM NULL)`
    default:
      return `(${comparison(condition, dialect)})`
  }
}

function comparison(
  condition: Extract<BoundCondition, { kind: 'compare' | 'in' | 'like' }>,
  { names, types, text }: ConditionDialect,
): string {
  const { type, declared } = condition
  const quoted = names.quote(condition.column)
  const column = type.kind === 'utf8' ? text(quoted, declared) : quoted
  const literal = (value: string): string => {
    return `CAST('${value.replaceAll("'", "''")}' AS ${types.columnType(literalType(value, type))?.type ?? 'text'})`
  }
  switch (condition.kind) {
    case 'compare':
      return `${column} ${condition.operator} ${literal(condition.value)}`
    case 'in':
      return `${column} IN (${condition.values.map(literal).join(', ')})`
    case 'like':
      return `${column} LIKE ${literal(condition.pattern)}`
  }
}

/** Numbers are compared as what they are: as integers where they are small ones, so that an index serves. */
function literalType(text: string, type: LogicalType): LogicalType {
  if (!EXACT_NUMBERS.has(type.kind)) return type
  const integer = type.kind !== 'decimal' && type.kind !== 'numeric' && /^-?\d{1,18}$/.test(text)
  return { kind: integer ? 'int64' : 'numeric' }
}
