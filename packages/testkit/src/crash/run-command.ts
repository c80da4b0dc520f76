import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import type { Report } from '@nebula/runtime'

/** A command that runs a pipeline and prints, as its last line, the report as JSON. */
export interface RunCommand {
  /** The program and its arguments. */
  readonly command: readonly string[]
  readonly cwd: string
  /** Beside the variables of this process. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Outcome {
  /** Undefined where the process ended before it had shown one whole. */
  readonly report: Report | undefined
  /** Null where a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
  /** From its start to its end. */
  readonly milliseconds: number
  /** When it was started, in milliseconds since 1970. */
  readonly startedAt: number
}

/**
 * Runs a command in a process of its own; kills it with SIGKILL after `killAfterMs`, if it lives so long. `started` is
 * given the process at once.
 */
export async function runCommand(
  { command: [program = '', ...args], cwd, env }: RunCommand,
  killAfterMs?: number,
  started?: (child: ChildProcess) => void,
): Promise<Outcome> {
  const startedAt = Date.now()
  const began = performance.now()
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
  started?.(child)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>()
  child.once('error', ended.reject)
  child.once('close', (code, signal) => ended.resolve({ code, signal }))
  const { code, signal } = await ended.promise.finally(() => clearTimeout(timer))
  const milliseconds = performance.now() - began
  const report = stdout.endsWith('\n') ? (JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Report) : undefined
  return { report, code, signal, stderr, milliseconds, startedAt }
}
