import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Guarantee } from '@nebula/core'
import type { CrashTally, Route, Window } from '@nebula/testkit'
import { newTally } from '@nebula/testkit'

export const root = dirname(dirname(import.meta.dirname))
/** Raised when the file changes its form: what an older one found is not gone on with. */
const VERSION = 2

/** How fast a larger table moves when nobody kills it. */
interface Bench {
  readonly rows: number
  readonly rowsPerSecond: number
  readonly machine: string
  readonly date: string
}

/** What was found of one route so far. */
export interface Findings {
  readonly version: number
  /** Stands for the sources of all packages. */
  readonly sources: string
  readonly seed: number
  readonly route: Route
  /** Kills at random moments. */
  readonly random: CrashTally
  window?: Window
  /** Kills at named points, and these in order. */
  atPoints?: CrashTally
  points?: readonly string[]
  /** By name: survived, or why it could not be had. */
  faults: { [name: string]: string }
  /** Products and versions of the servers; empty for a route without one. */
  server?: string
  /** What the plan promises of the rows. */
  guarantee?: Guarantee
  bench?: Bench
}

export function routeName({ from, to }: Route): string {
  return `${from}-${to}`
}

/** Where what was found of a route is kept, so that a second call goes on with it. */
function pathOf(route: Route): string {
  return join(root, '.toolchain', 'certify', `${routeName(route)}-${route.mode}.json`)
}

export function newFindings(route: Route, seed: number): Findings {
  return { version: VERSION, sources: sourcesHash(), seed, route, random: newTally(), faults: {} }
}

/** What an earlier call found of the same sources, by the same seed if one is given; else nothing. */
export function readFindings(route: Route, seed: number | undefined): Findings | undefined {
  let found: Findings
  try {
    found = JSON.parse(readFileSync(pathOf(route), 'utf8')) as Findings
  } catch {
    return undefined
  }
  const fits = found.version === VERSION && found.sources === sourcesHash()
  return fits && (seed === undefined || seed === found.seed) ? found : undefined
}

export function writeFindings(findings: Findings): void {
  const path = pathOf(findings.route)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.tmp`, JSON.stringify(findings, null, 2))
  renameSync(`${path}.tmp`, path)
}

let hash: string | undefined

/** The sources that are certified, without those of the testkit. */
function sourcesHash(): string {
  hash ??= hashSources()
  return hash
}

function hashSources(): string {
  const digest = createHash('sha256')
  for (const name of readdirSync(join(root, 'packages')).toSorted()) {
    if (name === 'testkit') continue
    const folder = join(root, 'packages', name, 'src')
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted()) {
      if (file.endsWith('.ts')) digest.update(`${name}/${file}\0`).update(readFileSync(join(folder, file)))
    }
  }
  return digest.digest('hex').slice(0, 16)
}
