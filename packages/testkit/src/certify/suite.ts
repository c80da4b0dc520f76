import type { Connector } from '@nebula/core'
import type { Check } from './check.ts'
import { GROUPS } from './check.ts'
import { backpressureChecks } from './checks/backpressure.ts'
import { batchingChecks } from './checks/batching.ts'
import { bufferChecks } from './checks/buffers.ts'
import { commitChecks } from './checks/commits.ts'
import { configChecks } from './checks/config.ts'
import { contractChecks } from './checks/contract.ts'
import { deadLetterChecks } from './checks/dead-letters.ts'
import { deleteChecks } from './checks/deletes.ts'
import { discoveryChecks } from './checks/discovery.ts'
import { faultChecks } from './checks/faults.ts'
import { healthChecks } from './checks/health.ts'
import { modeChecks } from './checks/modes.ts'
import { partitionChecks } from './checks/partitions.ts'
import { schemaChangeChecks } from './checks/schema-change.ts'
import { valueChecks } from './checks/values.ts'
import { Place } from './place.ts'
import type { Subject, SubjectOptions, SubjectServer } from './subject.ts'
import { within } from './within.ts'

/** So long a check may take; most take far less than a second. */
export const CHECK_TIMEOUT_MS = 60_000

const CHECKS: readonly Check[] = [
  ...contractChecks,
  ...configChecks,
  ...discoveryChecks,
  ...valueChecks,
  ...batchingChecks,
  ...partitionChecks,
  ...commitChecks,
  ...modeChecks,
  ...deleteChecks,
  ...deadLetterChecks,
  ...schemaChangeChecks,
  ...bufferChecks,
  ...backpressureChecks,
  ...healthChecks,
  ...faultChecks,
]

/** Every check there is, in the order of the groups. */
export const checks: readonly Check[] = GROUPS.flatMap((group) => CHECKS.filter((check) => check.group === group))

export function subjectOf<Server extends SubjectServer | undefined>(
  connector: Connector,
  options: SubjectOptions<Server>,
): Subject {
  // A subject's own functions alone see its server.
  return { ...(options as unknown as SubjectOptions), connector }
}

/** Runs one check in a place of its own. Throws what does not hold. */
export async function runCheck(check: Check, subject: Subject, server: SubjectServer | undefined): Promise<void> {
  try {
    await using place = await Place.create(subject, server)
    await within(CHECK_TIMEOUT_MS, 'The check', check.run(place))
  } catch (error) {
    throw firstOf(error)
  }
}

/** The failure itself, where what it left behind could not be closed either. */
function firstOf(error: unknown): unknown {
  return error instanceof Error && 'suppressed' in error ? firstOf(error.suppressed) : error
}
