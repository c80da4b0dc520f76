import type { Clock } from '@nebula/core'
import { systemClock } from './clock.ts'

/** How long tasks that are under way have to reach their next commit, once the run is to end. */
const DRAIN_MS = 10_000

/** What asks a run to stop: at once, or gently. */
interface StopSignals {
  readonly signal?: AbortSignal
  readonly drain?: AbortSignal
  readonly clock?: Clock
}

/** When a run stops. */
export interface Stopping extends Disposable {
  /** Fires when it is to stop at once. */
  readonly signal: AbortSignal
  /** From now on tasks are under way, and are given time to end. */
  begin(): void
}

/** Joins the two ways to stop: at once, and when what is under way has ended or its time is over. */
export function stopping({ signal, drain, clock = systemClock }: StopSignals): Stopping {
  const stop = new AbortController()
  const ended = new AbortController()
  let begun = false
  const abort = (): void => stop.abort()
  const end = (): void => {
    if (begun) clock.sleep(DRAIN_MS, ended.signal).then(abort, () => {})
    else abort()
  }
  signal?.addEventListener('abort', abort, { once: true, signal: ended.signal })
  drain?.addEventListener('abort', end, { once: true, signal: ended.signal })
  if (signal?.aborted === true || drain?.aborted === true) abort()
  return {
    signal: stop.signal,
    begin() {
      begun = true
    },
    [Symbol.dispose]: () => ended.abort(),
  }
}
