import type { ErrorCode, Mode } from '@nebula/core'
import type { Comparison } from './compare.ts'

/** What was found of one stream. Counts are missing where it could not be compared. */
export interface StreamVerification extends Partial<Comparison> {
  readonly stream: string
  readonly target: string
  readonly mode: Mode
  /** The target may have rows that the source does not have. */
  readonly moreAllowed: boolean
  readonly status: 'equal' | 'different' | 'failed'
  /** Where rows were hashed: in both databases, or here, after reading them. */
  readonly method?: 'database' | 'reading'
  /** In the target's names; empty without one. */
  readonly key: readonly string[]
  /** Rows that could not be read; those of the source are no part of the comparison, those of the destination differ. */
  readonly unreadable?: { readonly source: number; readonly destination: number }
  /** Columns that were left out, and why: what the pipeline may lose by name cannot be equal. */
  readonly uncompared: readonly { readonly column: string; readonly why: string }[]
  readonly seconds: number
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly fix: string }
}

/** Whether the destination holds what the pipeline says should have arrived. JSON. */
export interface VerifyReport {
  readonly pipeline: string
  readonly status: 'equal' | 'different' | 'failed'
  /** 0 equal, 4 different; of a failure, its own. */
  readonly exitCode: number
  readonly startedAt: string
  readonly seconds: number
  readonly streams: readonly StreamVerification[]
}
