import { cpus } from 'node:os'
import { join } from 'node:path'
import type {
  FaultGround,
  MongoServer,
  PostgresServer,
  Program,
  Route,
  SceneConnector,
  SceneOptions,
  Window,
} from '@nebula/testkit'
import { calibrate, CRASH_CHILD, crashAtPoints, crashAtRandom, faultsOf, newTally, query, Scene } from '@nebula/testkit'
import type { Findings } from './findings.ts'
import { root } from './findings.ts'

/** Of the tables: small enough for a run in a fraction of a second, large enough for several commits of each task. */
const RANDOM_ROWS = 4_000
const POINT_ROWS = 1_600
const PARTITION_BYTES = 60_000
const BENCH_ROWS = 200_000
/** Of routes of MongoDB: a stand-in takes 20 s for them. */
const BENCH_DOCUMENTS = 100_000
const BENCH_RUNS = 3

const env = { NODE_OPTIONS: '', NODE_COMPILE_CACHE: join(root, '.toolchain', 'certify', 'compiled') }
const program = (path: string): Program => ({ command: [process.execPath, path], env })
const nebula = program(join(root, 'packages', 'cli', 'dist', 'bin.js'))
const child = program(CRASH_CHILD)

/** A server that is never killed, which others may use too, and one that is. */
interface Pair<T> {
  readonly sound: T
  readonly mortal: T
}

export interface Servers {
  readonly postgres?: Pair<PostgresServer>
  readonly mongo?: Pair<MongoServer>
}

/** What is asked of a route. */
export interface Effort {
  /** At random moments. */
  readonly kills: number
  /** Of the named points one in so many; and of the faults. */
  readonly every: number
  readonly everyFault: number
}

/** Called whenever something more is known. */
type Save = (findings: Findings) => void

/**
 * Kills a route until it was killed so often at random moments and at its named points, and lets it meet each fault.
 */
export async function certifyRoute(found: Findings, effort: Effort, servers: Servers, save: Save): Promise<void> {
  const { route, seed } = found
  found.server = await productsOf(route, servers)
  if (found.random.kills < effort.kills) await randomCrashes(found, effort.kills, servers, save)
  if (!found.points) {
    await using scene = await createScene(route, servers, { rows: POINT_ROWS })
    const tally = newTally()
    const stride = { first: seed % effort.every, every: effort.every }
    // In this process everything is loaded: it goes on in a tenth of the time.
    const subject = { ...(await scene.subject()), complete: () => scene.runHere() }
    found.points = await crashAtPoints(subject, tally, stride)
    found.atPoints = tally
    save(found)
  }
  for (const [i, fault] of faultsOf(route).entries()) {
    if (found.faults[fault.name] !== undefined || (i + seed) % effort.everyFault !== 0) continue
    const ground = { servers: groundOf(servers), scenes: { nebula } }
    const { skipped } = await fault.survive(route, ground).catch((cause: Error) => {
      throw new Error(`${fault.name}: ${cause.message}`, { cause })
    })
    found.faults[fault.name] = skipped === undefined ? 'survived' : `not tried: ${skipped}`
    save(found)
  }
}

/** The products at the ends of a route, and their versions. */
async function productsOf({ from, to }: Route, { postgres, mongo }: Servers): Promise<string> {
  const products: string[] = []
  if (postgres && [from, to].includes('postgres')) {
    const [row] = await query(postgres.sound.url, 'SHOW server_version')
    products.push(`PostgreSQL ${String(row?.['server_version'])}`)
  }
  if (mongo && [from, to].includes('mongo')) products.push(mongoProduct(mongo.sound))
  return products.join(', ')
}

function mongoProduct({ kind, version, replicaSet }: MongoServer): string {
  if (kind === 'stand-in') return `mongo-java-server, which stands in for MongoDB ${version} and has no transactions`
  return `MongoDB ${version}, ${replicaSet ? 'a replica set' : 'no replica set'}`
}

function groundOf({ postgres, mongo }: Servers): FaultGround['servers'] {
  return {
    ...(postgres ? { postgres: { mortal: postgres.mortal, sound: postgres.sound.url } } : {}),
    ...(mongo ? { mongo: { mortal: mongo.mortal, sound: mongo.sound.url } } : {}),
  }
}

async function randomCrashes(found: Findings, kills: number, servers: Servers, save: Save): Promise<void> {
  await using scene = await createScene(found.route, servers, { rows: RANDOM_ROWS })
  found.guarantee ??= await scene.guarantee()
  const subject = await scene.subject({ pipeline: { parallel: 2 } })
  found.window ??= await calibrate(subject, found.random)
  const { seed, window, random: tally } = found
  const onCycle = (_: unknown, shorter: Window): void => {
    found.window = shorter
    save(found)
  }
  await crashAtRandom(subject, { seed, kills, window, tally, onCycle })
}

/** Moves a larger table without any kill, by itself on this machine. The median of some runs. */
export async function benchRoute(found: Findings, servers: Servers): Promise<void> {
  const rows = [found.route.from, found.route.to].includes('mongo') ? BENCH_DOCUMENTS : BENCH_ROWS
  await using scene = await Scene.create(found.route, {
    servers: urlsOf(found.route, servers),
    nebula,
    rows,
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
  found.bench = { rows, rowsPerSecond, machine, date: new Date().toISOString().slice(0, 10) }
}

function createScene(route: Route, servers: Servers, options: Pick<SceneOptions, 'rows'>): Promise<Scene> {
  const shape = { partitionBytes: PARTITION_BYTES, existing: true, faultyRow: true }
  return Scene.create(route, { servers: urlsOf(route, servers), nebula, child, ...shape, ...options })
}

function urlsOf({ from, to }: Route, servers: Servers): SceneOptions['servers'] {
  const urlOf = (end: SceneConnector): string => (end === 'csv' ? '' : (servers[end]?.sound.url ?? ''))
  return { source: urlOf(from), target: urlOf(to) }
}

/** What every certificate says of the tables. */
export const TABLES = `${RANDOM_ROWS.toLocaleString('en')} rows of 110 bytes, in partitions of ${PARTITION_BYTES / 1000} KB, two at once`
