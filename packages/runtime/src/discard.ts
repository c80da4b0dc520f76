import type { Context, DestinationDriver, Run } from '@nebula/core'
import type { DeadLetters } from './dead-letters.ts'
import type { LocalState } from './state.ts'

export interface DiscardPorts {
  readonly drivers: { readonly destination: DestinationDriver }
  readonly state: LocalState | undefined
  /** Of the run whose streams are discarded. */
  readonly deadLetters: DeadLetters
}

/**
 * Takes away what streams of a run reached. First it is forgotten: after a crash in between, a checkpoint whose rows are
 * gone would lose them. A destination that cannot discard keeps what it has, and its checkpoints.
 */
export async function discardStreams(
  { drivers: { destination }, state, deadLetters }: DiscardPorts,
  run: Run,
  streams: readonly string[],
  context: Context,
): Promise<void> {
  if (!destination.discard) return
  await state?.discard(streams)
  await destination.discard(run, streams, context)
  for (const stream of streams) await deadLetters.keepOnly(stream, [])
}
