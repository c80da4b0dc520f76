import type { CrashTally, Route } from '@nebula/testkit'
import { describe, expect, inject, test, vi } from 'vitest'
import { killAtPoints, killAtRandom, seed } from './crash-route.ts'

const full = process.env['NEBULA_FULL'] === '1'
const KILLS = full ? 50 : 2
// Each waits for disks and servers as long as it computes.
vi.setConfig({ maxConcurrency: 2 })

const ENDS = [
  ['csv', 'mongo'],
  ['mongo', 'csv'],
  ['mongo', 'mongo'],
  ['mongo', 'postgres'],
  ['postgres', 'mongo'],
] as const
const MODES = ['overwrite', 'append', 'merge'] as const
const ALL = ENDS.flatMap(([from, to]) => MODES.map((mode): Route => ({ from, to, mode }))).filter(
  ({ to, mode }) => to !== 'csv' || mode !== 'merge',
)
/** One way in and one out; in the long form all. */
const ROUTES: readonly Route[] = full
  ? ALL
  : [
      { from: 'csv', to: 'mongo', mode: 'append' },
      { from: 'mongo', to: 'postgres', mode: 'overwrite' },
      { from: 'postgres', to: 'mongo', mode: 'merge' },
    ]
/** Of the points some, by chance; in the long form all. */
const EVERY = full ? 1 : 8

const SERVERS = { mongo: inject('mongo').url, postgres: inject('postgres')['18'] }

/** Rows come into a collection that stands one batch after the other, which a reader may see. */
function expectSound(tally: CrashTally, { to, mode }: Route): void {
  const seen = to === 'mongo' && mode !== 'overwrite' ? {} : { torn: 0 }
  expect(tally).toMatchObject({ lost: 0, doubled: 0, changed: 0, foreign: 0, ...seen })
}

describe.skipIf(inject('mongo').kind === 'none')('routes of MongoDB', () => {
  test.concurrent.each(ROUTES)(
    '$from -> $to, $mode: killed at random moments, and run again',
    async (route) => {
      const tally = await killAtRandom(route, SERVERS, KILLS)
      expectSound(tally, route)
      expect(tally.kills).toBe(KILLS)
    },
    600_000,
  )

  test('mongo -> mongo, merge and deletes: killed at named points, and run again', async () => {
    const route = { from: 'mongo', to: 'mongo', mode: 'merge' } as const
    const { points, tally } = await killAtPoints(route, SERVERS, { deletes: true, first: seed % EVERY, every: EVERY })
    expectSound(tally, route)
    expect(tally.completions).toBe(points.length + 1)
  }, 600_000)

  test.concurrent.each(ROUTES)(
    '$from -> $to, $mode: killed at named points, and run again',
    async (route) => {
      const { points, tally } = await killAtPoints(route, SERVERS, { first: seed % EVERY, every: EVERY })
      expectSound(tally, route)
      expect(points.length).toBeGreaterThan(0)
      expect(tally.completions).toBe(points.length + 1)
    },
    600_000,
  )
})
