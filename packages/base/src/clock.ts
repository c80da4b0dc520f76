import type { Clock } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** The computer's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer)
        reject(new NebulaError('aborted', { message: 'Stopped while waiting.', cause: signal?.reason }))
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }, ms)
      if (signal?.aborted) stop()
      else signal?.addEventListener('abort', stop, { once: true })
    }),
}

/**
 * Milliseconds since some moment, for durations: no change of the system's time moves them. Not `performance.now()`,
 * whose first call loads a dozen modules of Node.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}
