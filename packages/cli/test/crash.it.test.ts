import type { Route, Scene } from '@nebula/testkit'
import { calibrate, chooseSeed, crashAtPoints, crashAtRandom, newTally } from '@nebula/testkit'
import { expect, inject, test, vi } from 'vitest'
import { createScene } from './nebula.ts'

const full = process.env['NEBULA_FULL'] === '1'
const KILLS = full ? 100 : 3
const seed = chooseSeed()
// Each waits for disks and servers as long as it computes.
vi.setConfig({ maxConcurrency: 2 })

const ENDS = ['csv', 'postgres'] as const
const ROUTES = ENDS.flatMap((from) =>
  ENDS.flatMap((to) => (['overwrite', 'append'] as const).map((mode): Route => ({ from, to, mode }))),
)

const nameOf = ({ from, to, mode }: Route): string => `${from} -> ${to}, ${mode}`

/** A point is the same in every mode; in the long form all are tried. */
const POINTS: readonly Route[] = full
  ? ROUTES
  : ROUTES.filter(({ from, mode }) => (from === 'csv') === (mode === 'append'))
const SOUND = { lost: 0, doubled: 0, changed: 0, foreign: 0, torn: 0, examples: [] }

function create(route: Route, rows: number): Promise<Scene> {
  const server = inject('postgres')['18']
  const options = { rows, partitionBytes: 60_000, existing: true, faultyRow: true }
  return createScene(route, { source: server, target: server }, options)
}

test.concurrent.each(ROUTES)(
  '$from -> $to, $mode: killed at random moments, and run again',
  async (route) => {
    await using scene = await create(route, 4_000)
    const subject = await scene.subject({ pipeline: { parallel: 2 } })
    const tally = newTally()
    const window = await calibrate(subject, tally)
    await crashAtRandom(subject, { seed, kills: KILLS, window, tally })
    console.log(`${nameOf(route)}, NEBULA_SEED=${seed}: ${JSON.stringify({ ...tally, window })}`)
    expect(tally).toMatchObject(SOUND)
    expect(tally.kills).toBe(KILLS)
  },
  600_000,
)

test.concurrent.each(POINTS)(
  '$from -> $to, $mode: killed at every named point, and run again',
  async (route) => {
    await using scene = await create(route, 500)
    // In this process everything is loaded: it goes on in a tenth of the time.
    const subject = { ...(await scene.subject()), complete: () => scene.runHere() }
    const tally = newTally()
    const points = await crashAtPoints(subject, tally)
    console.log(`${nameOf(route)}: ${points.length} points: ${points.join(', ')}`)
    expect(tally).toMatchObject(SOUND)
    expect(tally.resumes).toBeGreaterThan(points.length / 2)
    expect(points).toEqual(expect.arrayContaining(['before prepare', 'behind commit', 'before finish', 'behind end']))
  },
  600_000,
)
