import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CrashTally, Route } from '@nebula/testkit'
import { isClean, PHASES } from '@nebula/testkit'
import { TABLES } from './certify-route.ts'
import type { Findings } from './findings.ts'
import { root, routeName } from './findings.ts'

const TITLES = { csv: 'CSV', mongo: 'MongoDB', postgres: 'PostgreSQL' } as const
const number = new Intl.NumberFormat('en')

export function certificatePath({ from, to, mode }: Route): string {
  return join('docs', 'certificates', `${from}-to-${to}-${mode}.md`)
}

/**
 * True when nothing was found that contradicts the certificate: nothing lost or doubled, whatever the plan promises, and
 * no half result seen where one is to be seen at no time.
 */
export function isSound({ route, random, atPoints }: Findings): boolean {
  const seen = isWholeAtOnce(route) ? {} : { torn: 0 }
  return [random, ...(atPoints ? [atPoints] : [])].every((tally) => isClean({ ...tally, ...seen }))
}

/** Into a collection that stands rows are added or merged batch by batch, which a reader may see. */
function isWholeAtOnce({ to, mode }: Route): boolean {
  return to !== 'mongo' || mode === 'overwrite'
}

/** What the plan promises, in words; where that is less than exactly once, what it comes to. */
function promiseOf({ guarantee, route }: Findings): string {
  if (guarantee !== 'at_least_once') return 'exactly once'
  const changed =
    route.from === 'mongo'
      ? 'a document that was changed between a kill and the next run is a rejected row, one that was deleted stays'
      : 'what a killed run had written without committing it is removed'
  return `at least once, for want of transactions: rows that stay as they are arrive once; ${changed}`
}

/** One line for people. */
export function summary(found: Findings, seconds: number): string {
  const { route, random, points = [], faults } = found
  const counts = countsOf(found)
  const survived = Object.values(faults).filter((result) => result === 'survived').length
  const skipped = Object.keys(faults).length - survived
  const verdict = isSound(found) ? 'ok  ' : 'FAIL'
  const name = `${routeName(route)}, ${route.mode}:`.padEnd(29)
  return [
    `${verdict} ${name} ${random.kills} kills at random moments, ${points.length} at named points, ${counts.resumes} resumed;`,
    `lost ${counts.lost}, doubled ${counts.doubled}, changed ${counts.changed}, foreign ${counts.foreign}, torn ${counts.torn};`,
    `${survived} faults survived${skipped > 0 ? `, ${skipped} not tried` : ''}; seed ${found.seed}; ${seconds.toFixed(0)} s`,
    `\n     ${phases(random)}`,
    ...(isSound(found) ? [] : examplesOf(found)).map((example) => `\n     ${example}`),
  ].join(' ')
}

function examplesOf({ random, atPoints }: Findings): readonly string[] {
  return [...random.examples, ...(atPoints?.examples ?? [])].slice(0, 10)
}

function phases(tally: CrashTally): string {
  return PHASES.map((phase) => `${phase} ${tally.phases[phase]}`).join(', ')
}

type Counts = Pick<CrashTally, 'lost' | 'doubled' | 'changed' | 'foreign' | 'torn' | 'resumes' | 'resumedRows'>

/** Of all kills, the random ones and those at points. */
function countsOf({ random, atPoints }: Findings): Counts {
  const sum = (key: keyof Counts): number => random[key] + (atPoints?.[key] ?? 0)
  const keys = ['lost', 'doubled', 'changed', 'foreign', 'torn', 'resumes', 'resumedRows'] as const
  return Object.fromEntries(keys.map((key) => [key, sum(key)])) as Counts
}

function seenText(route: Route, { torn }: Counts): string {
  const why = isWholeAtOnce(route) ? '' : '; rows come into a collection batch by batch'
  return `${number.format(torn)}${why}`
}

/** The text of a certificate. */
export function certificate(found: Findings): string {
  const { route, random, points = [], faults, bench, window } = found
  const counts = countsOf(found)
  const rows: (readonly [string, string])[] = [
    ['rows changed', number.format(counts.changed)],
    ['rows that should not be there', number.format(counts.foreign)],
    ['half a result seen by a reader', seenText(route, counts)],
    ['the plan promises', promiseOf(found)],
    ['kills at random moments', `${number.format(random.kills)}: ${phases(random)}`],
    ['seed', `${found.seed}; of ${window?.startMs ?? 0} ms of starting and ${window?.runMs ?? 0} ms of running`],
    ['named points', `${points.length}, a kill at each`],
    ['runs that came to their end', number.format(random.completions + (found.atPoints?.completions ?? 0))],
    [
      'runs that went on',
      `${number.format(counts.resumes)}; ${number.format(counts.resumedRows)} rows were not read again`,
    ],
    ['table', TABLES],
    ['versions', versions(route)],
    ['Node', process.version],
    ...(found.server ? [['server', found.server] as const] : []),
    ['sources', `sha256 ${found.sources}`],
  ]
  if (bench) {
    const speed = `${number.format(bench.rowsPerSecond)} rows/s, ${number.format(bench.rows)} rows that nobody kills`
    rows.push(['bench', `${speed}; ${bench.machine}, ${bench.date}`])
  }
  return [
    `# ${TITLES[route.from]} to ${TITLES[route.to]}, ${route.mode}`,
    '',
    `Written by \`npm run certify -- --full\`; [what it says](README.md).`,
    '',
    `rows lost: ${counts.lost}`,
    '',
    `rows doubled: ${counts.doubled}`,
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${name} | ${value} |`),
    '',
    '## Faults',
    '',
    ...Object.entries(faults).map(([name, result]) => `- ${name}: ${result}`),
    '',
    '## Named points',
    '',
    ...points.map((point, i) => `${i + 1}. ${point}`),
    '',
  ].join('\n')
}

function versions({ from, to }: Route): string {
  const packages = [...new Set([`connector-${from}`, `connector-${to}`]), 'runtime', 'cli']
  return packages
    .map((name) => {
      const text = readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')
      return `${name} ${(JSON.parse(text) as { readonly version: string }).version}`
    })
    .join(', ')
}
