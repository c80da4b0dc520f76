import { ManualClock } from '@nebula/testkit'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RateLimiter } from '../src/index.ts'

const { signal } = new AbortController()

/** Milliseconds after which each batch passed. */
async function passing(
  limits: { recordsPerSec?: number; bytesPerSec?: number; burst: number },
  batches: readonly (readonly [records: number, bytes: number])[],
): Promise<number[]> {
  const clock = new ManualClock(0)
  const limiter = new RateLimiter(limits, clock)
  const times: number[] = []
  for (const [records, bytes] of batches) {
    await clock.run(Promise.resolve(limiter.take(records, bytes, signal)))
    times.push(clock.now())
  }
  return times
}

test('the burst passes at once, and then the rate', async () => {
  expect(await passing({ recordsPerSec: 10, burst: 1000 }, Array(5).fill([5, 0]))).toEqual([0, 0, 0, 500, 1000])
  expect(await passing({ recordsPerSec: 10, burst: 2000 }, Array(6).fill([5, 0]))).toEqual([0, 0, 0, 0, 0, 500])
})

test('a batch larger than the burst passes, and the next one waits for it', async () => {
  expect(
    await passing({ recordsPerSec: 10, burst: 1000 }, [
      [100, 0],
      [1, 0],
      [1, 0],
    ]),
  ).toEqual([0, 9000, 9100])
})

test('both budgets hold at once, and a rate that is not given does not', async () => {
  const batches = Array(3).fill([10, 1000])
  expect(await passing({ recordsPerSec: 10, burst: 0 }, batches)).toEqual([0, 1000, 2000])
  expect(await passing({ bytesPerSec: 500, burst: 0 }, batches)).toEqual([0, 2000, 4000])
  expect(await passing({ recordsPerSec: 10, bytesPerSec: 500, burst: 0 }, batches)).toEqual([0, 2000, 4000])
  expect(await passing({ burst: 0 }, batches)).toEqual([0, 0, 0])
})

test('those who come at once pass in their order', async () => {
  const clock = new ManualClock(0)
  const limiter = new RateLimiter({ recordsPerSec: 10, burst: 0 }, clock)
  const passed: [number, number][] = []
  const all = Promise.all(
    [1, 2, 3].map(async (place) => {
      await limiter.take(10, 0, signal)
      passed.push([place, clock.now()])
    }),
  )
  await clock.run(all)
  expect(passed).toEqual([
    [1, 0],
    [2, 1000],
    [3, 2000],
  ])
})

test('a wait ends at once when its signal fires', async () => {
  const clock = new ManualClock(0)
  const limiter = new RateLimiter({ recordsPerSec: 1, burst: 0 }, clock)
  await limiter.take(1000, 0, signal)
  const stop = new AbortController()
  const waiting = limiter.take(1, 0, stop.signal)
  stop.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'aborted' })
  expect(clock.sleeping).toEqual([])
})

test('over any time not more passes than the rate, the burst and one batch; and no wait is longer than it must be', async () => {
  const rate = fc.integer({ min: 1, max: 10_000 })
  const sizes = fc.array(fc.tuple(fc.nat(5000), fc.nat(5000)), { minLength: 1, maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(rate, rate, fc.nat(3000), sizes, async (recordsPerSec, bytesPerSec, burst, batches) => {
      const times = await passing({ recordsPerSec, bytesPerSec, burst }, batches)
      const rates = [recordsPerSec, bytesPerSec]
      for (let from = 0; from < batches.length; from++) {
        const sums = [0, 0]
        for (let to = from; to < batches.length; to++) {
          const seconds = ((times[to] ?? 0) - (times[from] ?? 0)) / 1000
          // What was taken before the last of them.
          for (const [i, sum] of sums.entries())
            expect(sum).toBeLessThanOrEqual((rates[i] ?? 0) * (seconds + burst / 1000) + 0.01)
          for (const i of sums.keys()) sums[i] = (sums[i] ?? 0) + (batches[to]?.[i] ?? 0)
        }
      }
      const total = rates.map((perSec, i) => batches.slice(0, -1).reduce((sum, b) => sum + (b[i] ?? 0), 0) / perSec)
      expect(times.at(-1)).toBeLessThanOrEqual((total[0] ?? 0) * 1000 + (total[1] ?? 0) * 1000 + 0.01)
    }),
    { numRuns: 30 },
  )
})
