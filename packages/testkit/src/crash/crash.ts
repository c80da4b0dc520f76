import type { ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Recalled } from '@nebula/core'
import type { Report } from '@nebula/runtime'
import type { RowDifference } from './compare-rows.ts'
import { POINT } from './crash-points.ts'
import { draw } from './random.ts'
import type { Outcome, RunCommand } from './run-command.ts'
import { runCommand } from './run-command.ts'

/** How a run ended. */
type Ended = Pick<Outcome, 'code' | 'signal' | 'stderr' | 'report'>

/** What is killed, and how one sees what came of it. */
export interface CrashSubject {
  /** Runs the pipeline, or goes on with it. */
  readonly command: RunCommand
  /** The same, dying at a named point: `CRASH_CHILD` is a program for it. Required by `crashAtPoints`. */
  readonly commandAt?: (point: number) => RunCommand
  /** Goes on with a run that died at a named point, to its end. Left out: `command` does. */
  complete?(): Promise<Ended>
  /** With what it exits when it did all that it could. Default: 0. */
  readonly exitCode?: number
  /** Everything as it was before the first run. */
  reset(): Promise<void>
  /** How the destination differs from what it should be, now that a run ended. */
  compare(): Promise<RowDifference>
  /** Throws where a run that ended by itself left anything but its rows and its record. */
  expectNothingLeft?(): Promise<void>
  /** False when a reader of the destination sees neither what was there before nor all that is to be there. */
  isWhole?(): Promise<boolean>
  /** True when this process has come to the pipeline. Left out: it is there after the usual time. */
  hasBegun?(pid: number): boolean
  /** What the destination knows of the last run. Left out, or without an answer: nothing. */
  recall?(): Promise<Recalled | undefined>
}

/** Where a kill met its process. */
export const PHASES = ['before prepare', 'while rows move', 'in finish', 'before the end', 'behind the end'] as const
export type Phase = (typeof PHASES)[number]

/** What came of kills so far. Plain JSON: whoever keeps it goes on with it. */
export interface CrashTally {
  /** The place of the next moment in the sequence of the seed. */
  index: number
  kills: number
  /** Runs that came to their end, killed before or not. */
  completions: number
  /** Runs that went on with what a killed one had committed, and the rows that they did not read again. */
  resumes: number
  resumedRows: number
  /** Streams that had to begin again. */
  restarts: number
  readonly phases: Record<Phase, number>
  lost: number
  doubled: number
  changed: number
  foreign: number
  /** Times that a reader would have seen neither the old rows nor the new ones. */
  torn: number
  /** The first rows that were wrong, and which moment came before. */
  readonly examples: string[]
}

export function newTally(): CrashTally {
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, 0])) as Record<Phase, number>
  const runs = { index: 0, kills: 0, completions: 0, resumes: 0, resumedRows: 0, restarts: 0 }
  return { ...runs, phases, lost: 0, doubled: 0, changed: 0, foreign: 0, torn: 0, examples: [] }
}

/** True when no row was lost, doubled, changed or strange, and none was seen too early. */
export function isClean({ lost, doubled, changed, foreign, torn }: CrashTally): boolean {
  return lost + doubled + changed + foreign + torn === 0
}

/** What a moment from 0 to 1 is a part of, in milliseconds of an uninterrupted run. */
export interface Window {
  /** From the start of its process until it comes to the pipeline. A tenth of the moments lies here. */
  readonly startMs: number
  /** From there to its end. */
  readonly runMs: number
}

export interface RandomCrashes {
  readonly seed: number
  /** So many kills in all, those of `tally` among them; every eighth in a row is followed by a run to the end. */
  readonly kills: number
  /** It becomes shorter when a whole run that no kill met took less: a machine may be slow while one measures. */
  readonly window: Window
  /** To go on with; it is changed. */
  readonly tally: CrashTally
  /** Called behind every run that came to its end and was compared. */
  readonly onCycle?: (tally: CrashTally, window: Window) => void | Promise<void>
}

/** Runs a pipeline file and dies at a named point: `node CRASH_CHILD FILE [POINT]`, from 0. */
export const CRASH_CHILD = fileURLToPath(new URL(`./crash-child${extname(import.meta.url)}`, import.meta.url))

/** A run that hangs is a failure, too. */
const HANGING_MS = 60_000
/** Behind so many kills in a row a run may come to its end: on a machine that is slower by now it never would. */
const KILLS_OF_A_CYCLE = 8
/** The share of the moments at which nothing has begun. */
const EARLY = 0.1
const POLL_MS = 2

/** Finds out when to kill, by a run that nobody kills. What it brings is compared, and counted in the tally. */
export async function calibrate(subject: CrashSubject, tally: CrashTally): Promise<Window> {
  await subject.reset()
  const outcome = await runCommand(subject.command, HANGING_MS)
  const report = expectEnd(subject, outcome)
  await account(subject, tally, report, 'the first run')
  return windowOf(report, outcome)
}

function windowOf({ startedAt }: Report, { startedAt: started, milliseconds }: Outcome): Window {
  const startMs = Date.parse(startedAt) - started
  return { startMs, runMs: Math.round(milliseconds - startMs) }
}

/**
 * Kills the command at random moments until it comes to its end, compares, resets, and does so again until it was killed
 * so often. The moment of each process is derived from the seed and its place in the sequence alone. Throws when a run
 * fails by itself.
 */
export async function crashAtRandom(subject: CrashSubject, crashes: RandomCrashes): Promise<CrashTally> {
  const { seed, kills, tally, onCycle } = crashes
  let { window } = crashes
  while (tally.kills < kills) {
    await subject.reset()
    const last = Math.min(kills, tally.kills + KILLS_OF_A_CYCLE)
    const next = (): number | undefined => (tally.kills < last ? draw(seed, tally.index++) : undefined)
    const whole = await cycle(subject, tally, window, next)
    if (whole && whole.runMs < window.runMs) window = whole
    await onCycle?.(tally, window)
  }
  return tally
}

/** One run, killed at each moment that `next` gives; returns how long it took, where no kill met it. */
async function cycle(
  subject: CrashSubject,
  tally: CrashTally,
  window: Window,
  next: () => number | undefined,
): Promise<Window | undefined> {
  for (let before: Recalled | undefined; ;) {
    const moment = next()
    const outcome = await runCommand(subject.command, HANGING_MS, (child) => {
      if (moment !== undefined) killAt(child, moment, window, subject)
    })
    const after = `moment ${tally.index - 1}`
    const hangs = outcome.milliseconds >= HANGING_MS
    if (outcome.signal !== 'SIGKILL' || hangs) {
      const report = expectEnd(subject, outcome)
      await account(subject, tally, report, after)
      return report.resumed ? undefined : windowOf(report, outcome)
    }
    tally.kills++
    const now = await subject.recall?.()
    tally.phases[phaseOf(before, now)]++
    before = now
    // Who saw the report does not run it again.
    if (outcome.report) {
      await compare(subject, tally, after)
      return undefined
    }
    await expectWhole(subject, tally, after)
  }
}

/** Kills a process at a moment from 0 to 1, unless it ends before. */
function killAt(child: ChildProcess, moment: number, { startMs, runMs }: Window, subject: CrashSubject): void {
  const timers: NodeJS.Timeout[] = []
  child.once('exit', () => timers.forEach(clearTimeout))
  const kill = (ms: number): void => void timers.push(setTimeout(() => child.kill('SIGKILL'), ms))
  if (moment < EARLY) return kill((moment / EARLY) * startMs)
  const delay = ((moment - EARLY) / (1 - EARLY)) * runMs
  if (!subject.hasBegun) return kill(startMs + delay)
  const poll = setInterval(() => {
    if (subject.hasBegun?.(child.pid ?? 0) !== true) return
    clearInterval(poll)
    kill(delay)
  }, POLL_MS)
  timers.push(poll)
}

/** Which of the named points, counted from 0. */
export interface Stride {
  readonly first: number
  readonly every: number
}

/**
 * Kills the command at named points, each of them or as `stride` says, until a run ends without reaching one; each is run
 * again to its end and compared. Returns these points in order. Throws when a run fails by itself.
 */
export async function crashAtPoints(
  subject: CrashSubject,
  tally: CrashTally,
  { first, every }: Stride = { first: 0, every: 1 },
): Promise<string[]> {
  const points: string[] = []
  for (;;) {
    await subject.reset()
    const outcome = await runCommand(commandAt(subject, first + points.length * every), HANGING_MS)
    if (outcome.signal === null) {
      await account(subject, tally, expectEnd(subject, outcome), 'no point')
      return points
    }
    const point = pointOf(outcome)
    points.push(point)
    tally.kills++
    await expectWhole(subject, tally, point)
    const ended = outcome.report && (await subject.recall?.())?.ended !== false
    await (ended ? compare(subject, tally, point) : account(subject, tally, await complete(subject), point))
  }
}

function commandAt(subject: CrashSubject, point: number): RunCommand {
  if (!subject.commandAt) throw new Error('The subject does not say how it dies at a named point.')
  return subject.commandAt(point)
}

function pointOf({ stderr, signal }: Outcome): string {
  const line = stderr.split('\n').find((text) => text.startsWith(POINT))
  if (line === undefined) throw new Error(`The run was ended by ${String(signal)}, and not at a point. ${stderr}`)
  return line.slice(POINT.length)
}

async function complete(subject: CrashSubject): Promise<Report> {
  return expectEnd(subject, await (subject.complete?.() ?? runCommand(subject.command, HANGING_MS)))
}

/** The report of a run that ended by itself, and well. */
function expectEnd({ exitCode = 0 }: CrashSubject, { code, signal, stderr, report }: Ended): Report {
  if (code === exitCode && report) return report
  const how = signal === null ? `exit code ${String(code)}` : `${signal}; it may hang`
  throw new Error(`A run that nobody killed ended with ${how}. ${stderr}${JSON.stringify(report ?? {})}`)
}

/** Counts a run that ended by itself. */
async function account(subject: CrashSubject, tally: CrashTally, report: Report, after: string): Promise<void> {
  tally.resumes += report.resumed ? 1 : 0
  tally.resumedRows += report.streams.reduce((sum, stream) => sum + stream.resumed, 0)
  tally.restarts += report.restarted.length
  await subject.expectNothingLeft?.()
  await compare(subject, tally, after)
}

/** Counts what is wrong, now that all rows should be there. */
async function compare(subject: CrashSubject, tally: CrashTally, after: string): Promise<void> {
  tally.completions++
  const { examples, ...counts } = await subject.compare()
  for (const kind of ['lost', 'doubled', 'changed', 'foreign'] as const) tally[kind] += counts[kind]
  tally.examples.push(...examples.map((example) => `${after}: ${example}`))
}

async function expectWhole(subject: CrashSubject, tally: CrashTally, after: string): Promise<void> {
  if ((await subject.isWhole?.()) !== false) return
  tally.torn++
  tally.examples.push(`${after}: the destination is neither as it was nor complete`)
}

/** `before` is what the destination knew when the process began. */
function phaseOf(before: Recalled | undefined, now: Recalled | undefined): Phase {
  if (now?.ended) return 'behind the end'
  if (!now || now.run.epoch === before?.run.epoch) return 'before prepare'
  if (now.finished.length === now.run.streams.length) return 'before the end'
  const done = new Set(now.checkpoints.filter((checkpoint) => checkpoint.done).map(({ partition }) => partition))
  const open = now.run.plan.partitions.filter(({ id, stream }) => !now.finished.includes(stream) && !done.has(id))
  return open.length > 0 ? 'while rows move' : 'in finish'
}
