import { readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import type { Usage } from './measure.ts'
import { benchFile } from './measure.ts'

/** What one route did: one entry per pair. */
export interface Result {
  readonly route: string
  readonly title: string
  readonly bar: number
  readonly goal: number
  readonly rows: number
  /** Of the performance page. */
  readonly table: 'bench' | 'bench-mongo'
  /** Seconds; empty where the bar is rows a second. */
  readonly limits: readonly number[]
  readonly runs: readonly Usage[]
}

interface Baseline {
  readonly machine: string
  readonly date: string
  readonly full: { readonly [route: string]: number }
  readonly smoke: { readonly [route: string]: number }
}

const BASELINE = benchFile('baseline.json')
const PAGE = benchFile('../docs/performance.md')
/** Such machines are noisy: less than this share of the baseline is a finding. */
const TOLERANCE = 0.6

export const TABLE_HEAD = `| route | limit s | Nebula s | ratio | bar | goal | rows/s | CPU s | rows per CPU s | peak MB |
|---|---|---|---|---|---|---|---|---|---|`

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Per pair: limit over Nebula, or rows a second. Higher is better. */
function scores({ limits, runs, rows }: Result): number[] {
  return runs.map((run, i) => (limits.length > 0 ? (limits[i] ?? Number.NaN) / run.seconds : rows / run.seconds))
}

export function resultLine(result: Result): string {
  const { limits, runs, rows, title, bar, goal } = result
  const seconds = median(runs.map((run) => run.seconds))
  const cpu = median(runs.map((run) => run.cpuSeconds))
  const peak = Math.max(...runs.map((run) => run.peakBytes))
  const score = median(scores(result))
  const shown = (value: number): string =>
    limits.length > 0 ? value.toFixed(2) : `${Math.round(value / 1000)}K rows/s`
  const cells = [
    title,
    limits.length > 0 ? median(limits).toFixed(2) : '-',
    seconds.toFixed(2),
    shown(score),
    shown(bar),
    shown(goal),
    `${Math.round(rows / seconds / 1000)}K`,
    cpu.toFixed(2),
    `${Math.round(rows / cpu / 1000)}K`,
    String(Math.round(peak / 1e6)),
  ]
  return `| ${cells.join(' | ')} |`
}

async function readBaseline(): Promise<Baseline> {
  return JSON.parse(await readFile(BASELINE, 'utf8')) as Baseline
}

/** A line for every route whose best run is below the tolerance. */
export async function belowBaseline(results: readonly Result[]): Promise<string[]> {
  const { smoke } = await readBaseline()
  return results.flatMap((result) => {
    const best = Math.max(...scores(result))
    const least = (smoke[result.route] ?? 0) * TOLERANCE
    return best >= least
      ? []
      : [`${result.title}: ${best.toFixed(2)} is below ${least.toFixed(2)}, 60 % of the baseline`]
  })
}

/** Writes the medians as the new baseline and, for a full run, the tables of the performance page. */
export async function record(
  results: readonly Result[],
  { smoke, heap }: { smoke: boolean; heap: number | undefined },
): Promise<void> {
  const machine = `${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`
  const date = new Date().toISOString().slice(0, 10)
  const known = await readBaseline()
  const medians = Object.fromEntries(
    results.map((result) => [result.route, Number(median(scores(result)).toPrecision(3))]),
  )
  const kind = smoke ? 'smoke' : 'full'
  const next: Baseline = { ...known, machine, date, [kind]: { ...known[kind], ...medians } }
  await writeFile(BASELINE, `${JSON.stringify(next, null, 2)}\n`)
  if (smoke) return
  let page = await readFile(PAGE, 'utf8')
  for (const [table, own] of Map.groupBy(results, (result) => result.table)) {
    const rows = own[0]?.rows.toLocaleString('en-US')
    const lines = [`${rows} rows, ${machine}, ${date}.`, '', TABLE_HEAD, ...own.map(resultLine)]
    if (table === 'bench' && heap !== undefined)
      lines.push('', `Heap bytes allocated per row of fixed-width columns, decoded and encoded: ${heap.toFixed(2)}.`)
    const block = new RegExp(`(<!-- ${table} -->\\n)[\\s\\S]*(<!-- /${table} -->)`)
    page = page.replace(block, (_, open, close) => `${open}${lines.join('\n')}\n${close}`)
  }
  await writeFile(PAGE, page)
}
