import type { BaseConfig, Clock } from '@nebula/core'
import { RateLimiter } from './rate-limiter.ts'
import { Retry } from './retry.ts'

/** What all tasks share at one end. */
export interface EndPolicies {
  readonly retry: Retry
  readonly rate: RateLimiter
}

/** Both ends of a run, each by its own configuration. */
export interface Policies {
  readonly source: EndPolicies
  readonly destination: EndPolicies
}

export function createPolicies(source: BaseConfig, destination: BaseConfig, clock: Clock): Policies {
  const policies = ({ reliability }: BaseConfig): EndPolicies => {
    return { retry: new Retry(reliability, clock), rate: new RateLimiter(reliability.rateLimit, clock) }
  }
  return { source: policies(source), destination: policies(destination) }
}
