import type { LogicalType } from './types.ts'

/**
 * Which rows of a stream are wanted: the language of `where`. JSON. Logic is three-valued, as in SQL: a comparison with
 * a null is unknown, and a row is wanted only where the whole is true. Made by `parseCondition`.
 */
export type Condition =
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Condition[] }
  | { readonly kind: 'not'; readonly term: Condition }
  | { readonly kind: 'null'; readonly column: string }
  | { readonly kind: 'compare'; readonly column: string; readonly operator: Operator; readonly literal: Literal }
  | { readonly kind: 'in'; readonly column: string; readonly literals: readonly Literal[] }
  | { readonly kind: 'like'; readonly column: string; readonly pattern: string }

export type Operator = '=' | '<>' | '<' | '<=' | '>' | '>='

/** A constant as it is written: a number by its digits, so that nothing is rounded before its type is known. */
export type Literal =
  | { readonly kind: 'number' | 'text'; readonly text: string }
  | { readonly kind: 'bool'; readonly value: boolean }

/** A column in a condition, with the type in which its values are compared. */
export interface ComparedColumn {
  readonly column: string
  readonly type: LogicalType
  /** As its source declares it. */
  readonly declared?: string
}

/**
 * A condition whose columns exist and whose literals are values of their types. JSON. Made by `bindCondition`. Literals
 * are canonical texts: exact decimal digits, `NaN` or an infinity for integers, decimals and numerics; for all other
 * types what `formatColumn` writes. How each type compares stands in `docs/pipeline-file.md`.
 */
export type BoundCondition =
  | { readonly kind: 'and' | 'or'; readonly terms: readonly BoundCondition[] }
  | { readonly kind: 'not'; readonly term: BoundCondition }
  | { readonly kind: 'null'; readonly column: string }
  | (ComparedColumn & { readonly kind: 'compare'; readonly operator: Operator; readonly value: string })
  | (ComparedColumn & { readonly kind: 'in'; readonly values: readonly string[] })
  | (ComparedColumn & { readonly kind: 'like'; readonly pattern: string })

/** The columns that a condition names, each once. */
export function conditionColumns(condition: Condition | BoundCondition): string[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return [...new Set(condition.terms.flatMap(conditionColumns))]
    case 'not':
      return conditionColumns(condition.term)
    default:
      return [condition.column]
  }
}

/** The types in which the columns of a condition are compared. */
export function comparedTypes(condition: BoundCondition): ReadonlyMap<string, LogicalType> {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return new Map(condition.terms.flatMap((term) => [...comparedTypes(term)]))
    case 'not':
      return comparedTypes(condition.term)
    case 'null':
      return new Map()
    default:
      return new Map([[condition.column, condition.type]])
  }
}
