import { readJsonFile, writeDurably } from '@nebula/base'
import type { Schema } from '@nebula/core'
import { schemaFingerprint } from '@nebula/core'
import type { Pipeline } from './pipeline.ts'
import type { PreparedRun } from './prepare-run.ts'
import { stateFile } from './state.ts'

/** A stream as a run found it at its source. */
export interface RecordedStream {
  readonly stream: string
  readonly run: string
  readonly fingerprint: string
  readonly schema: Schema
  readonly key: readonly string[]
}

/** Keeps the columns that a run found, in the state folder; those of streams that it did not read stay as they were. */
export async function recordSchemas(pipeline: Pipeline, { run, catalog }: PreparedRun): Promise<void> {
  const read = new Set(run.streams.map(({ request }) => request.stream))
  const found = catalog.streams.filter(({ name }) => read.has(name))
  const others = (await recordedSchemas(pipeline)).filter(({ stream }) => !read.has(stream))
  const streams = found.map(({ name, schema, key }): RecordedStream => {
    return { stream: name, run: run.id, fingerprint: schemaFingerprint(schema), schema, key }
  })
  await writeDurably(stateFile(pipeline, 'schemas.json'), JSON.stringify([...others, ...streams]))
}

/** What the last runs of a pipeline found; empty before the first. */
export async function recordedSchemas(pipeline: Pipeline): Promise<readonly RecordedStream[]> {
  return ((await readJsonFile(stateFile(pipeline, 'schemas.json'))) as RecordedStream[] | undefined) ?? []
}
