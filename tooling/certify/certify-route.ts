import { cpus } from 'node:os'
import { join } from 'node:path'
import type { PostgresServer, Program, Route, SceneOptions } from '@nebula/testkit'
import { calibrate, CRASH_CHILD, crashAtPoints, crashAtRandom, faultsOf, newTally, query, Scene } from '@nebula/testkit'
import type { Findings } from './findings.ts'
import { root } from './findings.ts'

/** Of the tables: small enough for a run in a fraction of a second, large enough for several commits of each task. */
const RANDOM_ROWS = 4_000
const POINT_ROWS = 1_600
const PARTITION_BYTES = 60_000
const BENCH_ROWS = 200_000
const BENCH_RUNS = 3

const env = { NODE_OPTIONS: '', NODE_COMPILE_CACHE: join(root, '.toolchain', 'certify', 'compiled') }
const program = (path: string): Program => ({ command: [process.execPath, path], env })
const nebula = program(join(root, 'packages', 'cli', 'dist', 'bin.js'))
const child = program(CRASH_CHILD)

/** A server that is never killed, and one that is: faults of it happen one after the other. */
export interface Servers {
  readonly sound: PostgresServer
  readonly mortal: PostgresServer
  /** Runs work that may kill the mortal server. */
  alone<T>(work: () => Promise<T>): Promise<T>
}

/** Called whenever something more is known. */
type Save = (findings: Findings) => void

/** Kills a route until it was killed so often at random moments, once at each named point, and let it meet each fault. */
export async function certifyRoute(found: Findings, kills: number, servers: Servers, save: Save): Promise<void> {
  const { route } = found
  const { url } = servers.sound
  if (route.from === 'postgres' || route.to === 'postgres') {
    const [row] = await query(url, 'SHOW server_version')
    found.server = `PostgreSQL ${String(row?.['server_version'])}`
  }
  if (found.random.kills < kills) await randomCrashes(found, kills, url, save)
  if (!found.points) {
    await using scene = await createScene(route, url, { rows: POINT_ROWS })
    const tally = newTally()
    found.points = await crashAtPoints(await scene.subject(), tally)
    found.atPoints = tally
    save(found)
  }
  for (const fault of faultsOf(route)) {
    if (found.faults[fault.name] !== undefined) continue
    const ground = { server: servers.mortal, sound: url, scenes: { nebula } }
    const { skipped } = await servers.alone(() => fault.survive(route, ground))
    found.faults[fault.name] = skipped === undefined ? 'survived' : `not tried: ${skipped}`
    save(found)
  }
}

async function randomCrashes(found: Findings, kills: number, url: string, save: Save): Promise<void> {
  await using scene = await createScene(found.route, url, { rows: RANDOM_ROWS })
  const subject = await scene.subject({ pipeline: { parallel: 2 } })
  found.window ??= await calibrate(subject, found.random)
  const { seed, window, random: tally } = found
  await crashAtRandom(subject, { seed, kills, window, tally, onCycle: () => save(found) })
}

/** Moves a larger table without any kill, by itself on this machine. The median of some runs. */
export async function benchRoute(found: Findings, { sound }: Servers): Promise<void> {
  await using scene = await Scene.create(found.route, {
    servers: { source: sound.url, target: sound.url },
    nebula,
    rows: BENCH_ROWS,
    partitionBytes: 4_000_000,
  })
  const speeds: number[] = []
  for (let i = 0; i < BENCH_RUNS; i++) {
    await scene.reset()
    const outcome = await scene.run({ pipeline: { parallel: 2 } })
    scene.expectDone(outcome)
    await scene.expectSame()
    speeds.push(outcome.report?.rowsPerSecond ?? 0)
  }
  const rowsPerSecond = speeds.toSorted((a, b) => a - b)[BENCH_RUNS >> 1] ?? 0
  const [cpu] = cpus()
  const machine = `${cpus().length} cores, ${cpu?.model ?? 'unknown'}`
  found.bench = { rows: BENCH_ROWS, rowsPerSecond, machine, date: new Date().toISOString().slice(0, 10) }
}

function createScene(route: Route, url: string, options: Pick<SceneOptions, 'rows'>): Promise<Scene> {
  const shape = { partitionBytes: PARTITION_BYTES, existing: true, faultyRow: true }
  return Scene.create(route, { servers: { source: url, target: url }, nebula, child, ...shape, ...options })
}

/** What every certificate says of the tables. */
export const TABLES = `${RANDOM_ROWS.toLocaleString('en')} rows of 110 bytes, in partitions of ${PARTITION_BYTES / 1000} KB, two at once`
