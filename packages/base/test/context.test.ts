import type { Context } from '@nebula/core'
import { BaseConfig, BufferPool, NebulaError } from '@nebula/core'
import { ManualClock } from '@nebula/testkit'
import type { Mock } from 'vitest'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createContext, lineLogger, silentLogger, systemClock, withSignal } from '../src/index.ts'

const config = BaseConfig.parse({
  timeouts: { request: '2s' },
  memory: { bufferPoolBytes: '1MB' },
  reliability: { maxRetries: 0 },
})

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('createContext', () => {
  test('takes memory and time limits from the configuration', async () => {
    const { signal } = new AbortController()
    const context = createContext({ signal, config, name: 'things' })
    expect(context).toMatchObject({ signal, logger: silentLogger, clock: systemClock })
    expect(context.pool.limit).toBe(1_000_000)
    const [result] = await Promise.allSettled([
      context.call(() => new Promise(() => {})),
      vi.advanceTimersByTimeAsync(2000),
    ])
    expect(result).toMatchObject({
      reason: { code: 'timeout', message: 'A request to things took longer than 2000 ms.' },
    })
  })

  test('uses what it is given instead', () => {
    const given = { logger: lineLogger('info', () => {}), clock: { ...systemClock }, pool: new BufferPool(5) }
    expect(createContext({ signal: new AbortController().signal, config, ...given })).toMatchObject(given)
  })
})

describe('call', () => {
  const gone = new NebulaError('connection_lost', { message: 'gone' })
  const reliability = { retryDelay: 1000, retryMultiplier: 1, maxRetries: 9 }
  const failing = (): Mock<() => Promise<string>> => vi.fn(() => Promise.reject(gone))

  function calling(more: object = {}): { clock: ManualClock; context: Context; stop: AbortController } {
    const clock = new ManualClock()
    const stop = new AbortController()
    const given = BaseConfig.parse({ reliability: { ...reliability, ...more } })
    return { clock, stop, context: createContext({ signal: stop.signal, config: given, clock }) }
  }

  beforeEach(() => {
    vi.useRealTimers()
  })

  test('repeats what may pass, with the retries of the configuration', async () => {
    const { clock, context } = calling()
    const request = failing()
    await expect(clock.run(context.call(request))).rejects.toBe(gone)
    expect(request).toHaveBeenCalledTimes(10)
  })

  test('tells each retry, and logs it', async () => {
    const clock = new ManualClock()
    const told: unknown[] = []
    const logged: unknown[] = []
    const logger = { ...silentLogger, info: (message: string) => logged.push(message) }
    const given = BaseConfig.parse({ reliability: { maxRetries: 2 } })
    const onRetry = (error: NebulaError): unknown => told.push(error.code)
    const context = createContext({ signal: new AbortController().signal, config: given, clock, logger, onRetry })
    await clock.run(context.call(failing()).catch(() => {}))
    expect(told).toEqual(['connection_lost', 'connection_lost'])
    expect(logged).toHaveLength(2)
  })

  test.each([{ idempotent: false }])('makes a request once where %j', async (options) => {
    const { context } = calling()
    const request = failing()
    await expect(context.call(request, options)).rejects.toBe(gone)
    expect(request).toHaveBeenCalledTimes(1)
  })

  test('an open breaker is waited for instead of asking: every try counts for it', async () => {
    const { clock, context } = calling({ circuitBreaker: { enabled: true, threshold: 2, timeout: 30_000 } })
    const request = failing()
    const running = context.call(request).catch((error: NebulaError) => error.code)
    await clock.advance(20_000)
    expect(request).toHaveBeenCalledTimes(2)
    await clock.advance(20_000)
    expect(request).toHaveBeenCalledTimes(3)
    await clock.run(running)
    const [refused] = await Promise.allSettled([context.call(request, { idempotent: false })])
    expect(refused).toMatchObject({ reason: { code: 'circuit_open' } })
  })

  test('without the breaker the system is asked again and again', async () => {
    const { clock, context } = calling({ circuitBreaker: { enabled: false, threshold: 2, timeout: 30_000 } })
    const request = failing()
    const running = context.call(request).catch(() => {})
    await clock.advance(20_000)
    expect(request).toHaveBeenCalledTimes(10)
    await running
  })

  test('a wait before a retry ends when any of its signals fires', async () => {
    for (const which of ['own', 'other', 'option']) {
      const { clock, context, stop } = calling()
      const other = new AbortController()
      const option = new AbortController()
      const running = withSignal(context, other.signal).call(failing(), { signal: option.signal })
      await clock.advance(0)
      ;({ own: stop, other, option })[which]?.abort()
      await expect(running).rejects.toMatchObject({ code: 'aborted' })
      expect(clock.sleeping).toEqual([])
    }
  })

  test('an unbounded request may take as long as it needs', async () => {
    vi.useFakeTimers()
    const { context } = calling()
    const answer = Promise.withResolvers<string>()
    const running = context.call(() => answer.promise, { unbounded: true })
    await vi.advanceTimersByTimeAsync(3_600_000)
    answer.resolve('at last')
    expect(await running).toBe('at last')
  })
})

test('advanced.debug logs each request, with its time, and its code when it fails', async () => {
  const entries = async (debug: boolean): Promise<object[]> => {
    const lines: string[] = []
    const logger = lineLogger('debug', (line) => lines.push(line))
    const noisy = BaseConfig.parse({ advanced: { debug }, reliability: { maxRetries: 0 } })
    const context = createContext({ signal: new AbortController().signal, config: noisy, name: 'things', logger })
    const answered = context.call(() => context.clock.sleep(20).then(() => 'answer'))
    await vi.advanceTimersByTimeAsync(20)
    expect(await answered).toBe('answer')
    const refused = new NebulaError('connection_lost', { message: 'gone' })
    await expect(context.call(() => Promise.reject(refused))).rejects.toBe(refused)
    return lines.map((line) => JSON.parse(line) as object)
  }
  expect(await entries(false)).toEqual([])
  expect(await entries(true)).toMatchObject([
    { level: 'debug', message: 'request', connector: 'things', ms: 20 },
    { level: 'debug', message: 'request', connector: 'things', ms: 0, code: 'connection_lost' },
  ])
})

describe('withSignal', () => {
  const outer = new AbortController()
  const context = createContext({ signal: outer.signal, config })

  test('shares all but the signal', () => {
    const { signal } = new AbortController()
    const { logger, clock, pool } = context
    expect(withSignal(context, signal)).toMatchObject({ signal, logger, clock, pool })
  })

  test('passes results and errors', async () => {
    const inner = withSignal(context, new AbortController().signal)
    expect(await inner.call(async () => 'answer')).toBe('answer')
    const refused = new NebulaError('connection_lost', { message: 'gone' })
    await expect(inner.call(() => Promise.reject(refused))).rejects.toBe(refused)
  })

  test('stops a request when the new signal fires, however the request says so', async () => {
    const stop = new AbortController()
    const running = withSignal(context, stop.signal).call(
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('the driver was interrupted')))
        }),
    )
    stop.abort()
    await expect(running).rejects.toMatchObject({ code: 'aborted' })
  })

  test('stops a request when the first signal fires', async () => {
    const first = new AbortController()
    const running = withSignal(createContext({ signal: first.signal, config }), new AbortController().signal).call(
      () => new Promise(() => {}),
    )
    first.abort()
    await expect(running).rejects.toMatchObject({ code: 'aborted' })
  })

  test('begins no request after the new signal has fired', async () => {
    const request = vi.fn(async () => 'answer')
    await expect(withSignal(context, AbortSignal.abort()).call(request)).rejects.toMatchObject({ code: 'aborted' })
    expect(request).not.toHaveBeenCalled()
  })
})
