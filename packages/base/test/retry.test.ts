import { NebulaError } from '@nebula/core'
import { ManualClock } from '@nebula/testkit'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { RetryOptions } from '../src/index.ts'
import { Retry } from '../src/index.ts'

const lost = new NebulaError('connection_lost', { message: 'gone' })
const defaults: RetryOptions = {
  failFast: false,
  maxRetries: 3,
  retryDelay: 1000,
  retryMultiplier: 2,
  maxRetryDelay: 60_000,
}
const { signal } = new AbortController()

function retrying(options: Partial<RetryOptions> = {}, random = () => 1): { retry: Retry; clock: ManualClock } {
  const clock = new ManualClock()
  return { retry: new Retry({ ...defaults, ...options }, clock, random), clock }
}

/** A request that fails `times` times. */
function failing(times: number, error: unknown = lost): () => Promise<string> {
  let left = times
  return vi.fn(() => (left-- > 0 ? Promise.reject(error as Error) : Promise.resolve('answer')))
}

describe('the schedule', () => {
  test('waits are drawn below a limit that grows up to the longest, and end after the last retry', () => {
    const options = fc.record({
      failFast: fc.constant(false),
      maxRetries: fc.nat(20),
      retryDelay: fc.nat(100_000),
      retryMultiplier: fc.double({ min: 1, max: 1e6, noNaN: true }),
      maxRetryDelay: fc.nat(1_000_000),
    })
    fc.assert(
      fc.property(options, fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(30), (given, drawn, retries) => {
        const { maxRetries, retryDelay, retryMultiplier, maxRetryDelay } = given
        const longest = Math.min(maxRetryDelay, retryDelay === 0 ? 0 : retryDelay * retryMultiplier ** retries)
        const expected = retries >= maxRetries ? undefined : drawn * longest
        expect(retrying(given, () => drawn).retry.delayMs(lost, retries)).toBe(expected)
      }),
    )
  })

  test('each key has its effect', () => {
    const waits = (options: Partial<RetryOptions>): (number | undefined)[] =>
      [0, 1, 2, 3].map((retries) => retrying(options).retry.delayMs(lost, retries))
    expect(waits({})).toEqual([1000, 2000, 4000, undefined])
    expect(waits({ maxRetries: 1 })).toEqual([1000, undefined, undefined, undefined])
    expect(waits({ retryDelay: 10 })).toEqual([10, 20, 40, undefined])
    expect(waits({ retryMultiplier: 3 })).toEqual([1000, 3000, 9000, undefined])
    expect(waits({ maxRetryDelay: 1500 })).toEqual([1000, 1500, 1500, undefined])
    expect(waits({ failFast: true })).toEqual([undefined, undefined, undefined, undefined])
  })

  test.each([
    'authentication_failed',
    'row_rejected',
    'source_changed',
    'config_invalid',
    'aborted',
    'run_locked',
  ] as const)('%s is final', (code) => {
    expect(retrying().retry.delayMs(new NebulaError(code, { message: 'm' }), 0)).toBeUndefined()
  })

  test('an error that says that it will not pass is final, and so is one that is not ours', () => {
    const { retry } = retrying()
    expect(retry.delayMs(new NebulaError('connection_lost', { message: 'm', retryable: false }), 0)).toBeUndefined()
    expect(retry.delayMs(new Error('a bug'), 0)).toBeUndefined()
  })

  test('what asks for a longer wait gets it, unless it is longer than any may be', () => {
    const busy = (retryAfterMs: number): NebulaError => new NebulaError('server_busy', { message: 'm', retryAfterMs })
    const { retry } = retrying()
    expect(retry.delayMs(busy(7000), 0)).toBe(7000)
    expect(retry.delayMs(busy(10), 0)).toBe(1000)
    expect(retry.delayMs(busy(60_001), 0)).toBeUndefined()
    expect(retry.delayMs(busy(7000).at({ stream: 's' }), 0)).toBe(7000)
  })
})

describe('execute', () => {
  test('tries until there is an answer, and tells each wait', async () => {
    const { retry, clock } = retrying()
    const told: unknown[] = []
    const request = failing(3)
    const running = retry.execute(request, signal, (error, delayMs) => told.push([error.code, delayMs]))
    await clock.advance(999)
    expect(request).toHaveBeenCalledTimes(1)
    await clock.advance(6001)
    expect(await running).toBe('answer')
    expect(told).toEqual([
      ['connection_lost', 1000],
      ['connection_lost', 2000],
      ['connection_lost', 4000],
    ])
  })

  test('throws the last error when the retries are used up', async () => {
    const { retry, clock } = retrying()
    const request = failing(9)
    await expect(clock.run(retry.execute(request, signal))).rejects.toBe(lost)
    expect(request).toHaveBeenCalledTimes(4)
  })

  test('wakes at once when it is told to stop', async () => {
    const { retry, clock } = retrying()
    const stop = new AbortController()
    const request = failing(9)
    const running = retry.execute(request, stop.signal)
    await clock.advance(10)
    expect(clock.sleeping).toEqual([990])
    stop.abort()
    await expect(running).rejects.toMatchObject({ code: 'aborted' })
    expect(request).toHaveBeenCalledTimes(1)
    expect(clock.sleeping).toEqual([])
  })
})
