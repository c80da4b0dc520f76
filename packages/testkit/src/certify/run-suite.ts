import { toNebulaError } from '@nebula/core'
import type { Check, Group } from './check.ts'
import type { Subject } from './subject.ts'
import { checks, runCheck } from './suite.ts'

/** What came of one check. */
export interface CheckResult {
  readonly group: Group
  readonly name: string
  readonly status: 'passed' | 'failed' | 'skipped'
  readonly ms: number
  /** What does not hold; of a check that was skipped, why it says nothing of this connector. */
  readonly reason?: string
}

/** Runs checks one after the other, over one server where the subject has one. `told` hears of each at once. */
export async function runSuite(
  subject: Subject,
  told: (result: CheckResult) => void = () => {},
  chosen: readonly Check[] = checks,
): Promise<readonly CheckResult[]> {
  const server = await subject.server?.()
  const results: CheckResult[] = []
  try {
    for (const check of chosen) {
      const result = await judge(check, () => runCheck(check, subject, server), subject)
      told(result)
      results.push(result)
    }
  } finally {
    await server?.stop()
  }
  return results
}

async function judge(check: Check, run: () => Promise<void>, subject: Subject): Promise<CheckResult> {
  const { group, name } = check
  const exempt = check.exempt?.(subject)
  if (exempt !== undefined) return { group, name, status: 'skipped', ms: 0, reason: exempt }
  const began = performance.now()
  const ms = (): number => Math.round(performance.now() - began)
  try {
    await run()
    return { group, name, status: 'passed', ms: ms() }
  } catch (error) {
    const reason = error instanceof Error ? error.message : toNebulaError(error).message
    return { group, name, status: 'failed', ms: ms(), reason }
  }
}
