import type { BoundCondition, LogicalType, Secret } from '@nebula/core'

/** What happens to the values of one column. JSON, but for the key of an hmac, which prints as `***`. */
export type ColumnStep = { readonly kind: 'cast'; readonly type: LogicalType } | MaskStep

/** What arrives instead of a value; see `maskColumn`. */
export type MaskStep =
  | { readonly kind: 'sha256' | 'redact' | 'partial' }
  | { readonly kind: 'hmac'; readonly key: Secret }

/** The steps of one column, in order; none: it arrives as it was read. */
export type ColumnSteps = readonly ColumnStep[]

/** What is known of all rows of a task beside their columns; `@place` is known of each. */
export const METADATA = ['@extracted_at', '@run_id', '@stream', '@partition', '@place'] as const
export type Metadata = (typeof METADATA)[number]

/** Where a column of the result comes from: the index of a column that was read or made, or what is added. JSON. */
export type ColumnOrigin =
  | number
  | { readonly type: LogicalType; readonly value: string }
  | { readonly type: LogicalType; readonly metadata: Metadata }

/** A function in a file beside the pipeline, by reference. JSON. */
export interface FunctionReference {
  /** Absolute. */
  readonly path: string
  /** SHA-256 of the file's content, in hexadecimal digits: another content is another function. */
  readonly hash: string
}

/**
 * What happens to the rows of one stream between source and destination, in this order: rows that `where` does not want
 * are left out; the function drops rows and makes columns; columns are chosen, and each passes its steps.
 */
export interface StreamTransform {
  /** Left out: every row, or the source leaves them out itself. */
  readonly where?: BoundCondition
  readonly function?: FunctionReference
  /** One per column of the result. */
  readonly origins: readonly ColumnOrigin[]
  /** One list per column of the result. */
  readonly steps: readonly ColumnSteps[]
}

/** True when rows of `columns` columns arrive exactly as they were read. */
export function changesNothing({ where, function: code, origins, steps }: StreamTransform, columns: number): boolean {
  if (where !== undefined || code !== undefined || origins.length !== columns) return false
  return origins.every((origin, i) => origin === i && steps[i]?.length === 0)
}
