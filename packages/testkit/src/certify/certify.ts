import type { BaseConfig, Connector } from '@nebula/core'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { Group } from './check.ts'
import { GROUPS } from './check.ts'
import type { SubjectOptions, SubjectServer } from './subject.ts'
import { CHECK_TIMEOUT_MS, checks, runCheck, subjectOf } from './suite.ts'

/**
 * Declares the suite as tests of vitest: one for every check that says something of this connector. What it implements
 * is what it claims, and what it claims is tested. Call it at the top of a test file; `groups` are for who spreads the
 * suite over files that run at once.
 */
export function certify<Config extends BaseConfig, Server extends SubjectServer | undefined>(
  connector: Connector<Config>,
  options: SubjectOptions<Server>,
  groups: readonly Group[] = GROUPS,
): void {
  const subject = subjectOf(connector as unknown as Connector, options)
  let server: SubjectServer | undefined
  beforeAll(async () => {
    server = await options.server?.()
  }, CHECK_TIMEOUT_MS)
  afterAll(() => server?.stop())
  for (const group of groups) {
    const applicable = checks.filter((check) => check.group === group && check.exempt?.(subject) === undefined)
    if (applicable.length === 0) continue
    describe(group, () => {
      for (const check of applicable) {
        // The check has its own limit, which says more.
        test(check.name, () => runCheck(check, subject, server), 2 * CHECK_TIMEOUT_MS)
      }
    })
  }
}
