import { CHECKPOINTS, RESERVED_NAME } from '@nebula/base'
import type { Problem, TargetCheck, TargetRequest } from '@nebula/core'
import { isNebulaError } from '@nebula/core'
import type { SqlDialect } from './dialect.ts'
import type { Names, TableName } from './names.ts'
import type { SqlSession } from './session.ts'

/** Privileges on tables that stand. */
const NEEDED = {
  overwrite: ['SELECT', 'INSERT', 'TRUNCATE'],
  append: ['SELECT', 'INSERT'],
  merge: ['SELECT', 'INSERT', 'UPDATE'],
} as const
const KEPT = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']

/** Which targets cannot be tables, and which privileges the user lacks; `schema` is that of the checkpoint table. */
export async function checkTargets<Session extends SqlSession>(
  dialect: SqlDialect<Session>,
  session: Session,
  schema: string,
  requests: readonly TargetRequest[],
): Promise<TargetCheck[]> {
  const { names } = dialect
  const parsed = requests.map(({ target }) => parse(names, target, schema))
  const tables = parsed.flatMap((table, i) => {
    const { mode = 'overwrite', deletes } = requests[i] ?? {}
    return 'schema' in table ? [{ ...table, privileges: [...NEEDED[mode], ...(deletes ? ['DELETE'] : [])] }] : []
  })
  const checkpoints = { schema, table: CHECKPOINTS, privileges: KEPT }
  const [own, ...found] = await dialect.rights(session, [checkpoints, ...tables])
  const denied = (missing: readonly string[]): Problem[] =>
    missing.map((what) => ({ code: 'permission_denied', message: `The user lacks ${what}.` }))
  return parsed.map((table, i) => {
    // Of the run as a whole, so it is told once.
    const ofRun = i === 0 ? (own?.missing ?? []) : []
    if (!('schema' in table)) return { identity: requests[i]?.target ?? '', problems: [table, ...denied(ofRun)] }
    const { missing = [], otherKind = false } = found.shift() ?? {}
    const problems = denied([...new Set([...ofRun, ...(otherKind ? [] : missing)])])
    const fault = RESERVED_NAME.test(table.table)
      ? 'has a name that Nebula keeps for itself'
      : otherKind
        ? 'is no table, but a view, a foreign table or the like'
        : undefined
    if (fault !== undefined)
      problems.push({ code: 'target_incompatible', message: `The target ${names.spell(table)} ${fault}.` })
    return { identity: names.spell(table), problems }
  })
}

function parse(names: Names, target: string, schema: string): TableName | Problem {
  try {
    return names.parse(target, schema)
  } catch (error) {
    if (!isNebulaError(error, 'target_incompatible')) throw error
    return { code: 'target_incompatible', message: error.message }
  }
}
