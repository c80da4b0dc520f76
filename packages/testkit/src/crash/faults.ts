import { statSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { query } from '../query.ts'
import { smallDisk } from '../small-disk.ts'
import { FaultyScene, NO_RETRY, SHORT } from './faulty-scene.ts'
import type { Route, SceneConnector, SceneOptions, SceneRun } from './scene.ts'
import { Scene } from './scene.ts'

/** Of what a scene writes, less than a half. */
const SMALL_BYTES = 900_000
const LARGE_BYTES = 8_000_000

/** A server that may be killed, and starts again with its data. */
export interface MortalServer {
  readonly url: string
  /** Undefined where its data lies on no disk of this machine. */
  readonly dataDir?: string | undefined
  kill(signal: NodeJS.Signals): void
  restart(): Promise<void>
}

/** What a fault may use: for each system of the route that has servers, one that may be killed, and the URL of a sound one. */
export interface FaultGround {
  readonly servers: {
    readonly [connector in SceneConnector]?: { readonly mortal: MortalServer; readonly sound: string }
  }
  readonly scenes: Omit<SceneOptions, 'servers' | 'existing'>
}

/** `skipped` where the fault cannot be had here: a reason for people. */
export interface Survival {
  readonly skipped?: string
}

/** Something that happens to a route in the middle of its rows; the same command then goes on. Throws what does not hold. */
export interface RouteFault {
  readonly name: string
  readonly survive: (route: Route, ground: FaultGround) => Promise<Survival>
}

type Middle = (faulty: FaultyScene, server: MortalServer) => Promise<SceneRun>

/** What happens to the connections and the server of an end, and which run meets it. */
const CONNECTION_FAULTS: { readonly [name: string]: Middle } = {
  'its connection is reset': (faulty) => faulty.runUntil(NO_RETRY, (connection) => connection.cut('reset')),
  'its connection ends': (faulty) => faulty.runUntil(NO_RETRY, (connection) => connection.cut('end')),
  'it refuses connections': async (faulty) => {
    faulty.proxy.refuse()
    const outcome = await faulty.run(NO_RETRY)
    await faulty.proxy.heal()
    return outcome
  },
  'it falls silent': async (faulty) => {
    const outcome = await faulty.runUntil(SHORT, () => faulty.proxy.blackHole())
    faulty.proxy.cutAll('reset')
    await faulty.proxy.heal()
    return outcome
  },
  'its server is killed': async (faulty, server) => {
    const outcome = await faulty.runUntil(NO_RETRY, () => server.kill('SIGKILL'))
    await server.restart()
    return outcome
  },
}

/** The faults that a route can meet; each survives in a scene of its own. */
export function faultsOf({ from, to }: Route): readonly RouteFault[] {
  const ends = [...(from === 'csv' ? [] : ['source' as const]), ...(to === 'csv' ? [] : ['destination' as const])]
  const connections = ends.flatMap((faulty) =>
    Object.entries(CONNECTION_FAULTS).map(([name, middle]): RouteFault => {
      return {
        name: `the ${faulty}: ${name}`,
        survive: (route, ground) => surviveCut({ ...route, faulty }, ground, middle),
      }
    }),
  )
  return [...connections, { name: 'the destination: its disk is full', survive: surviveFullDisk }]
}

async function surviveCut(
  route: Parameters<typeof FaultyScene.create>[0],
  ground: FaultGround,
  middle: Middle,
): Promise<Survival> {
  const { server, servers } = placesOf(route, route.faulty, ground)
  if (!server) throw new Error(`There is no server of ${route.faulty === 'source' ? route.from : route.to}.`)
  await using faulty = await FaultyScene.create(route, { ...ground.scenes, servers })
  const outcome = await middle(faulty, server)
  // A connection that was not needed any more, or that was made again, does no harm: then the run came to its end.
  if (!outcome.failure) await faulty.scene.expectWhole(outcome)
  else {
    expectFailed(outcome)
    await faulty.rerun()
  }
  return {}
}

/** The server of the faulty end, and the URLs of both ends; files have none. */
function placesOf(
  { from, to }: Route,
  faulty: 'source' | 'destination',
  { servers }: FaultGround,
): { readonly server: MortalServer | undefined; readonly servers: SceneOptions['servers'] } {
  const [source, target] = [servers[from], servers[to]]
  const server = (faulty === 'source' ? source : target)?.mortal
  const [ours, other] = [server?.url ?? '', (faulty === 'source' ? target : source)?.sound ?? '']
  const urls = faulty === 'source' ? { source: ours, target: other } : { source: other, target: ours }
  return { server, servers: urls }
}

async function surviveFullDisk(route: Route, ground: FaultGround): Promise<Survival> {
  const { server, servers } = placesOf(route, 'destination', ground)
  const data = server?.dataDir
  if (server && data === undefined) return { skipped: 'its server keeps no data on a disk of this machine' }
  await using scene = await Scene.create(route, { ...ground.scenes, servers, existing: false })
  const folder = data === undefined ? join(scene.folder, 'out') : await mkdtemp(`${data}-small-`)
  using disk = smallDisk(folder, SMALL_BYTES, statSync(data ?? folder))
  if (!disk) return { skipped: 'this user may not mount a small disk' }
  await using _ = server && (await useTablespace(server.url, scene.target, folder))
  expectFailed(await scene.run())
  disk.resize(LARGE_BYTES)
  await scene.rerun()
  return {}
}

/** From now on a database keeps its tables in this folder; it goes with the tablespace. */
async function useTablespace(server: string, database: string, folder: string): Promise<AsyncDisposable> {
  const name = decodeURIComponent(new URL(database).pathname.slice(1))
  const space = `small_${name}`
  await query(server, `CREATE TABLESPACE ${space} LOCATION '${folder}'`)
  await query(server, `ALTER DATABASE ${name} SET default_tablespace = ${space}`)
  return {
    async [Symbol.asyncDispose]() {
      await query(server, `DROP DATABASE ${name} WITH (FORCE)`)
      await query(server, `DROP TABLESPACE ${space}`)
    },
  }
}

/** The run said that it failed, as one that may go on. */
function expectFailed({ code, failure, stderr }: SceneRun): void {
  if (code !== 3 || !failure) throw new Error(`The run met a fault and ended with exit code ${String(code)}. ${stderr}`)
}
