import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** The computer's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, signal ? { signal } : undefined)
    } catch (cause) {
      throw new NebulaError('aborted', { message: 'Stopped while waiting.', cause })
    }
  },
}
