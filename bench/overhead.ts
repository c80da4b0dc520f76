import { benchFile, measure } from './measure.ts'
import type { Ground, Route } from './routes.ts'

/** CPU seconds of one route by the drivers alone, and with base and runtime around them. */
export interface Overhead {
  readonly bare: readonly number[]
  readonly runtime: readonly number[]
}

/** In turn, so that a machine that changes its speed changes both; what arrived is compared with what was sent. */
export async function measureOverhead(route: Route, ground: Ground, pairs: number): Promise<Overhead> {
  const bare: number[] = []
  const runtime: number[] = []
  for (let pair = 0; pair < pairs; pair++) {
    bare.push(await cpuSeconds('bare', route, ground))
    runtime.push(await cpuSeconds('runtime', route, ground))
  }
  return { bare, runtime }
}

async function cpuSeconds(mode: string, route: Route, ground: Ground): Promise<number> {
  await route.reset(ground)
  const env = { SOURCE_URL: ground.sourceUrl, TARGET_URL: ground.targetUrl }
  const { stdout } = await measure({
    args: [benchFile('bare.ts'), mode, route.name, ground.folder],
    env,
    cwd: ground.folder,
  })
  await route.check(ground)
  return (JSON.parse(stdout) as { readonly cpuSeconds: number }).cpuSeconds
}

export const OVERHEAD_HEAD = `| route | drivers alone, CPU s | with base and runtime, CPU s | overhead | of the pairs |
|---|---|---|---|---|`

/** Of all routes together, the least of each. */
export function overheadTotal(routes: readonly Overhead[]): string {
  const sum = (of: (route: Overhead) => readonly number[]): number =>
    routes.reduce((seconds, route) => seconds + Math.min(...of(route)), 0)
  const [alone, around] = [sum(({ bare }) => bare), sum(({ runtime }) => runtime)]
  return `| together | ${alone.toFixed(2)} | ${around.toFixed(2)} | ${share(around, alone).toFixed(1)} % | |`
}

/** The least of each, which other work on the machine disturbed least, and their share; and the median of the pairs' shares. */
export function overheadLine({ title }: Route, { bare, runtime }: Overhead): string {
  const [alone, around] = [Math.min(...bare), Math.min(...runtime)]
  const shares = runtime.map((seconds, i) => share(seconds, bare[i] ?? Number.NaN))
  const [least, pairs] = [share(around, alone), median(shares)].map((percent) => `${percent.toFixed(1)} %`)
  return `| ${title} | ${alone.toFixed(2)} | ${around.toFixed(2)} | ${least} | ${pairs} |`
}

function share(seconds: number, of: number): number {
  return 100 * (seconds / of - 1)
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
