import type { BaseConfig, Clock, Context, Logger, NebulaError } from '@nebula/core'
import { BufferPool } from '@nebula/core'
import { CircuitBreaker } from './circuit-breaker.ts'
import { systemClock } from './clock.ts'
import { logRequests } from './log-requests.ts'
import { silentLogger } from './logger.ts'
import { Retry } from './retry.ts'
import { withTimeout } from './timeout.ts'

export interface ContextOptions {
  readonly signal: AbortSignal
  readonly config: BaseConfig
  readonly logger?: Logger
  readonly clock?: Clock
  readonly pool?: BufferPool
  /** What the requests are for, in messages. */
  readonly name?: string
  /** Told before a failed request is tried again, with the wait in milliseconds. */
  readonly onRetry?: (error: NebulaError, delayMs: number) => void
  /** Told when the circuit breaker changes its state. */
  readonly onBreaker?: (state: CircuitBreaker['state']) => void
}

/** What a driver is given: signal, log, clock, memory, and requests that are bounded, repeated and refused as configured. */
export function createContext(options: ContextOptions): Context {
  const { signal, config, logger = silentLogger, clock = systemClock, name = 'the system', onRetry } = options
  const limit = { ms: config.timeouts.request, what: `A request to ${name}`, key: 'timeouts.request' }
  const retry = new Retry(config.reliability, clock)
  const { enabled, ...thresholds } = config.reliability.circuitBreaker
  const breaker = enabled ? new CircuitBreaker(thresholds, clock, name) : undefined
  if (breaker) breaker.onState = options.onBreaker
  const call: Context['call'] = (request, { idempotent = true, unbounded = false, signal: more } = {}) => {
    const stop = more ? AbortSignal.any([signal, more]) : signal
    const bounded = unbounded ? { ...limit, ms: Infinity } : limit
    const once = (): ReturnType<typeof request> => withTimeout(bounded, stop, request)
    // The breaker judges every try, and an open one keeps the retry waiting instead of asking.
    const guarded = breaker ? () => breaker.execute(once) : once
    if (!idempotent) return guarded()
    return retry.execute(guarded, stop, (error, delayMs) => {
      logger.info('a request is tried again', { system: name, code: error.code, delayMs: Math.round(delayMs) })
      onRetry?.(error, delayMs)
    })
  }
  return {
    signal,
    logger,
    clock,
    pool: options.pool ?? new BufferPool(config.memory.bufferPoolBytes),
    call: config.advanced.debug ? logRequests(call, name, logger, clock) : call,
    wait: (something) => something,
  }
}

/** The same context, which another signal stops, too. */
export function withSignal(context: Context, signal: AbortSignal): Context {
  return {
    ...context,
    signal,
    call: (request, options) =>
      context.call(request, {
        ...options,
        signal: options?.signal ? AbortSignal.any([signal, options.signal]) : signal,
      }),
  }
}
