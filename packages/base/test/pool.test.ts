import type { Context } from '@nebula/core'
import { BaseConfig, NebulaError } from '@nebula/core'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Pooled, PoolLimits } from '../src/index.ts'
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
function pooled(limit: number, times: Omit<PoolLimits, 'connections'> = {}): { pool: Pool<Thing>; opened: Thing[] } {
  const opened: Thing[] = []
  const open = async (): Promise<Thing> => {
    const thing = new Thing()
    opened.push(thing)
    return thing
  }
  return { pool: new Pool({ connections: limit, ...times }, open), opened }
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

describe('time', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('idle ones are closed after the idle time, unless they are in a state', async () => {
    const { pool, opened } = pooled(3, { idleMs: 1000 })
    const things = [await pool.acquire(context), await pool.acquire(context), await pool.acquire(context)]
    const [plain, kept, lent] = things as [Thing, Thing, Thing]
    kept.state = 'snapshot'
    pool.release(plain)
    pool.release(kept)
    await vi.advanceTimersByTimeAsync(999)
    expect(things.map(({ closes }) => closes)).toEqual([0, 0, 0])
    await vi.advanceTimersByTimeAsync(1)
    expect(things.map(({ closes }) => closes)).toEqual([1, 0, 0])
    await vi.advanceTimersByTimeAsync(9000)
    expect([kept.closes, lent.closes]).toEqual([0, 0])
    expect(await pool.acquire(context, 'snapshot')).toBe(kept)
    expect(opened).toHaveLength(3)
  })

  test('one that is used again is idle anew', async () => {
    const { pool, opened } = pooled(1, { idleMs: 1000 })
    for (let i = 0; i < 5; i++) {
      pool.release(await pool.acquire(context))
      await vi.advanceTimersByTimeAsync(900)
    }
    expect(opened).toHaveLength(1)
  })

  test('one that is older than its life is replaced once it is given back, and never while it is lent', async () => {
    const { pool, opened } = pooled(1, { lifetimeMs: 1000 })
    const first = await pool.acquire(context)
    await vi.advanceTimersByTimeAsync(5000)
    expect(first.closes).toBe(0)
    pool.release(first)
    expect(first.closes).toBe(1)
    const second = await pool.acquire(context)
    expect(opened).toEqual([first, second])
    pool.release(second)
    await vi.advanceTimersByTimeAsync(999)
    expect(second.closes).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(second.closes).toBe(1)
  })

  test('one that is in a state outlives its life, and ends when it leaves the state', async () => {
    const { pool } = pooled(1, { lifetimeMs: 1000 })
    const thing = await pool.acquire(context)
    thing.state = 'snapshot'
    pool.release(thing)
    await vi.advanceTimersByTimeAsync(5000)
    expect(await pool.acquire(context, 'snapshot')).toBe(thing)
    thing.state = undefined
    pool.release(thing)
    expect(thing.closes).toBe(1)
  })

  test('after close no timer is left', async () => {
    const { pool } = pooled(2, { idleMs: 1000, lifetimeMs: 5000 })
    const [idle, lent] = [await pool.acquire(context), await pool.acquire(context)]
    pool.release(idle)
    expect(vi.getTimerCount()).toBe(1)
    await pool.close()
    pool.release(lent)
    expect(vi.getTimerCount()).toBe(0)
  })
})

test('one that broke while it was idle is not lent', async () => {
  const { pool, opened } = pooled(1)
  const first = await pool.acquire(context)
  pool.release(first)
  first.destroy()
  expect(await pool.acquire(context)).toBe(opened[1])
})

test('the wait for a connection is told to the context, and no request begins before it is over', async () => {
  const { pool } = pooled(1)
  const thing = await pool.acquire(context)
  const told: string[] = []
  const waiting: Context = {
    ...context,
    wait: async (something) => {
      told.push('waits')
      return something
    },
    call: (request, options) => {
      told.push('calls')
      return context.call(request, options)
    },
  }
  const used = pool.use(waiting, async () => 'done')
  await new Promise(setImmediate)
  expect(told).toEqual(['waits'])
  pool.release(thing)
  expect(await used).toBe('done')
  expect(told).toEqual(['waits', 'calls'])
})

test('work that is stopped breaks its connection off, and the place is free again', async () => {
  const { pool, opened } = pooled(1)
  const stop = new AbortController()
  const used = pool.use(withSignal(context, stop.signal), (thing) => {
    return new Promise((_, reject) => {
      setImmediate(() => {
        stop.abort()
        setImmediate(() => reject(new Error(thing.broken ? 'broken off' : 'still there')))
      })
    })
  })
  await expect(used).rejects.toMatchObject({ code: 'aborted' })
  expect(await pool.acquire(context)).toBe(opened[1])
  expect(opened[0]?.broken).toBe(true)
})

test('work that fails with what may pass is done again on another connection', async () => {
  const config = BaseConfig.parse({ reliability: { maxRetries: 2, retryDelay: 1 } })
  const { pool, opened } = pooled(1)
  let failures = 2
  const answer = pool.use(createContext({ signal, config }), async () => {
    if (failures-- > 0) throw new NebulaError('connection_lost', { message: 'gone' })
    return 'answer'
  })
  expect(await answer).toBe('answer')
  expect(opened.map(({ broken }) => broken)).toEqual([true, true, false])
})
