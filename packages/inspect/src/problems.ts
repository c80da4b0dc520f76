import type { ErrorCode } from '@nebula/core'
import { ERROR_CODES, toNebulaError } from '@nebula/core'
import type { StreamProblem } from '@nebula/runtime'

/** What stands in the way, and what to do about it. JSON; holds no secret. */
export interface PlanProblem {
  readonly code: ErrorCode
  readonly stream?: string
  readonly column?: string
  readonly text: string
  readonly fix: string
}

/** With the catalogue's advice. */
export function withFix(problem: StreamProblem): PlanProblem {
  return { ...problem, fix: ERROR_CODES[problem.code].fix }
}

/** An error that was thrown, as a problem among others. */
export function problemOf(thrown: unknown): PlanProblem {
  const { code, message, fix, stream } = toNebulaError(thrown)
  return { code, text: message, fix, ...(stream === undefined ? {} : { stream }) }
}

/** 0 without problems; else the least: that of connections and privileges only where nothing else is wrong. */
export function exitCodeOf(problems: readonly PlanProblem[]): number {
  const exits = problems.map(({ code }) => ERROR_CODES[code].exit)
  return exits.length === 0 ? 0 : Math.min(...exits)
}
