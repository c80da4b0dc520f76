import type { Clock, Context, Logger } from '@nebula/core'
import { toNebulaError } from '@nebula/core'

/** `call` with a line at debug level for each request: whose it is, how long it took, and its code when it failed. */
export function logRequests(call: Context['call'], name: string, logger: Logger, clock: Clock): Context['call'] {
  return async (request, options) => {
    const began = clock.now()
    const log = (more: object): void => logger.debug('request', { connector: name, ms: clock.now() - began, ...more })
    try {
      const result = await call(request, options)
      log({})
      return result
    } catch (error) {
      log({ code: toNebulaError(error).code })
      throw error
    }
  }
}
