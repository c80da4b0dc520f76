import type { Route } from '@nebula/testkit'
import { expect, inject, test, vi } from 'vitest'
import { killAtPoints, killAtRandom } from './crash-route.ts'

const full = process.env['NEBULA_FULL'] === '1'
const KILLS = full ? 100 : 3
// Each waits for disks and servers as long as it computes.
vi.setConfig({ maxConcurrency: 2 })

const ENDS = ['csv', 'postgres'] as const
const MODES = ['overwrite', 'append', 'merge'] as const
const ROUTES = ENDS.flatMap((from) => ENDS.flatMap((to) => MODES.map((mode): Route => ({ from, to, mode })))).filter(
  ({ to, mode }) => to !== 'csv' || mode !== 'merge',
)

/** A point is the same in every mode; in the long form all are tried. */
const POINTS: readonly Route[] = full
  ? ROUTES
  : ROUTES.filter(({ from, mode }) => mode !== 'merge' && (from === 'csv') === (mode === 'append'))
const SOUND = { lost: 0, doubled: 0, changed: 0, foreign: 0, torn: 0, examples: [] }

const SERVERS = { postgres: inject('postgres')['18'] }

test.concurrent.each(ROUTES)(
  '$from -> $to, $mode: killed at random moments, and run again',
  async (route) => {
    const tally = await killAtRandom(route, SERVERS, KILLS)
    expect(tally).toMatchObject(SOUND)
    expect(tally.kills).toBe(KILLS)
  },
  600_000,
)

test.concurrent.each(POINTS)(
  '$from -> $to, $mode: killed at every named point, and run again',
  async (route) => {
    const { points, tally } = await killAtPoints(route, SERVERS)
    expect(tally).toMatchObject(SOUND)
    expect(tally.resumes).toBeGreaterThan(points.length / 2)
    expect(points).toEqual(expect.arrayContaining(['before prepare', 'behind commit', 'before finish', 'behind end']))
  },
  600_000,
)

test('postgres -> postgres, merge and deletes: killed at every named point, and run again', async () => {
  const route = { from: 'postgres', to: 'postgres', mode: 'merge' } as const
  const { points, tally } = await killAtPoints(route, SERVERS, { deletes: true })
  expect(tally).toMatchObject(SOUND)
  expect(points).toEqual(expect.arrayContaining(['behind finish', 'before sweep', 'behind sweep', 'before end']))
}, 600_000)
