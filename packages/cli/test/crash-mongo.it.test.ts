import type { CrashTally, Route, Scene } from '@nebula/testkit'
import { calibrate, chooseSeed, crashAtPoints, crashAtRandom, newTally } from '@nebula/testkit'
import { describe, expect, inject, test, vi } from 'vitest'
import { createScene } from './nebula.ts'

const full = process.env['NEBULA_FULL'] === '1'
const KILLS = full ? 50 : 2
const seed = chooseSeed()
// Each waits for disks and servers as long as it computes.
vi.setConfig({ maxConcurrency: 2 })

const ENDS = [
  ['csv', 'mongo'],
  ['mongo', 'csv'],
  ['mongo', 'mongo'],
  ['mongo', 'postgres'],
  ['postgres', 'mongo'],
] as const
const ALL = ENDS.flatMap(([from, to]) => (['overwrite', 'append'] as const).map((mode): Route => ({ from, to, mode })))
/** One way in and one out; in the long form all. */
const ROUTES: readonly Route[] = full
  ? ALL
  : [
      { from: 'csv', to: 'mongo', mode: 'append' },
      { from: 'mongo', to: 'postgres', mode: 'overwrite' },
    ]
/** Of the points some, by chance; in the long form all. */
const EVERY = full ? 1 : 8

const nameOf = ({ from, to, mode }: Route): string => `${from} -> ${to}, ${mode}, NEBULA_SEED=${seed}`

function create(route: Route, rows: number): Promise<Scene> {
  const relational = inject('postgres')['18']
  const servers = { csv: relational, mongo: inject('mongo').url, postgres: relational }
  const options = { rows, partitionBytes: 60_000, existing: true, faultyRow: true }
  return createScene(route, { source: servers[route.from], target: servers[route.to] }, options)
}

/** Rows are added to a collection one batch after the other, which a reader may see. */
function expectSound(tally: CrashTally, { to, mode }: Route): void {
  const seen = to === 'mongo' && mode === 'append' ? {} : { torn: 0 }
  expect(tally).toMatchObject({ lost: 0, doubled: 0, changed: 0, foreign: 0, ...seen })
}

describe.skipIf(inject('mongo').kind === 'none')('routes of MongoDB', () => {
  test.concurrent.each(ROUTES)(
    '$from -> $to, $mode: killed at random moments, and run again',
    async (route) => {
      await using scene = await create(route, 4_000)
      const subject = await scene.subject({ pipeline: { parallel: 2 } })
      const tally = newTally()
      const window = await calibrate(subject, tally)
      await crashAtRandom(subject, { seed, kills: KILLS, window, tally })
      console.log(`${nameOf(route)}: ${JSON.stringify({ ...tally, window })}`)
      expectSound(tally, route)
      expect(tally.kills).toBe(KILLS)
    },
    600_000,
  )

  test.concurrent.each(ROUTES)(
    '$from -> $to, $mode: killed at named points, and run again',
    async (route) => {
      await using scene = await create(route, 500)
      // In this process everything is loaded: it goes on in a tenth of the time.
      const subject = { ...(await scene.subject()), complete: () => scene.runHere() }
      const tally = newTally()
      const points = await crashAtPoints(subject, tally, { first: seed % EVERY, every: EVERY })
      console.log(`${nameOf(route)}: ${points.length} points: ${points.join(', ')}`)
      expectSound(tally, route)
      expect(points.length).toBeGreaterThan(0)
      expect(tally.completions).toBe(points.length + 1)
    },
    600_000,
  )
})
