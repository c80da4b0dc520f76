import { BaseConfig } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import type { Pooled } from '../src/index.ts'
import { createContext, Pool, withSignal } from '../src/index.ts'

const { signal } = new AbortController()
const context = createContext({ signal, config: BaseConfig.parse({ reliability: { maxRetries: 0 } }) })

class Thing implements Pooled {
  broken = false
  state: string | undefined
  resets = 0
  closes = 0
  failure: Error | undefined

  async reset(): Promise<void> {
    this.resets++
    if (this.failure) throw this.failure
    this.state = undefined
  }

  async close(): Promise<void> {
    this.closes++
  }

  destroy(): void {
    this.broken = true
  }
}

/** A pool, and all that it opened. */
function pooled(limit: number): { pool: Pool<Thing>; opened: Thing[] } {
  const opened: Thing[] = []
  const open = async (): Promise<Thing> => {
    const thing = new Thing()
    opened.push(thing)
    return thing
  }
  return { pool: new Pool({ connections: limit }, open), opened }
}

describe('lending', () => {
  test('opens what is needed, never more than the limit, and lends again what came back', async () => {
    const { pool, opened } = pooled(2)
    const first = await pool.acquire(context)
    const second = await pool.acquire(context)
    const third = pool.acquire(context)
    expect(opened).toEqual([first, second])
    expect(second).not.toBe(first)
    pool.release(second)
    expect(await third).toBe(second)
    expect(opened).toHaveLength(2)
  })

  test('serves who waits in line', async () => {
    const { pool } = pooled(1)
    const thing = await pool.acquire(context)
    const served: number[] = []
    const waiting = [1, 2, 3].map(async (place) => {
      const lent = await pool.acquire(context)
      served.push(place)
      pool.release(lent)
    })
    pool.release(thing)
    await Promise.all(waiting)
    expect(served).toEqual([1, 2, 3])
  })

  test('one that broke is replaced, and frees its place once', async () => {
    const { pool, opened } = pooled(1)
    const first = await pool.acquire(context)
    const waiting = pool.acquire(context)
    first.destroy()
    pool.release(first)
    const second = await waiting
    expect(second).not.toBe(first)
    pool.release(first)
    const third = pool.acquire(context)
    expect(opened).toEqual([first, second])
    pool.release(second)
    expect(await third).toBe(second)
  })

  test('what could not be opened frees its place', async () => {
    const refused = new Error('refused')
    const answers = [Promise.reject(refused), Promise.resolve(new Thing())]
    const pool = new Pool<Thing>({ connections: 1 }, () => answers.shift() ?? Promise.reject(new Error('one too many')))
    const first = pool.acquire(context)
    const second = pool.acquire(context)
    await expect(first).rejects.toBe(refused)
    expect(await second).toBeInstanceOf(Thing)
  })
})

describe('a signal that fires', () => {
  test('before anything opens nothing', async () => {
    const { pool, opened } = pooled(1)
    await expect(pool.acquire(withSignal(context, AbortSignal.abort()))).rejects.toMatchObject({ code: 'aborted' })
    expect(opened).toEqual([])
  })

  test('while waiting gives up the place in line', async () => {
    const { pool } = pooled(1)
    const thing = await pool.acquire(context)
    const stop = new AbortController()
    const stopped = pool.acquire(withSignal(context, stop.signal))
    const next = pool.acquire(context)
    stop.abort()
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
    pool.release(thing)
    expect(await next).toBe(thing)
  })

  test('at the moment of being woken passes the turn on', async () => {
    const { pool } = pooled(1)
    const thing = await pool.acquire(context)
    const stop = new AbortController()
    const stopped = pool.acquire(withSignal(context, stop.signal))
    const next = pool.acquire(context)
    pool.release(thing)
    stop.abort()
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
    expect(await next).toBe(thing)
  })
})

describe('state', () => {
  test('lends the one that is in it, and else prefers one that is in none', async () => {
    const { pool } = pooled(2)
    const [plain, kept] = [await pool.acquire(context), await pool.acquire(context)]
    kept.state = 'snapshot'
    pool.release(plain)
    pool.release(kept)
    expect(await pool.acquire(context, 'snapshot')).toBe(kept)
    pool.release(plain)
    pool.release(kept)
    expect(await pool.acquire(context)).toBe(plain)
    expect([kept.state, kept.resets, plain.resets]).toEqual(['snapshot', 0, 0])
  })

  test.each([undefined, 'other'])('one that must leave its state for %s is reset', async (wanted) => {
    const { pool } = pooled(1)
    const thing = await pool.acquire(context)
    thing.state = 'snapshot'
    pool.release(thing)
    expect(await pool.acquire(context, wanted)).toBe(thing)
    expect([thing.state, thing.resets]).toEqual([undefined, 1])
  })

  test('one that cannot be reset is destroyed, and frees its place', async () => {
    const { pool, opened } = pooled(1)
    const thing = await pool.acquire(context)
    thing.state = 'snapshot'
    thing.failure = new Error('cannot leave')
    pool.release(thing)
    const first = pool.acquire(context)
    const second = pool.acquire(context)
    await expect(first).rejects.toBe(thing.failure)
    expect(thing.broken).toBe(true)
    expect(await second).toBe(opened[1])
  })
})

test('close closes what is idle or lent, and not what broke', async () => {
  const { pool } = pooled(3)
  const [idle, lent, broken] = [await pool.acquire(context), await pool.acquire(context), await pool.acquire(context)]
  pool.release(idle)
  broken.destroy()
  await pool.close()
  expect([idle.closes, lent.closes, broken.closes]).toEqual([1, 1, 0])
  await pool.close()
  expect(idle.closes).toBe(1)
})

describe('use', () => {
  test('lends for one piece of work, and gives its result', async () => {
    const { pool, opened } = pooled(1)
    const works = [1, 2].map((number) => pool.use(context, async (thing) => [number, thing]))
    expect(await Promise.all(works)).toEqual([
      [1, opened[0]],
      [2, opened[0]],
    ])
  })

  test('destroys the one on which the work failed, and frees its place', async () => {
    const { pool, opened } = pooled(1)
    const failure = new Error('failed')
    await expect(pool.use(context, () => Promise.reject(failure))).rejects.toBe(failure)
    expect(opened[0]?.broken).toBe(true)
    expect(await pool.use(context, async (thing) => thing)).toBe(opened[1])
  })
})
