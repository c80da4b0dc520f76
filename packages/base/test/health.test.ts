import { BaseConfig, NebulaError } from '@nebula/core'
import { ManualClock } from '@nebula/testkit'
import { expect, test } from 'vitest'
import type { Health } from '../src/index.ts'
import { createContext, HealthMonitor } from '../src/index.ts'

const lost = new NebulaError('connection_lost', { message: 'gone' })

function monitored(ping: (call: number) => Promise<void>, healthCheck: object = { enabled: true }) {
  const clock = new ManualClock(0)
  const config = BaseConfig.parse({ reliability: { healthCheck } })
  const context = createContext({ signal: new AbortController().signal, config, clock })
  const seen: Health[] = []
  let calls = 0
  const monitor = new HealthMonitor({
    driver: { ping: (given) => given.call(() => ping(++calls)) },
    config: config.reliability.healthCheck,
    context,
    onCheck: (health) => seen.push(health),
  })
  return { clock, monitor, seen, calls: () => calls }
}

test('the status follows the last checks, and knows since when', async () => {
  const answers = [true, true, false, false, false, true]
  const { monitor, clock } = monitored((call) => (answers[call - 1] ? Promise.resolve() : Promise.reject(lost)))
  const seen = []
  for (const _ of answers) {
    const { status, since } = await monitor.check()
    seen.push([status, since])
    await clock.advance(10)
  }
  expect(seen).toEqual([
    ['healthy', 0],
    ['healthy', 0],
    ['degraded', 20],
    ['degraded', 20],
    ['unhealthy', 40],
    ['healthy', 50],
  ])
  expect(monitor.health.checks.map(({ at, error }) => [at, error])).toEqual([
    [0, undefined],
    [10, undefined],
    [20, 'connection_lost'],
    [30, 'connection_lost'],
    [40, 'connection_lost'],
    [50, undefined],
  ])
})

test('a system that never answered is unhealthy, and only so much is remembered', async () => {
  const { monitor } = monitored(() => Promise.reject(lost))
  expect((await monitor.check()).status).toBe('unhealthy')
  for (let i = 0; i < 50; i++) await monitor.check()
  expect(monitor.health.checks).toHaveLength(20)
})

test('asks every interval once it is started, one ping each, until it is stopped', async () => {
  const { monitor, clock, calls } = monitored(() => Promise.reject(lost), { enabled: true, interval: 1000 })
  monitor.start()
  monitor.start()
  await clock.advance(2999)
  expect(calls()).toBe(3)
  await clock.advance(1)
  expect(calls()).toBe(4)
  await monitor.stop()
  await clock.advance(9000)
  expect([calls(), clock.sleeping]).toEqual([4, []])
})

test('asks nothing where it is not enabled', async () => {
  const { monitor, clock, calls } = monitored(() => Promise.resolve(), { enabled: false })
  monitor.start()
  await clock.advance(90_000)
  expect([calls(), monitor.health.status]).toEqual([0, 'healthy'])
})

test('a ping that takes longer than the timeout has failed', async () => {
  const { monitor, clock } = monitored(() => new Promise(() => {}), { enabled: true, timeout: 200 })
  const checking = monitor.check()
  await clock.advance(200)
  expect((await checking).checks).toEqual([{ at: 0, ms: 200, error: 'timeout' }])
})

test('whoever stops the checks learns nothing by it', async () => {
  const { monitor, clock } = monitored(() => new Promise(() => {}))
  monitor.start()
  await clock.advance(10)
  await monitor.stop()
  expect(monitor.health).toEqual({ status: 'healthy', since: 0, checks: [] })
})
