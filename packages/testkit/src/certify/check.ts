import type { Place } from './place.ts'
import type { Subject } from './subject.ts'

/** What a check is about; the suite runs them in this order. */
export const GROUPS = [
  'contract',
  'config',
  'discovery',
  'values',
  'batching',
  'partitions',
  'commits',
  'modes',
  'dead letters',
  'schema change',
  'buffers',
  'backpressure',
  'health and metrics',
  'faults',
] as const
export type Group = (typeof GROUPS)[number]

/** One thing that a connector must do, as a value. Runs by itself, in any order, in a place of its own. */
export interface Check {
  /** What holds, as a sentence without a subject: `closes twice without harm`. Unique in its group. */
  readonly name: string
  readonly group: Group
  /** Why the check says nothing of this connector: a capability that it does not claim. Left out: it says something of all. */
  readonly exempt?: (subject: Subject) => string | undefined
  /** Throws what does not hold, for people. */
  readonly run: (place: Place) => Promise<void>
}
