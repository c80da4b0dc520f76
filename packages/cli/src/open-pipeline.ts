import { resolve } from 'node:path'
import type { Pipeline } from '@nebula/runtime'
import { setVariables } from './env-file.ts'

/** The options of every verb that works on the state of a pipeline file. */
export interface PipelineFlags {
  readonly state?: string
  readonly envFile?: string
  readonly json?: boolean
}

/** Loads a pipeline file with its variables and its state folder. */
export async function openPipeline(file: string, { state, envFile }: PipelineFlags): Promise<Pipeline> {
  if (envFile !== undefined) setVariables(envFile)
  const { loadPipeline } = await import('@nebula/runtime')
  return loadPipeline(file, state === undefined ? {} : { stateFolder: resolve(state) })
}
