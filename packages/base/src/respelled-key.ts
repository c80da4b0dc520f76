import type { Problem, Schema, StreamPlan, TargetInfo } from '@nebula/core'

/** A stream that is merged by this key, in the names of the destination. */
interface MergedStream {
  readonly target: string
  readonly targetKey: readonly string[]
  readonly writeSchema: Schema
}

/**
 * Why rows that are at a target would come again under other keys: a key that is text there is spelled in another way than
 * in the last run. Undefined: they would not.
 */
export function respelledKey(
  before: StreamPlan | undefined,
  { target, targetKey, writeSchema }: MergedStream,
  standing: TargetInfo | undefined,
): Problem | undefined {
  if (before?.target !== target || before.request.mode !== 'merge') return undefined
  const find = ({ fields }: Schema, column: string) => fields.find(({ name }) => name === column)
  for (const column of targetKey) {
    const [then, now] = [before.schema, writeSchema].map((schema) => find(schema, column)?.spelling)
    const isText = standing !== undefined && find(standing.schema, column)?.type.kind === 'utf8'
    if (!isText || then === undefined || now === undefined || then === now) continue
    const message = `column ${column} of the key was written as ${then} in the last run, and would be as ${now} now: the same rows would come again under other keys; write mode: overwrite for one run`
    return { code: 'target_incompatible', column, message }
  }
  return undefined
}
