import { spawn } from 'node:child_process'
import type { NebulaError } from '@nebula/core'
import type { Pipeline, Report } from '@nebula/runtime'
import { stateFile } from '@nebula/runtime'

/** How a run came out: its report, or the error for which it has none. */
export type RunEnd = { readonly report: Report } | { readonly error: NebulaError }

/** What became of a hook. */
export interface HookEnd {
  readonly key: 'on_success' | 'on_failure'
  /** Undefined: a signal ended it, or it could not be started. */
  readonly code: number | undefined
}

/**
 * Runs the command that a pipeline has for the end of a run, through the shell and in the current folder: `on_success`
 * for exit code 0, `on_failure` for every other. It is told of the run by variables: `NEBULA_PIPELINE`,
 * `NEBULA_STATUS`, `NEBULA_EXIT_CODE`, and `NEBULA_RUN` and `NEBULA_REPORT` (a path), or `NEBULA_ERROR` (a code) where the
 * run had no report. Call it when the run has ended: its report is durable then. What the command prints goes to
 * `output`. Undefined where there is no command; never for a run that only found another one under way.
 */
export async function runHook(
  pipeline: Pipeline,
  end: RunEnd,
  output: (chunk: Uint8Array) => void,
): Promise<HookEnd | undefined> {
  const { exitCode } = 'report' in end ? end.report : end.error
  const key = exitCode === 0 ? 'on_success' : 'on_failure'
  const command = exitCode === 0 ? pipeline.onSuccess : pipeline.onFailure
  if (command === undefined || ('error' in end && end.error.code === 'run_locked')) return undefined
  const env = { ...process.env, ...variables(pipeline, end), NEBULA_EXIT_CODE: String(exitCode) }
  const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'pipe'], env })
  child.stdout.on('data', output)
  child.stderr.on('data', output)
  const code = await new Promise<number | undefined>((resolve) => {
    child.once('error', () => resolve(undefined))
    child.once('close', (exit) => resolve(exit ?? undefined))
  })
  return { key, code }
}

function variables(pipeline: Pipeline, end: RunEnd): NodeJS.ProcessEnv {
  const { name } = pipeline
  if ('error' in end) {
    const status = end.error.exitCode === 130 ? 'interrupted' : 'failed'
    return { NEBULA_PIPELINE: name, NEBULA_STATUS: status, NEBULA_ERROR: end.error.code }
  }
  const { run, status } = end.report
  const report = stateFile(pipeline, 'report.json')
  return { NEBULA_PIPELINE: name, NEBULA_STATUS: status, NEBULA_RUN: run, NEBULA_REPORT: report }
}
