import type { ChildProcess } from 'node:child_process'
import type { Cut, FaultyDirection } from '@nebula/testkit'
import { FaultProxy } from '@nebula/testkit'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { random } from './crash-harness.ts'
import type { FaultyRun, Route, Settings } from './fault-harness.ts'
import { Scene } from './fault-harness.ts'

const seed = Number(process.env['NEBULA_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const next = random(seed)

const full = process.env['NEBULA_FULL'] === '1'
const MORE: readonly Cut[] = Array.from({ length: 10 }, () => (next() < 0.5 ? 'reset' : 'end'))

const closing: AsyncDisposable[] = []
afterEach(async () => {
  for (const item of closing.splice(0).toReversed()) await item[Symbol.asyncDispose]()
})

/** A route, and which of its ends lies behind the proxy. */
interface Case extends Route {
  readonly faulty: 'source' | 'destination'
}

const CASES: readonly Case[] = [
  { from: 'postgres', to: 'csv', mode: 'overwrite', faulty: 'source' },
  { from: 'postgres', to: 'postgres', mode: 'append', faulty: 'source' },
  { from: 'csv', to: 'postgres', mode: 'overwrite', faulty: 'destination' },
  { from: 'csv', to: 'postgres', mode: 'append', faulty: 'destination' },
  { from: 'postgres', to: 'postgres', mode: 'overwrite', faulty: 'destination' },
]

const RETRIES = { reliability: { max_retries: 3, retry_delay: '10ms' } }
const SHORT_MS = 1_000
const SHORT = Object.fromEntries(
  ['connection', 'request', 'query_timeout', 'read', 'write'].map((key) => [key, `${SHORT_MS}ms`]),
)
const NO_RETRY = { reliability: { max_retries: 0 } }

class Wire {
  readonly scene: Scene
  readonly proxy: FaultProxy
  readonly #faulty: Case['faulty']

  constructor(scene: Scene, proxy: FaultProxy, faulty: Case['faulty']) {
    this.scene = scene
    this.proxy = proxy
    this.#faulty = faulty
  }

  static async before({ faulty, ...route }: Case): Promise<Wire> {
    const server = inject('postgres')['18']
    const scene = await Scene.create(route, { source: server, target: server })
    const proxy = await FaultProxy.before(server)
    closing.push(scene, proxy)
    return new Wire(scene, proxy, faulty)
  }

  /** The direction in which the rows flow. */
  get rows(): FaultyDirection {
    return this.#faulty === 'source' ? this.proxy.toClient : this.proxy.toServer
  }

  /** The direction in which they are asked for. */
  get other(): FaultyDirection {
    return this.rows === this.proxy.toClient ? this.proxy.toServer : this.proxy.toClient
  }

  settings(keys: object): Settings {
    return this.#faulty === 'source'
      ? { source: keys, sourceUrl: this.proxy.url(this.scene.source) }
      : { destination: keys, targetUrl: this.proxy.url(this.scene.target) }
  }

  run(keys: object): Promise<FaultyRun> {
    return this.scene.run(this.settings(keys))
  }

  async rerun(keys: object = NO_RETRY): Promise<FaultyRun> {
    const outcome = await this.scene.rerun(this.settings(keys))
    await expect.poll(() => this.proxy.connections).toBe(0)
    return outcome
  }
}

describe.each(CASES)('$from -> $to, $mode: the connection of the $faulty', (route) => {
  test('cut at a random byte: the run says so, and the same command goes on', async () => {
    const wire = await Wire.before(route)
    const { scene, proxy } = wire
    scene.expectDone(await wire.run(NO_RETRY))
    const { rows, other } = wire
    const sizes = new Map([rows, other].map((direction) => [direction, direction.bytes]))
    for (const [i, how] of (['reset', 'end', ...(full ? MORE : [])] as const).entries()) {
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
      const { code, failure } = await wire.run(NO_RETRY)
      // What comes last is only the farewell.
      if (!happened || code === 0) expect({ code, failure }).toEqual({ code: 0, failure: undefined })
      else expect({ code, failure: failure?.code }).toEqual({ code: 3, failure: expect.stringMatching(/^connection_/) })
      await wire.rerun()
    }
  })

  test('cut in the middle, with retries: the run goes on by itself', async () => {
    const wire = await Wire.before(route)
    const { scene, rows } = wire
    const cut = rows.after(700_000, (connection) => connection.cut('reset'))
    const outcome = await wire.run(RETRIES)
    await cut
    scene.expectDone(outcome)
    await scene.expectSame()
    await scene.expectNothingLeft()
  })

  test('silent from the middle on: the run ends by its timeouts, and the same command goes on', async () => {
    const wire = await Wire.before(route)
    const { proxy, rows } = wire
    const silence = rows.after(700_000, () => proxy.blackHole())
    const { code, failure } = await wire.run({ ...NO_RETRY, timeouts: SHORT })
    await silence
    expect({ code, failure }).toEqual({ code: 3, failure: expect.objectContaining({ code: 'timeout' }) })
    expect(failure?.message).toMatch(/\d+ ms/)
    expect(failure?.fix).toMatch(/timeouts\.\w+/)
    proxy.cutAll('reset')
    await proxy.heal()
    const { report } = await wire.rerun()
    expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
  })
})

describe.each(['source', 'destination'] as const)('the server of the %s', (faulty) => {
  const route: Case = { from: 'postgres', to: 'postgres', mode: 'append', faulty }

  test('refuses connections', async () => {
    const wire = await Wire.before(route)
    wire.proxy.refuse()
    const { code, failure } = await wire.run(NO_RETRY)
    expect({ code, failure }).toEqual({ code: 3, failure: expect.objectContaining({ code: 'connection_failed' }) })
    expect(failure?.message).toMatch(/^Connecting to 127\.0\.0\.1:\d+: /)
    await wire.proxy.heal()
    await wire.rerun()
  })

  test('accepts a connection and says nothing', async () => {
    const wire = await Wire.before(route)
    wire.proxy.blackHole()
    const { code, failure } = await wire.run({ ...NO_RETRY, timeouts: { connection: `${SHORT_MS}ms` } })
    expect({ code, failure }).toEqual({ code: 3, failure: expect.objectContaining({ code: 'connection_failed' }) })
    expect(failure?.message).toMatch(/^Connecting to 127\.0\.0\.1:\d+: /)
    wire.proxy.cutAll('reset')
    await wire.proxy.heal()
    await wire.rerun()
  })

  test('says nothing more once somebody logged in', async () => {
    const wire = await Wire.before(route)
    // Behind the start-up packet and the password, before the first answer to a query.
    const silence = wire.proxy.toServer.after(1_500, () => wire.proxy.blackHole())
    const { code, failure } = await wire.run({ ...NO_RETRY, timeouts: SHORT })
    await silence
    expect({ code, failure }).toEqual({ code: 3, failure: expect.objectContaining({ code: 'timeout' }) })
    expect(failure?.fix).toContain('timeouts.request')
    wire.proxy.cutAll('reset')
    await wire.proxy.heal()
    await wire.rerun()
  })

  test('is slow and far away: no limit is for the whole of the work', async () => {
    const wire = await Wire.before(route)
    // Rows flow for longer than any of these limits, and each answer comes within it.
    wire.rows.bytesPerSecond = 1_000_000
    wire.proxy.toClient.latencyMs = 2
    const outcome = await wire.run({ ...NO_RETRY, timeouts: SHORT })
    wire.scene.expectDone(outcome)
    expect(outcome.milliseconds).toBeGreaterThan(SHORT_MS)
    await wire.scene.expectSame()
  })

  test('falls silent, and Ctrl-C ends the run at once', async () => {
    const wire = await Wire.before(route)
    const running = Promise.withResolvers<ChildProcess>()
    const silence = wire.rows.after(700_000, async () => {
      wire.proxy.blackHole()
      ;(await running.promise).kill('SIGINT')
    })
    const { code, report } = await wire.scene.run(wire.settings(NO_RETRY), running.resolve)
    await silence
    expect({ code, status: report?.status }).toEqual({ code: 130, status: 'interrupted' })
    wire.proxy.cutAll('reset')
    await wire.proxy.heal()
    await wire.rerun()
  })
})
