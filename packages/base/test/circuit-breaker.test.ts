import type { ErrorCode } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { ManualClock } from '@nebula/testkit'
import { describe, expect, test, vi } from 'vitest'
import type { CircuitBreakerOptions } from '../src/index.ts'
import { CircuitBreaker } from '../src/index.ts'

const error = (code: ErrorCode): NebulaError => new NebulaError(code, { message: 'm' })

function breaking(options: Partial<CircuitBreakerOptions> = {}): { breaker: CircuitBreaker; clock: ManualClock } {
  const clock = new ManualClock()
  return { breaker: new CircuitBreaker({ threshold: 3, timeout: 1000, halfOpenRequests: 1, ...options }, clock), clock }
}

/** The code that a request ends with, through the breaker. */
async function outcome(breaker: CircuitBreaker, code?: ErrorCode): Promise<string> {
  const request = (): Promise<string> => (code === undefined ? Promise.resolve('answer') : Promise.reject(error(code)))
  return breaker.execute(request).catch((thrown: NebulaError) => thrown.code)
}

async function fail(breaker: CircuitBreaker, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await outcome(breaker, 'connection_lost')
}

describe('closed', () => {
  test('opens after as many failures in a row as the threshold says, and not before', async () => {
    const { breaker } = breaking()
    await fail(breaker, 2)
    expect(breaker.state).toBe('closed')
    await fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })

  test('opens on the first only where it was told so', async () => {
    const { breaker } = breaking({ threshold: 1 })
    await fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })

  test.each([undefined, 'permission_denied', 'row_rejected'] as const)('an answer (%s) ends the row', async (code) => {
    const { breaker } = breaking()
    for (let i = 0; i < 5; i++) {
      await fail(breaker, 2)
      await outcome(breaker, code)
    }
    expect(breaker.state).toBe('closed')
  })

  test.each(['aborted', 'config_invalid', 'row_rejected', 'data_invalid', 'conflict', 'permission_denied'] as const)(
    '%s is no failure of the system',
    async (code) => {
      const { breaker } = breaking({ threshold: 1 })
      for (let i = 0; i < 9; i++) await outcome(breaker, code)
      expect(breaker.state).toBe('closed')
    },
  )

  test('an abort between failures does not end their row', async () => {
    const { breaker } = breaking()
    await fail(breaker, 2)
    await outcome(breaker, 'aborted')
    await fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })
})

test('tells each change of its state once', async () => {
  const { breaker, clock } = breaking()
  const told: string[] = []
  breaker.onState = (state) => told.push(state)
  await fail(breaker, 4)
  await clock.advance(1000)
  await outcome(breaker)
  await outcome(breaker)
  expect(told).toEqual(['open', 'half_open', 'closed'])
})

describe('open', () => {
  test('asks nothing, and says when it may be asked again', async () => {
    const { breaker, clock } = breaking()
    await fail(breaker, 3)
    await clock.advance(400)
    const request = vi.fn()
    await expect(breaker.execute(request)).rejects.toMatchObject({
      code: 'circuit_open',
      retryable: true,
      exitCode: 3,
      retryAfterMs: 600,
    })
    expect(request).not.toHaveBeenCalled()
  })

  test('lets one try after the timeout; its answer closes, its failure opens for as long again', async () => {
    const { breaker, clock } = breaking()
    await fail(breaker, 3)
    await clock.advance(1000)
    expect(breaker.state).toBe('half_open')
    await fail(breaker, 1)
    expect(breaker.state).toBe('open')
    await clock.advance(999)
    expect(breaker.state).toBe('open')
    await clock.advance(1)
    expect(await outcome(breaker)).toBe('answer')
    expect(breaker.state).toBe('closed')
    await fail(breaker, 2)
    expect(breaker.state).toBe('closed')
  })

  test.each([1, 3])('lets no more than %i try at once', async (halfOpenRequests) => {
    const { breaker, clock } = breaking({ halfOpenRequests })
    await fail(breaker, 3)
    await clock.advance(1000)
    const answer = Promise.withResolvers<string>()
    const trying = Array.from({ length: halfOpenRequests }, () => breaker.execute(() => answer.promise))
    expect(await outcome(breaker)).toBe('circuit_open')
    answer.resolve('answer')
    expect(await Promise.all(trying)).toEqual(trying.map(() => 'answer'))
    expect(breaker.state).toBe('closed')
  })

  test('a try that was aborted decides nothing and frees its place', async () => {
    const { breaker, clock } = breaking()
    await fail(breaker, 3)
    await clock.advance(1000)
    await outcome(breaker, 'aborted')
    expect(breaker.state).toBe('half_open')
    expect(await outcome(breaker)).toBe('answer')
  })

  test('an answer to what was asked before it opened says nothing', async () => {
    const { breaker } = breaking()
    const late = Promise.withResolvers<string>()
    const running = breaker.execute(() => late.promise)
    await fail(breaker, 3)
    late.resolve('answer')
    await running
    expect(breaker.state).toBe('open')
  })
})
