import type { FaultyRoute, FaultyScene, PostgresServer, SceneRun } from '@nebula/testkit'
import { NO_RETRY, postgres, SHORT } from '@nebula/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { createFaultyScene } from './nebula.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await postgres({ flags: ['-c', 'log_connections=off'] })
})
afterAll(() => server.stop())

/** Keys of an end that tries again for longer than a server takes to start. */
const PATIENT = {
  reliability: { max_retries: 200, retry_delay: '50ms', retry_multiplier: 1, circuit_breaker: { enabled: false } },
}

const closing: AsyncDisposable[] = []
afterEach(async () => {
  server.kill('SIGCONT')
  for (const item of closing.splice(0).toReversed()) await item[Symbol.asyncDispose]()
})

async function create(route: FaultyRoute): Promise<FaultyScene> {
  const faulty = await createFaultyScene(route, server.url, inject('postgres')['18'])
  closing.push(faulty)
  return faulty
}

/** In the middle of a partition, on the way to the next one, or told so by a server that is about to go. */
function expectLost({ code, failure }: SceneRun): void {
  expect({ code, failure: failure?.code }).toEqual({
    code: 3,
    failure: expect.stringMatching(/^(connection_lost|connection_failed|server_busy)$/),
  })
  expect(failure?.fix).toMatch(/run .*again/i)
}

describe.each([
  { from: 'postgres', to: 'csv', mode: 'overwrite', faulty: 'source' },
  { from: 'postgres', to: 'postgres', mode: 'append', faulty: 'source' },
  { from: 'csv', to: 'postgres', mode: 'append', faulty: 'destination' },
  { from: 'postgres', to: 'postgres', mode: 'overwrite', faulty: 'destination' },
] as const)('$from -> $to, $mode: the server of the $faulty', (route) => {
  test('killed with SIGKILL: the run says so, and goes on when the server is back', async () => {
    const faulty = await create(route)
    expectLost(await faulty.runUntil(NO_RETRY, () => server.kill('SIGKILL')))
    await server.restart()
    const { report } = await faulty.rerun()
    expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
  })
})

describe('the server of the destination', () => {
  const route: FaultyRoute = { from: 'csv', to: 'postgres', mode: 'append', faulty: 'destination' }

  test('shut down by its administrator, and not there for the rerun either', async () => {
    const faulty = await create(route)
    expectLost(await faulty.runUntil(NO_RETRY, () => server.kill('SIGINT')))
    const { code, failure } = await faulty.scene.run({ destination: NO_RETRY })
    expect({ code, failure: failure?.code }).toEqual({ code: 3, failure: 'connection_failed' })
    await server.restart()
    await faulty.rerun()
  })

  test('restarted in the middle, with retries: the run goes on by itself', async () => {
    const faulty = await create(route)
    const outcome = await faulty.runUntil(PATIENT, async () => {
      server.kill('SIGKILL')
      await server.restart()
    })
    faulty.scene.expectDone(outcome)
    expect(outcome.report?.status).toBe('done')
    await faulty.scene.expectSame()
    await faulty.scene.expectNothingLeft()
  })
})

describe.each(['source', 'destination'] as const)('the server of the %s', (end) => {
  test('frozen: the run ends by its timeouts, and goes on when the server does', async () => {
    const faulty = await create({ from: 'postgres', to: 'postgres', mode: 'append', faulty: end })
    const { code, failure } = await faulty.runUntil(SHORT, () => server.kill('SIGSTOP'))
    expect({ code, failure: failure?.code }).toEqual({ code: 3, failure: 'timeout' })
    server.kill('SIGCONT')
    await faulty.rerun()
  })
})
