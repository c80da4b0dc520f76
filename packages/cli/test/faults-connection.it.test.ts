import type { Cut, FaultyRoute, FaultyScene } from '@nebula/testkit'
import { NO_RETRY, random, RETRIES, SHORT, SHORT_MS } from '@nebula/testkit'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { createFaultyScene } from './nebula.ts'

const seed = Number(process.env['NEBULA_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const CUTS: readonly Cut[] = process.env['NEBULA_FULL'] === '1' ? Array.from({ length: 12 }, cutOf) : ['reset', 'end']

const closing: AsyncDisposable[] = []
afterEach(async () => {
  for (const item of closing.splice(0).toReversed()) await item[Symbol.asyncDispose]()
})

const CASES: readonly FaultyRoute[] = [
  { from: 'postgres', to: 'csv', mode: 'overwrite', faulty: 'source' },
  { from: 'postgres', to: 'postgres', mode: 'append', faulty: 'source' },
  { from: 'csv', to: 'postgres', mode: 'overwrite', faulty: 'destination' },
  { from: 'csv', to: 'postgres', mode: 'append', faulty: 'destination' },
  { from: 'postgres', to: 'postgres', mode: 'overwrite', faulty: 'destination' },
]

async function create(route: FaultyRoute): Promise<FaultyScene> {
  const faulty = await createFaultyScene(route, inject('postgres')['18'])
  closing.push(faulty)
  return faulty
}

function cutOf(_: unknown, i: number): Cut {
  return i % 4 < 2 ? 'reset' : 'end'
}

describe.each(CASES)('$from -> $to, $mode: the connection of the $faulty', (route) => {
  test('cut at a random byte: the run says so, and the same command goes on', async () => {
    const faulty = await create(route)
    const { scene, proxy } = faulty
    scene.expectDone(await scene.runHere(faulty.settings(NO_RETRY)))
    const { rows, other } = faulty
    const sizes = new Map([rows, other].map((direction) => [direction, direction.bytes]))
    const next = random(seed)
    for (const [i, how] of CUTS.entries()) {
      const direction = i % 2 === 0 ? rows : other
      const bytes = 1 + Math.floor(next() * (sizes.get(direction) ?? 0))
      const name = direction === proxy.toServer ? 'to the server' : 'to the client'
      console.log(`seed ${seed}: ${how} after ${bytes} of ${sizes.get(direction)} bytes ${name}`)
      await scene.reset()
      let happened = false
      void direction.after(bytes, (connection) => {
        happened = true
        connection.cut(how)
      })
      const { code, failure } = await faulty.run(NO_RETRY)
      // What comes last is only the farewell.
      const ended = !happened || code === 0
      const lost = { code: 3, failure: expect.stringMatching(/^connection_/) }
      expect({ code, failure: failure?.code }).toEqual(ended ? { code: 0, failure: undefined } : lost)
      await faulty.rerun()
    }
  })

  test('cut in the middle, with retries: the run goes on by itself', async () => {
    const faulty = await create(route)
    const { scene } = faulty
    const outcome = await faulty.runUntil(RETRIES, (connection) => connection.cut('reset'))
    scene.expectDone(outcome)
    expect(outcome.report?.status).toBe('done')
    await scene.expectSame()
    await scene.expectNothingLeft()
  })

  test('silent from the middle on: the run ends by its timeouts, and the same command goes on', async () => {
    const faulty = await create(route)
    const { proxy } = faulty
    const { code, failure } = await faulty.runUntil(SHORT, () => proxy.blackHole())
    expect({ code, failure }).toEqual({ code: 3, failure: expect.objectContaining({ code: 'timeout' }) })
    expect(failure?.message).toMatch(/\d+ ms/)
    expect(failure?.fix).toMatch(/timeouts\.\w+/)
    proxy.cutAll('reset')
    await proxy.heal()
    const { report } = await faulty.rerun()
    expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
  })
})

describe.each(['source', 'destination'] as const)('the server of the %s', (end) => {
  const route: FaultyRoute = { from: 'postgres', to: 'postgres', mode: 'append', faulty: end }

  test('refuses connections', async () => {
    const faulty = await create(route)
    faulty.proxy.refuse()
    const { code, failure } = await faulty.run(NO_RETRY)
    expect({ code, failure }).toEqual({ code: 3, failure: expect.objectContaining({ code: 'connection_failed' }) })
    expect(failure?.message).toMatch(/^Connecting to 127\.0\.0\.1:\d+: /)
    await faulty.proxy.heal()
    await faulty.rerun()
  })

  test('accepts a connection and says nothing', async () => {
    const faulty = await create(route)
    faulty.proxy.blackHole()
    const { code, failure } = await faulty.run({ ...NO_RETRY, timeouts: { connection: `${SHORT_MS}ms` } })
    expect({ code, failure }).toEqual({ code: 3, failure: expect.objectContaining({ code: 'connection_failed' }) })
    expect(failure?.message).toMatch(/^Connecting to 127\.0\.0\.1:\d+: /)
    faulty.proxy.cutAll('reset')
    await faulty.proxy.heal()
    await faulty.rerun()
  })

  test('says nothing more once somebody logged in', async () => {
    const faulty = await create(route)
    // Behind the start-up packet and the password, before the first answer to a query.
    const silence = faulty.proxy.toServer.after(1_500, () => faulty.proxy.blackHole())
    const { code, failure } = await faulty.run(SHORT)
    await silence
    expect({ code, failure }).toEqual({ code: 3, failure: expect.objectContaining({ code: 'timeout' }) })
    expect(failure?.fix).toContain('timeouts.request')
    faulty.proxy.cutAll('reset')
    await faulty.proxy.heal()
    await faulty.rerun()
  })

  test('is slow and far away: no limit is for the whole of the work', async () => {
    const faulty = await create(route)
    // Rows flow for longer than any of these limits, and each answer comes within it.
    faulty.rows.bytesPerSecond = 1_000_000
    faulty.proxy.toClient.latencyMs = 2
    const outcome = await faulty.run(SHORT)
    faulty.scene.expectDone(outcome)
    expect(outcome.milliseconds).toBeGreaterThan(SHORT_MS)
    await faulty.scene.expectSame()
  })

  test('falls silent, and the second signal ends the run at once', async () => {
    const faulty = await create(route)
    const { code, report } = await faulty.runUntil(NO_RETRY, (_, run) => {
      faulty.proxy.blackHole()
      run.kill('SIGINT')
      run.kill('SIGTERM')
    })
    expect({ code, status: report?.status }).toEqual({ code: 130, status: 'interrupted' })
    faulty.proxy.cutAll('reset')
    await faulty.proxy.heal()
    await faulty.rerun()
  })
})
