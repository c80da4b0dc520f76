import { statSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { PostgresServer } from '../postgres.ts'
import { query } from '../query.ts'
import { smallDisk } from '../small-disk.ts'
import { FaultyScene, NO_RETRY, SHORT } from './faulty-scene.ts'
import type { Route, SceneOptions, SceneRun } from './scene.ts'
import { Scene } from './scene.ts'

/** Of what a scene writes, less than a half. */
const SMALL_BYTES = 900_000
const LARGE_BYTES = 8_000_000

/** What a fault may use: a server that may be killed, and another one for the sound end. */
export interface FaultGround {
  readonly server: PostgresServer
  readonly sound: string
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

type Middle = (faulty: FaultyScene, server: PostgresServer) => Promise<SceneRun>

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
  const ends = [
    ...(from === 'postgres' ? ['source' as const] : []),
    ...(to === 'postgres' ? ['destination' as const] : []),
  ]
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
  { server, sound, scenes }: FaultGround,
  middle: Middle,
): Promise<Survival> {
  const servers =
    route.faulty === 'source' ? { source: server.url, target: sound } : { source: sound, target: server.url }
  await using faulty = await FaultyScene.create(route, { ...scenes, servers })
  expectFailed(await middle(faulty, server))
  await faulty.rerun()
  return {}
}

async function surviveFullDisk(route: Route, { server, sound, scenes }: FaultGround): Promise<Survival> {
  const servers = { source: sound, target: server.url }
  await using scene = await Scene.create(route, { ...scenes, servers, existing: false })
  const folder = route.to === 'csv' ? join(scene.folder, 'out') : await mkdtemp(`${server.dataDir}-small-`)
  using disk = smallDisk(folder, SMALL_BYTES, statSync(route.to === 'csv' ? folder : (server.dataDir ?? '')))
  if (!disk) return { skipped: 'this user may not mount a small disk' }
  await using _ = route.to === 'csv' ? undefined : await useTablespace(server.url, scene.target, folder)
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

/** The run said that it failed: what a fault cuts off is never called done. */
function expectFailed({ code, failure, stderr }: SceneRun): void {
  if (code !== 3 || !failure) throw new Error(`The run met a fault and ended with exit code ${String(code)}. ${stderr}`)
}
