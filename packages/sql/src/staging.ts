import { createHash } from 'node:crypto'
import type { Run, StreamPlan } from '@nebula/core'
import type { Names, TableName } from './names.ts'

/** Where a stream is loaded before it is moved into its target: a table of its own for every run and generation. */
export function stagingTable(names: Names, run: Run, stream: StreamPlan, defaultSchema: string): TableName {
  const { schema } = names.parse(stream.target, defaultSchema)
  const hash = createHash('sha256').update(JSON.stringify([run.pipeline, run.id, stream.request.stream]))
  return { schema, table: `nebula_stage_${hash.digest('hex').slice(0, 16)}_${stream.generation}` }
}
