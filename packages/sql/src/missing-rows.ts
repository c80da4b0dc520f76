import { NebulaError } from '@nebula/core'

/** Throws `counts_differ` when a target took fewer rows than were staged: what it runs for each row may drop it silently. */
export function refuseMissingRows(target: string, taken: number, staged: number): void {
  if (taken === staged) return
  throw new NebulaError('counts_differ', {
    message: `${target} took ${taken} of ${staged} rows.`,
    fix: 'Look for a trigger or a rule of the target that drops rows.',
  })
}
