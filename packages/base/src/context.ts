import type { BaseConfig, Clock, Context, Logger } from '@nebula/core'
import { BufferPool } from '@nebula/core'
import { systemClock } from './clock.ts'
import { logRequests } from './log-requests.ts'
import { silentLogger } from './logger.ts'
import { throwIfAborted, withTimeout } from './timeout.ts'

export interface ContextOptions {
  readonly signal: AbortSignal
  readonly config: BaseConfig
  readonly logger?: Logger
  readonly clock?: Clock
  readonly pool?: BufferPool
  /** What the requests are for, in messages. */
  readonly name?: string
}

/** What a driver is given: signal, log, clock, memory, and requests under the connector's timeouts. */
export function createContext(options: ContextOptions): Context {
  const { signal, config } = options
  const limit = {
    ms: config.timeouts.request,
    what: `A request to ${options.name ?? 'the system'}`,
    key: 'timeouts.request',
  }
  const logger = options.logger ?? silentLogger
  const clock = options.clock ?? systemClock
  const call: Context['call'] = (request) => withTimeout(limit, signal, request)
  return {
    signal,
    logger,
    clock,
    pool: options.pool ?? new BufferPool(config.memory.bufferPoolBytes),
    call: config.advanced.debug ? logRequests(call, options.name ?? '', logger, clock) : call,
  }
}

/** The same context under another signal. */
export function withSignal(context: Context, signal: AbortSignal): Context {
  const { logger, clock, pool } = context
  return {
    signal,
    logger,
    clock,
    pool,
    async call(request) {
      throwIfAborted(signal)
      try {
        return await context.call((inner) => request(AbortSignal.any([inner, signal])))
      } catch (error) {
        // However the request says that it was stopped.
        throwIfAborted(signal)
        throw error
      }
    },
  }
}
