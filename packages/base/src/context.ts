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
    const stop = more ? either(signal, more) : signal
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

/** The same context, which other signals stop, too. */
export function withSignal(context: Context, ...signals: readonly AbortSignal[]): Context {
  const signal = AbortSignal.any([context.signal, ...signals])
  followed.set(signal, context.signal)
  return {
    ...context,
    signal,
    call: (request, options) =>
      context.call(request, { ...options, signal: options?.signal ? either(signal, options.signal) : signal }),
  }
}

/** By a context's signal: the one of the context that it was made of, with which it fires. */
const followed = new WeakMap<AbortSignal, AbortSignal>()

/** Fires with either. Requests are many and signals dear: no new one where the second fires with the first. */
function either(signal: AbortSignal, more: AbortSignal): AbortSignal {
  for (let one: AbortSignal | undefined = more; one; one = followed.get(one)) if (one === signal) return more
  return AbortSignal.any([signal, more])
}
