// Certifies the routes of this repository: kills them, lets them meet faults, and compares every row.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Route, SceneConnector } from '@nebula/testkit'
import { chooseSeed, mongo, postgres } from '@nebula/testkit'
import { certificate, certificatePath, isSound, summary } from './certify/certificate.ts'
import type { Servers } from './certify/certify-route.ts'
import { benchRoute, certifyRoute } from './certify/certify-route.ts'
import type { Findings } from './certify/findings.ts'
import { newFindings, readFindings, root, routeName, writeFindings } from './certify/findings.ts'

const CONNECTORS: readonly SceneConnector[] = ['csv', 'postgres', 'mongo']
const MODES: readonly Route['mode'][] = ['overwrite', 'append', 'merge']
/** In the modes that their destination has. */
const ROUTES = CONNECTORS.flatMap((from) =>
  CONNECTORS.flatMap((to) => MODES.map((mode): Route => ({ from, to, mode }))),
).filter(({ to, mode }) => to !== 'csv' || mode !== 'merge')
const KILLS = 5
const FULL_KILLS = 1_000
/** Of routes of MongoDB. */
const FULL_MONGO_KILLS = 200
/** Of the named points, and of the faults, one in so many is tried, from a random one on; in the long form each. */
const EVERY_POINT = 12
const EVERY_FAULT = 3
/** Routes at a time; each waits for disks and servers as long as it computes. */
const LANES = 2

const ROUTE_NAMES = [...new Set(ROUTES.map(routeName))]
const HELP = `Usage: npm run certify -- [options]

Kills every route between the connectors of this repository at random moments and at named points, lets it meet faults,
and compares source and destination row by row. Routes of MongoDB need a JDK and Maven, Docker, or MONGO_URL.

  --full           ${FULL_KILLS.toLocaleString('en')} kills at random moments for each route, ${FULL_MONGO_KILLS} for those of MongoDB, one at each
                   named point, and certificates in docs/certificates; another call goes on where this one was stopped,
                   unless the sources or the seed changed
  --kills <n>      kills at random moments for each route (default: ${KILLS})
  --routes <a,b>   only these: ${ROUTE_NAMES.join(', ')}
  --modes <a,b>    only these: ${MODES.join(', ')}
  --seed <n>       the moments of an earlier call, in relation to how long a run takes (default: any)
  --help           this text
`

interface Wish {
  readonly full: boolean
  /** Undefined: as many as are usual. */
  readonly kills: number | undefined
  readonly routes: readonly Route[]
  readonly seed: number | undefined
}

function wishOf(args: string[]): Wish | undefined {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const options = { full: flag, help: flag, kills: text, routes: text, modes: text, seed: text }
  const { values } = parseArgs({ args, options })
  if (values.help) return undefined
  const names = chosen('routes', values.routes, ROUTE_NAMES)
  const modes = chosen('modes', values.modes, MODES)
  return {
    full: values.full,
    kills: integer('kills', values.kills),
    routes: ROUTES.filter((route) => names.includes(routeName(route)) && modes.includes(route.mode)),
    seed: integer('seed', values.seed),
  }
}

function chosen(option: string, text: string | undefined, all: readonly string[]): readonly string[] {
  const names = text?.split(',') ?? all
  const unknown = names.filter((name) => !all.includes(name))
  if (unknown.length > 0) throw new Error(`--${option}: there is no ${unknown.join(', ')}, but ${all.join(', ')}.`)
  return names
}

function integer(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,10}$/.test(text)) throw new Error(`--${option} is a whole number.`)
  return Number(text)
}

async function certifyAll({ full, kills, routes, seed }: Wish): Promise<boolean> {
  const began = performance.now()
  await using stack = new AsyncDisposableStack()
  const lanes = await startServers(routes, stack)
  const save = full ? writeFindings : () => {}
  const done: Findings[] = []
  let failures = 0
  const queue = [...routes]
  const work = async (servers: Servers): Promise<void> => {
    for (let route = queue.shift(); route; route = queue.shift()) {
      const started = performance.now()
      const found = (full && readFindings(route, seed)) || newFindings(route, seed ?? chooseSeed())
      const effort = {
        kills: kills ?? usualKills(route, full),
        every: full ? 1 : EVERY_POINT,
        everyFault: full ? 1 : EVERY_FAULT,
      }
      try {
        await certifyRoute(found, effort, servers, save)
        done.push(found)
        console.log(summary(found, (performance.now() - started) / 1000))
      } catch (error) {
        failures++
        const at = `seed ${found.seed}, moment ${found.random.index - 1}`
        console.log(`FAIL ${routeName(route)}, ${route.mode}, ${at}: ${String(error)}`)
      }
    }
  }
  await Promise.all(lanes.map(work))
  for (const found of full ? done : []) await conclude(found, lanes[0] ?? {})
  const bad = failures + done.filter((found) => !isSound(found)).length
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(`${routes.length} routes, ${bad} of them unsound, in ${seconds} s`)
  return bad === 0
}

function usualKills({ from, to }: Route, full: boolean): number {
  if (!full) return KILLS
  return [from, to].includes('mongo') ? FULL_MONGO_KILLS : FULL_KILLS
}

/**
 * Those that the routes need, for each lane; they stop with the stack. The stand-in for MongoDB would keep all that ever
 * was in its oplog.
 */
async function startServers(routes: readonly Route[], stack: AsyncDisposableStack): Promise<readonly Servers[]> {
  process.env['_JAVA_OPTIONS'] ??= '-Dstandin.nooplog=true'
  const started = async <T extends { stop(): Promise<void> }>(server: Promise<T>): Promise<T> =>
    stack.adopt(await server, (running) => running.stop())
  const needs = (end: SceneConnector): boolean => routes.some(({ from, to }) => from === end || to === end)
  const quiet = { flags: ['-c', 'log_connections=off'] }
  const sound = {
    postgres: needs('postgres') ? await started(postgres()) : undefined,
    mongo: needs('mongo') ? await started(mongo()) : undefined,
  }
  const lane = async (): Promise<Servers> => ({
    ...(sound.postgres ? { postgres: { sound: sound.postgres, mortal: await started(postgres(quiet)) } } : {}),
    ...(sound.mongo ? { mongo: { sound: sound.mongo, mortal: await started(mongo({ own: true })) } } : {}),
  })
  return Promise.all(Array.from({ length: Math.min(LANES, routes.length) }, lane))
}

/** Benchmarks by itself, and writes the certificate. */
async function conclude(found: Findings, servers: Servers): Promise<void> {
  if (!found.bench) {
    await benchRoute(found, servers)
    writeFindings(found)
  }
  const path = join(root, certificatePath(found.route))
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, certificate(found))
  console.log(`wrote ${certificatePath(found.route)}`)
}

try {
  const wish = wishOf(process.argv.slice(2))
  if (!wish) process.stdout.write(HELP)
  else if (!(await certifyAll(wish))) process.exitCode = 1
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 2
}
