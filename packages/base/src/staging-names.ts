import { createHash } from 'node:crypto'
import type { Run, StreamPlan } from '@nebula/core'

/** Begins the names of all staging. */
const STAGING = 'nebula_stage_'
/** Names that Nebula keeps for itself at a destination. */
export const RESERVED_NAME = new RegExp(`^(nebula_checkpoints$|${STAGING})`)

/** A stream between its first row and its target. */
export interface StagedStream {
  readonly run: Run
  readonly stream: StreamPlan
}

/** Begins all names of a pipeline, of which another place of checkpoints may have one that is called the same. */
export function pipelinePrefix(place: string, pipeline: string): string {
  return `${STAGING}${hash(place, pipeline)}_`
}

/** Begins the names of the staging of a stream in one generation; then comes a number, the highest of the last process. */
export function stagingPrefix(place: string, { run, stream: { request, target, generation } }: StagedStream): string {
  return `${pipelinePrefix(place, run.pipeline)}${hash(run.id, request.stream, target)}_${generation}_`
}

/** Where the keys are that the source of a stream has: of one process alone. */
export function keysName(place: string, { run, stream: { request, target } }: StagedStream): string {
  return `${pipelinePrefix(place, run.pipeline)}keys_${hash(run.id, request.stream, target)}_${run.epoch}`
}

/** Of the names that stand, the one that the last process of a run left to the next. */
export function latestName(standing: Iterable<string>, prefix: string): string | undefined {
  const epochOf = (name: string): number => Number(name.slice(prefix.length))
  const found = [...standing].filter((name) => name.startsWith(prefix))
  return found.toSorted((a, b) => epochOf(a) - epochOf(b)).at(-1)
}

function hash(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12)
}
