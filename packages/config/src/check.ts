import { NebulaError } from '@nebula/core'
import type { z } from 'zod'
import type { ConfigFile } from './config-file.ts'
import type { ConfigIssue } from './config-issues.ts'
import { describeIssues, retyped } from './config-issues.ts'

/** Where a part of a file stands, and what was found in all of it. */
export interface Findings {
  readonly path: readonly string[]
  readonly issues: ConfigIssue[]
}

export function nothingFound(...path: string[]): Findings {
  return { path, issues: [] }
}

/** The parsed value; undefined, and its issues, when the schema refuses it. */
export function check<T>(schema: z.ZodType<T>, tree: unknown, at: Findings): T | undefined {
  const first = schema.safeParse(tree)
  const result = first.success ? first : schema.safeParse(retyped(tree, first.error))
  if (result.success) return result.data
  at.issues.push(...describeIssues(result.error, schema, { tree, prefix: at.path }))
  return undefined
}

/** What a key stands for could not be had, such as a connector. */
export interface KeyFailure {
  readonly path: readonly PropertyKey[]
  readonly error: NebulaError
}

/** Throws all issues and failures as one error, in the order of the file; a failure alone is thrown as it is. */
export function refuse(
  file: ConfigFile | undefined,
  issues: readonly ConfigIssue[],
  failures: readonly KeyFailure[],
): void {
  const problems = [
    ...issues.map(({ path, text, unknownKey }) => ({
      path,
      text,
      code: unknownKey ? ('config_unknown_key' as const) : ('config_invalid' as const),
    })),
    ...failures.map(({ path, error }) => ({ path, text: `${error.message} ${error.fix}`, code: error.code })),
  ]
  if (file) problems.sort((a, b) => file.offset(a.path) - file.offset(b.path))
  const [first, second] = problems
  if (!first) return
  const at = (path: readonly PropertyKey[]): { place?: string } => (file ? { place: file.place(path) } : {})
  const [alone] = failures
  if (alone && !second) throw alone.error.at(at(alone.path))
  throw new NebulaError(problems.every(({ code }) => code === first.code) ? first.code : 'config_invalid', {
    message: problems.map(({ path, text }) => (file ? `${file.place(path)}: ${text}` : text)).join('\n'),
    ...at(first.path),
  })
}
