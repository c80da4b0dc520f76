import { inspect } from 'node:util'
import { NebulaError, toNebulaError } from '@nebula/core'
import { lostOutput } from './output.ts'
import { style } from './style.ts'

type ShownError = Pick<NebulaError, 'code' | 'message' | 'fix'> &
  Partial<Pick<NebulaError, 'connector' | 'stream' | 'partition' | 'place'>>

/** Prints an error for people on stderr, or as JSON on stdout; returns its exit code. */
export function reportError(thrown: unknown, options: { readonly json: boolean; readonly debug: boolean }): number {
  const error = toNebulaError(thrown)
  if (options.json && !lostOutput()) process.stdout.write(`${JSON.stringify({ error })}\n`)
  else process.stderr.write(`${errorText(error)}\n`)
  if (options.debug) process.stderr.write(`${inspect(error, { depth: 6 })}\n`)
  return error.exitCode
}

/** Throws `disk_full` or `file_failed` when what was printed did not arrive. */
export function refuseLostOutput(): void {
  const cause = lostOutput()
  if (!cause) return
  const code = cause.code === 'ENOSPC' || cause.code === 'EDQUOT' ? 'disk_full' : 'file_failed'
  throw new NebulaError(code, { message: `Printing to standard output: ${cause.message}.`, cause })
}

/** What happened, where, and what to do; without a stack. `stream` is where it will be shown. */
export function errorText(error: ShownError, stream: NodeJS.WriteStream = process.stderr): string {
  const where = [error.connector, error.stream, error.partition].filter((part) => part !== undefined)
  const unsaid = error.place !== undefined && !error.message.includes(error.place)
  const lines = [
    `${style('red', `error ${error.code}`, stream)}${where.length > 0 ? ` (${where.join(', ')})` : ''}: ${error.message}`,
    ...(unsaid ? [`  at ${error.place}`] : []),
    `  ${style('bold', 'what to do:', stream)} ${error.fix}`,
  ]
  return lines.join('\n')
}
