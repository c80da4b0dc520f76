import type { CrashTally, Route, Scene, SceneConnector, Stride } from '@nebula/testkit'
import { calibrate, chooseSeed, crashAtPoints, crashAtRandom, newTally } from '@nebula/testkit'
import { createScene } from './nebula.ts'

export const seed = chooseSeed()

/** Of the systems that have servers. */
export type ServerUrls = { readonly [connector in Exclude<SceneConnector, 'csv'>]?: string }

/** What standing rows and a faulty one make harder, in partitions small enough for several commits. */
function create({ from, to, mode }: Route, servers: ServerUrls, rows: number, deletes = false): Promise<Scene> {
  const urlOf = (end: SceneConnector): string => (end === 'csv' ? '' : (servers[end] ?? ''))
  const options = { rows, partitionBytes: 60_000, existing: true, faultyRow: !deletes, deletes }
  return createScene({ from, to, mode }, { source: urlOf(from), target: urlOf(to) }, options)
}

const nameOf = ({ from, to, mode }: Route): string => `${from} -> ${to}, ${mode}, NEBULA_SEED=${seed}`

/** Kills a route at random moments, and says what was left of its rows. */
export async function killAtRandom(route: Route, servers: ServerUrls, kills: number): Promise<CrashTally> {
  await using scene = await create(route, servers, 4_000)
  const subject = await scene.subject({ pipeline: { parallel: 2 } })
  const tally = newTally()
  const window = await calibrate(subject, tally)
  await crashAtRandom(subject, { seed, kills, window, tally })
  console.log(`${nameOf(route)}: ${JSON.stringify({ ...tally, window })}`)
  return tally
}

/** Kills a route at named points, and says which these were and what was left of its rows. */
export async function killAtPoints(
  route: Route,
  servers: ServerUrls,
  { deletes, ...stride }: Partial<Stride> & { readonly deletes?: boolean } = {},
): Promise<{ readonly points: readonly string[]; readonly tally: CrashTally }> {
  await using scene = await create(route, servers, 500, deletes)
  // In this process everything is loaded: it goes on in a tenth of the time.
  const subject = { ...(await scene.subject()), complete: () => scene.runHere() }
  const tally = newTally()
  const points = await crashAtPoints(subject, tally, { first: 0, every: 1, ...stride })
  console.log(`${nameOf(route)}: ${points.length} points: ${points.join(', ')}`)
  return { points, tally }
}
