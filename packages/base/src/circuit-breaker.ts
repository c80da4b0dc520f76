import type { BaseConfig, Clock, ErrorCode } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'

export type CircuitBreakerOptions = Omit<BaseConfig['reliability']['circuitBreaker'], 'enabled'>

type State =
  | { readonly kind: 'closed'; failures: number }
  | { readonly kind: 'open'; readonly until: number }
  | { readonly kind: 'half_open'; probes: number }

/** What says that the system is not there, or not able. */
const FAILURES: ReadonlySet<ErrorCode> = new Set(['connection_failed', 'connection_lost', 'server_busy', 'timeout'])

/**
 * Stops asking a system that fails `threshold` times in a row, for `timeout`; then lets `halfOpenRequests` try at once,
 * of which the first answer decides. An answer of any kind, a refusal too, shows that the system is there.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions
  readonly #clock: Clock
  readonly #name: string
  #state: State = { kind: 'closed', failures: 0 }
  /** Told of every change of state. */
  onState: ((state: State['kind']) => void) | undefined

  /** `name` is the system's, for messages. */
  constructor(options: CircuitBreakerOptions, clock: Clock, name = 'The system') {
    this.#options = options
    this.#clock = clock
    this.#name = name
  }

  get state(): State['kind'] {
    return this.#now().kind
  }

  /** Runs a request, unless the breaker is open: then throws `circuit_open`, which says when it may be tried again. */
  async execute<T>(request: () => Promise<T>): Promise<T> {
    const state = this.#now()
    if (state.kind === 'half_open') {
      if (state.probes >= this.#options.halfOpenRequests) throw this.#refusal(0)
      state.probes++
    } else if (state.kind === 'open') throw this.#refusal(state.until - this.#clock.now())
    try {
      const result = await request()
      this.#answered(state)
      return result
    } catch (error) {
      if (isFailure(error)) this.#failed(state)
      else if (isAnswer(error)) this.#answered(state)
      throw error
    } finally {
      if (state.kind === 'half_open') state.probes--
    }
  }

  #now(): State {
    const state = this.#state
    if (state.kind === 'open' && this.#clock.now() >= state.until) this.#enter({ kind: 'half_open', probes: 0 })
    return this.#state
  }

  /** `state` is that in which the request began: a late answer says nothing of a later one. */
  #answered(state: State): void {
    if (state === this.#state) this.#enter({ kind: 'closed', failures: 0 })
  }

  #failed(state: State): void {
    if (state !== this.#state) return
    const { threshold, timeout } = this.#options
    if (state.kind === 'closed' && ++state.failures < threshold) return
    this.#enter({ kind: 'open', until: this.#clock.now() + timeout })
  }

  #enter(state: State): void {
    const changed = state.kind !== this.#state.kind
    this.#state = state
    if (changed) this.onState?.(state.kind)
  }

  #refusal(retryAfterMs: number): NebulaError {
    return new NebulaError('circuit_open', {
      message: `${this.#name} failed ${this.#options.threshold} times in a row and is not asked for now.`,
      retryAfterMs,
    })
  }
}

function isFailure(error: unknown): boolean {
  return isNebulaError(error) && error.retryable && FAILURES.has(error.code)
}

/** Errors of connection and data are the system's own words; others, such as an abort, never reached it. */
function isAnswer(error: unknown): boolean {
  return isNebulaError(error) && (error.exitCode === 3 || error.exitCode === 4)
}
