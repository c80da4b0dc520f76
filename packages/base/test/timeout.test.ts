import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock, throwIfAborted, withTimeout } from '../src/index.ts'

const limit = { ms: 1000, what: 'A request to things', key: 'timeouts.request' }
const never = (): Promise<never> => new Promise(() => {})

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('withTimeout', () => {
  test('gives the result, and leaves no timer and no listener', async () => {
    const { signal } = new AbortController()
    const removed = vi.spyOn(signal, 'removeEventListener')
    const added = vi.spyOn(signal, 'addEventListener')
    expect(await withTimeout(limit, signal, async () => 'answer')).toBe('answer')
    expect(vi.getTimerCount()).toBe(0)
    expect(added).toHaveBeenCalledTimes(1)
    expect(removed).toHaveBeenCalledTimes(1)
  })

  test('throws timeout at the limit and not before, and tells the request', async () => {
    let told: AbortSignal | undefined
    const running = withTimeout(limit, new AbortController().signal, (signal) => {
      told = signal
      return never()
    })
    await vi.advanceTimersByTimeAsync(999)
    expect(told?.aborted).toBe(false)
    const [result] = await Promise.allSettled([running, vi.advanceTimersByTimeAsync(1)])
    expect(result).toMatchObject({
      reason: {
        code: 'timeout',
        message: 'A request to things took longer than 1000 ms.',
        fix: expect.stringContaining('timeouts.request'),
      },
    })
    expect(told?.aborted).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('throws aborted when its signal fires, and tells the request', async () => {
    const stop = new AbortController()
    let told: AbortSignal | undefined
    const running = withTimeout(limit, stop.signal, (signal) => {
      told = signal
      return never()
    })
    stop.abort()
    await expect(running).rejects.toMatchObject({ code: 'aborted', message: 'A request to things was interrupted.' })
    expect(told?.aborted).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('does not begin a request after the signal has fired', async () => {
    const request = vi.fn(never)
    await expect(withTimeout(limit, AbortSignal.abort(), request)).rejects.toMatchObject({ code: 'aborted' })
    expect(request).not.toHaveBeenCalled()
  })

  test('another error passes unchanged', async () => {
    const refused = new Error('refused')
    await expect(withTimeout(limit, new AbortController().signal, () => Promise.reject(refused))).rejects.toBe(refused)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a request that throws before it returns a promise leaves no timer', async () => {
    const refused = new Error('refused')
    const request = (): Promise<never> => {
      throw refused
    }
    await expect(withTimeout(limit, new AbortController().signal, request)).rejects.toBe(refused)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a limit beyond what a timer holds does not end at once', async () => {
    const answer = Promise.withResolvers<string>()
    const running = withTimeout({ ...limit, ms: 30 * 86_400_000 }, new AbortController().signal, () => answer.promise)
    await vi.advanceTimersByTimeAsync(86_400_000)
    answer.resolve('at last')
    expect(await running).toBe('at last')
  })
})

describe('throwIfAborted', () => {
  test('throws aborted once the signal has fired', () => {
    expect(() => throwIfAborted(new AbortController().signal)).not.toThrow()
    expect(() => throwIfAborted(AbortSignal.abort())).toThrow(expect.objectContaining({ code: 'aborted' }))
  })
})

describe('systemClock', () => {
  beforeEach(() => {
    vi.useRealTimers()
  })

  test('tells the time of the computer', () => {
    const before = Date.now()
    const now = systemClock.now()
    expect(now).toBeGreaterThanOrEqual(before)
    expect(now).toBeLessThanOrEqual(Date.now())
  })

  test('a sleep ends, and at once when its signal fires', async () => {
    await expect(systemClock.sleep(0)).resolves.toBeUndefined()
    const stop = new AbortController()
    const sleeping = systemClock.sleep(3_600_000, stop.signal)
    stop.abort()
    await expect(sleeping).rejects.toMatchObject({ code: 'aborted' })
  })
})
