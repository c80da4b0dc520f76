import { describe, expect, test } from 'vitest'
import { BufferPool } from '../src/index.ts'

const signal = (): AbortSignal => new AbortController().signal

/** True when `promise` is settled after everything that is under way. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.finally(() => (settled = true)).catch(() => {})
  for (let i = 0; i < 10; i++) await Promise.resolve()
  return settled
}

describe('take and give', () => {
  test('a buffer is at least as large as asked, aligned, and at most an eighth larger', () => {
    const pool = new BufferPool(1e9)
    for (const bytes of [0, 1, 4095, 4096, 4097, 5000, 70_000, 1_000_003]) {
      const buffer = pool.take(bytes)
      expect(buffer.byteLength).toBeGreaterThanOrEqual(bytes)
      expect(buffer.byteLength).toBeLessThanOrEqual(Math.max(4096, bytes * 1.125 + 8))
      expect(buffer.byteLength % 8).toBe(0)
      expect(buffer.byteOffset).toBe(0)
    }
  })

  test('a buffer that came back is lent again', () => {
    const pool = new BufferPool(1e9)
    const buffer = pool.take(5000)
    pool.give(buffer)
    expect(pool.take(5000)).toBe(buffer)
    expect(pool.take(5000)).not.toBe(buffer)
  })

  test('a buffer of another class is not', () => {
    const pool = new BufferPool(1e9)
    pool.give(pool.take(5000))
    pool.take(50_000)
    expect(pool.statistics).toMatchObject({ hits: 0, misses: 2 })
  })

  test('statistics count what is lent, the most that was, what is idle, and hits', () => {
    const pool = new BufferPool(1e6)
    const first = pool.take(4096)
    const second = pool.take(8192)
    expect(pool.statistics).toEqual({ used: 12_288, peak: 12_288, idle: 0, limit: 1e6, hits: 0, misses: 2 })
    pool.give(first)
    expect(pool.statistics).toMatchObject({ used: 8192, peak: 12_288, idle: 4096 })
    pool.take(4000)
    expect(pool.statistics).toMatchObject({ used: 12_288, idle: 0, hits: 1, misses: 2 })
    pool.give(second)
    expect(pool.statistics).toMatchObject({ used: 4096, idle: 8192 })
  })

  test('idle buffers and those in use stay below the limit together, and idle ones below eight of a class', () => {
    const small = new BufferPool(4096 * 4)
    const some = Array.from({ length: 6 }, () => small.take(4096))
    for (const buffer of some) small.give(buffer)
    expect(small.statistics).toMatchObject({ used: 0, idle: 4096 * 4 })
    small.take(8192)
    expect(small.statistics).toMatchObject({ used: 8192, idle: 4096 * 2 })
    small.take(16_384)
    expect(small.statistics).toMatchObject({ used: 24_576, idle: 0 })
    const large = new BufferPool(1e9)
    const many = Array.from({ length: 20 }, () => large.take(4096))
    for (const buffer of many) large.give(buffer)
    expect(large.statistics.idle).toBe(4096 * 8)
  })
})

describe('ready', () => {
  test('resolves at once below the limit', async () => {
    const pool = new BufferPool(10_000)
    pool.take(4096)
    expect(await isSettled(pool.ready(signal()))).toBe(true)
  })

  test('waits at the limit, and every waiter wakes when a buffer comes back', async () => {
    const pool = new BufferPool(4096)
    const buffer = pool.take(4096)
    const waiters = [pool.ready(signal()), pool.ready(signal())]
    expect(await isSettled(Promise.race(waiters))).toBe(false)
    pool.give(buffer)
    await Promise.all(waiters)
  })

  test('waits on while the limit is still reached', async () => {
    const pool = new BufferPool(4096)
    const [first, second] = [pool.take(4096), pool.take(4096)]
    const waiter = pool.ready(signal())
    pool.give(first)
    expect(await isSettled(waiter)).toBe(false)
    pool.give(second)
    await waiter
  })

  test('waits again when somebody else was faster', async () => {
    const pool = new BufferPool(4096)
    const first = pool.take(4096)
    const waiter = pool.ready(signal())
    pool.give(first)
    const second = pool.take(4096)
    expect(await isSettled(waiter)).toBe(false)
    pool.give(second)
    await waiter
  })

  test('throws aborted when the signal fires before or during the wait', async () => {
    const pool = new BufferPool(4096)
    pool.take(4096)
    const controller = new AbortController()
    const waiter = pool.ready(controller.signal)
    controller.abort()
    await expect(waiter).rejects.toMatchObject({ code: 'aborted' })
    await expect(pool.ready(controller.signal)).rejects.toMatchObject({ code: 'aborted' })
  })
})
