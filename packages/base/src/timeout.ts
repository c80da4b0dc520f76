import { NebulaError } from '@nebula/core'

/** Node's timers hold a signed 32-bit number and fire at once beyond it. */
export const LONGEST_TIMER_MS = 0x7fffffff

export interface TimeLimit {
  readonly ms: number
  /** What is bounded, as it begins a sentence. */
  readonly what: string
  /** The configuration key that says how long. */
  readonly key: string
}

/**
 * Runs one request under a time limit. The request gets a signal that fires at the limit or with `signal`, and must
 * honour it. Throws `timeout` (with `what` in its message) or `aborted`; another error passes unchanged.
 */
export async function withTimeout<T>(
  limit: TimeLimit,
  signal: AbortSignal,
  request: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal)
  const own = new AbortController()
  const stop = (): void => own.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  const ended = new Promise<never>((_, reject) => {
    own.signal.addEventListener('abort', () => reject(interruption(limit, signal)), { once: true })
  })
  const timer = setTimeout(() => own.abort(), Math.min(limit.ms, LONGEST_TIMER_MS))
  try {
    const running = request(own.signal)
    running.catch(() => {})
    return await Promise.race([running, ended])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

function interruption(limit: TimeLimit, signal: AbortSignal): NebulaError {
  if (signal.aborted) return new NebulaError('aborted', { message: `${limit.what} was interrupted.` })
  return timeoutError(limit)
}

/** The error of work that took too long. */
export function timeoutError({ ms, what, key }: TimeLimit): NebulaError {
  return new NebulaError('timeout', {
    message: `${what} took longer than ${ms} ms.`,
    fix: `Raise ${key}, or find out what holds it up.`,
  })
}

/** Waits for work that no signal stops: until it ends, or throws the reason of the signal once that has fired. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const stopped = Promise.withResolvers<never>()
  const stop = (): void => stopped.reject(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, stopped.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Throws `aborted` when the signal has fired. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new NebulaError('aborted', { message: 'The work was interrupted.' })
}
