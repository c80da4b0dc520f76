import { BaseConfig, BufferPool, NebulaError } from '@nebula/core'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createContext, lineLogger, silentLogger, systemClock, withSignal } from '../src/index.ts'

const config = BaseConfig.parse({ timeouts: { request: '2s' }, memory: { bufferPoolBytes: '1MB' } })

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

test('advanced.debug logs each request, with its time, and its code when it fails', async () => {
  const entries = async (debug: boolean): Promise<object[]> => {
    const lines: string[] = []
    const logger = lineLogger('debug', (line) => lines.push(line))
    const noisy = BaseConfig.parse({ advanced: { debug } })
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
