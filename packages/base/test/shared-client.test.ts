import { BaseConfig } from '@nebula/core'
import { ManualClock } from '@nebula/testkit'
import { expect, test } from 'vitest'
import type { Shareable } from '../src/index.ts'
import { createContext, SharedClient } from '../src/index.ts'

class Client implements Shareable<Client> {
  readonly client = this
  readonly #loss = new AbortController()
  readonly lost = this.#loss.signal
  readonly ready: Promise<unknown>
  closes = 0

  constructor(ready: Promise<unknown>) {
    this.ready = ready
  }

  lose(): void {
    this.#loss.abort()
  }

  async close(): Promise<void> {
    this.closes++
  }
}

/** A shared client as a driver has it, and all that it opened. */
class Sharing {
  readonly clock = new ManualClock()
  readonly stop = new AbortController()
  readonly opened: Client[] = []
  readonly #context = createContext({ signal: this.stop.signal, config: BaseConfig.parse({}), clock: this.clock })
  readonly #shared: SharedClient<Client>

  constructor(lifetimeMs?: number) {
    this.#shared = new SharedClient(lifetimeMs)
  }

  lend(ready: Promise<unknown> = Promise.resolve()): ReturnType<SharedClient<Client>['lend']> {
    return this.#shared.lend(this.#context, () => {
      const client = new Client(ready)
      this.opened.push(client)
      return client
    })
  }

  close(): Promise<void> {
    return this.#shared.close()
  }
}

test('all have one client, which is opened when the first asks', async () => {
  const sharing = new Sharing()
  expect(sharing.opened).toEqual([])
  const leases = await Promise.all([sharing.lend(), sharing.lend()])
  for (const { release } of leases) release()
  expect((await sharing.lend()).client).toBe(sharing.opened[0])
  expect(sharing.opened).toHaveLength(1)
})

test('one that is lost is replaced at once, and who has it is told', async () => {
  const sharing = new Sharing()
  const { client, signal } = await sharing.lend()
  client.lose()
  expect(signal.aborted).toBe(true)
  const other = await sharing.lend()
  expect(other.client).not.toBe(client)
  expect(other.signal.aborted).toBe(false)
  expect(sharing.opened.map(({ closes }) => closes)).toEqual([1, 0])
})

test('one that lived for long enough is replaced, but not while somebody has it', async () => {
  const sharing = new Sharing(60_000)
  const first = await sharing.lend()
  await sharing.clock.advance(60_000)
  const second = await sharing.lend()
  expect(second.client).toBe(first.client)
  first.release()
  second.release()
  const third = await sharing.lend()
  third.release()
  expect(third.client).not.toBe(first.client)
  // The life of the new one has only begun.
  await sharing.clock.advance(59_999)
  expect((await sharing.lend()).client).toBe(third.client)
  expect(sharing.opened.map(({ closes }) => closes)).toEqual([1, 0])
})

test('without a lifetime it stays', async () => {
  const sharing = new Sharing()
  const { client, release } = await sharing.lend()
  release()
  await sharing.clock.advance(1e12)
  expect((await sharing.lend()).client).toBe(client)
})

test('who waits for a client that does not connect is told why, and counts no longer', async () => {
  const sharing = new Sharing(60_000)
  await expect(sharing.lend(Promise.reject(new Error('no server')))).rejects.toThrow('no server')
  await sharing.clock.advance(60_000)
  await sharing.lend()
  expect(sharing.opened.map(({ closes }) => closes)).toEqual([1, 0])
})

test('the signal of a lease fires with that of the context', async () => {
  const sharing = new Sharing()
  const { signal } = await sharing.lend()
  sharing.stop.abort()
  expect(signal.aborted).toBe(true)
})

test('after close none is lent, and the one that was is closed', async () => {
  const sharing = new Sharing()
  await sharing.lend()
  await Promise.all([sharing.close(), sharing.close()])
  await expect(sharing.lend()).rejects.toMatchObject({ code: 'lifecycle' })
  expect(sharing.opened[0]?.closes).toBeGreaterThan(0)
})
