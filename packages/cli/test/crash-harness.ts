import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import type { Report } from '@nebula/runtime'
import pg from 'pg'

/** Sources that were compiled once start in half the time. */
const COMPILED = fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url))
/** The nebula command. */
export const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))

export interface Outcome {
  /** Undefined when the process was killed before it had shown one: the run did not end. */
  readonly report: Report | undefined
  readonly code: number | null
  readonly stderr: string
  readonly milliseconds: number
}

export interface Invocation {
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/**
 * Runs the nebula command in a process of its own; kills it with SIGKILL after `killAfterMs`, if it lives so long.
 * `started` is given the process at once.
 */
export async function runNebula(
  invocation: Invocation,
  killAfterMs?: number,
  started?: (child: ChildProcess) => void,
): Promise<Outcome> {
  const began = performance.now()
  const child = spawn(process.execPath, ['--conditions=source', BIN, ...invocation.args, '--json'], {
    cwd: invocation.cwd,
    env: { ...process.env, NODE_OPTIONS: '', NODE_COMPILE_CACHE: COMPILED, ...invocation.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started?.(child)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  clearTimeout(timer)
  const milliseconds = performance.now() - began
  const report = stdout.endsWith('\n') ? (JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Report) : undefined
  return { report, code, stderr, milliseconds }
}

/** A generator of numbers from 0 to 1 that a seed repeats (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface CrashResult {
  kills: number
  /** Ends of runs that had been killed before and went on with what was committed. */
  resumedRows: number
  completions: number
}

/**
 * Kills the same command at random moments until it completes, then `verify`s; all over again, from `reset`, until it
 * was killed `kills` times.
 */
export async function crashUntil(
  kills: number,
  seed: number,
  subject: { invocation: Invocation; reset: () => Promise<void>; verify: () => Promise<void> },
): Promise<CrashResult> {
  const next = random(seed)
  const result: CrashResult = { kills: 0, resumedRows: 0, completions: 0 }
  await subject.reset()
  const { milliseconds } = await expectDone(await runNebula(subject.invocation))
  await subject.verify()
  while (result.kills < kills) {
    await subject.reset()
    for (let done = false; !done;) {
      const outcome = await runNebula(subject.invocation, 100 + next() * milliseconds)
      if (outcome.code === null) result.kills++
      else await expectDone(outcome)
      if (outcome.report === undefined) continue
      result.resumedRows += outcome.report.streams.reduce((sum, stream) => sum + stream.resumed, 0)
      result.completions++
      done = true
    }
    await subject.verify()
  }
  return result
}

async function expectDone(outcome: Outcome): Promise<Outcome> {
  if (outcome.code !== 0)
    throw new Error(`exit code ${String(outcome.code)}: ${outcome.stderr}${JSON.stringify(outcome.report)}`)
  return outcome
}

/** Equal for equal rows in any order; the count beside it. */
export async function tableChecksum(url: string, table: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ sum: string }>(
      `SELECT count(*) || ':' || coalesce(sum(hashtextextended(t::text, 0)), 0) AS sum FROM ${table} t`,
    )
    return rows[0]?.sum ?? ''
  } finally {
    await client.end()
  }
}

export async function fileChecksum(path: string): Promise<string> {
  const digest = createHash('sha256')
  await pipeline(createReadStream(path), digest)
  return digest.digest('hex')
}

export async function query(url: string, sql: string): Promise<{ [column: string]: unknown }[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const result = await client.query(sql)
    return Array.isArray(result) ? [] : result.rows
  } finally {
    await client.end()
  }
}
