/** What the user, or whoever runs the command, wants of it. */
export interface Signals extends Disposable {
  /** End at the next commits. */
  readonly drain: AbortSignal
  /** End at once. */
  readonly signal: AbortSignal
}

/**
 * Listens to SIGINT and SIGTERM until it is disposed of: the first one drains, the second one aborts, a third one kills.
 * After `timeoutMs` it is as if the first one had come.
 */
export function signals(timeoutMs?: number): Signals {
  const drain = new AbortController()
  const abort = new AbortController()
  const say = (text: string): void => {
    // Behind the `^C` that a terminal shows.
    process.stderr.write(`${process.stderr.isTTY ? '\n' : ''}${text}\n`)
  }
  const ending = 'nothing new begins, and what is under way has 10 s to reach its next commit'
  const onSignal = (): void => {
    if (drain.signal.aborted) {
      say('stopping at once: what is not committed is done again by the same command')
      abort.abort()
      off()
      return
    }
    say(`stopping: ${ending}; again to stop at once`)
    drain.abort()
  }
  const off = (): void => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  const onTimeout = (): void => {
    if (drain.signal.aborted) return
    say(`the time is over: ${ending}`)
    drain.abort()
  }
  const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, Math.min(timeoutMs, LONGEST_TIMER_MS))
  return {
    drain: drain.signal,
    signal: abort.signal,
    [Symbol.dispose]() {
      clearTimeout(timer)
      off()
    },
  }
}

/** Node's timers hold a signed 32-bit number and fire at once beyond it. */
const LONGEST_TIMER_MS = 0x7fffffff
