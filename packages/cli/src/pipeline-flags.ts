import { resolve } from 'node:path'
import type { Pipeline, StreamOptions } from '@nebula/runtime'
import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'

/** What says which pipeline is meant, beside a file. */
export interface PipelineFlags {
  readonly from?: string
  readonly to?: string
  readonly mode?: NonNullable<StreamOptions['mode']>
  readonly key?: string[]
  readonly cursor?: string
  readonly deletes?: NonNullable<StreamOptions['deletes']>
  readonly streams?: string[]
  readonly limit?: number
  readonly parallel?: number
  readonly state?: string
  readonly envFile?: string
  readonly json?: boolean
}

/** Written out here, because the runtime is loaded only when it is used. */
const MODES: NonNullable<StreamOptions['mode']>[] = ['overwrite', 'append', 'merge', 'incremental']

const DELETES: NonNullable<StreamOptions['deletes']>[] = ['ignore', 'hard']

/** A pipeline file, or its ends in one line, and which streams of it; `mode` says what a mode is for. */
export function pipelineOptions(command: Command, mode: string): Command {
  return command
    .argument('[file]', 'pipeline file (YAML)')
    .option('--from <source>', 'CONNECTOR:PATH-OR-URL, a URL, or a path')
    .option('--to <destination>', 'the same')
    .addOption(new Option('--mode <mode>', mode).choices(MODES))
    .option('--key <columns>', 'columns that tell rows apart; default: the primary key', commaSeparated)
    .option('--cursor <column>', 'column that tells incremental which rows are new')
    .addOption(new Option('--deletes <how>', 'merged rows that the source has no longer').choices(DELETES))
    .option('--streams <names>', 'only these, by name or glob, separated by commas', commaSeparated)
}

/** What every verb that reads a file has; `json` says what is printed so. */
export function commonOptions(command: Command, json = 'print as JSON'): Command {
  return command
    .option('--env-file <file>', 'set variables from a file of NAME=VALUE lines')
    .option('--json', json)
    .option('--debug', 'errors with their causes and stack')
}

/** Names of an option, without the blanks around them. */
export function commaSeparated(text: string): string[] {
  return text.split(',').map((name) => name.trim())
}

/** A whole number above 0. Throws a usage error. */
export function positive(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It is a whole number above 0.')
  return value
}

/** The pipeline of a file, or of `--from` and `--to`. Throws `usage` for anything else; `verb` is who asks. */
export async function pipelineOf(verb: string, file: string | undefined, flags: PipelineFlags): Promise<Pipeline> {
  const ends = [flags.from, flags.to].filter((end) => end !== undefined)
  if (ends.length !== (file === undefined ? 2 : 0)) {
    const { NebulaError } = await import('@nebula/core')
    throw new NebulaError('usage', {
      message: `nebula ${verb} takes a pipeline file, or --from and --to.`,
      fix: `See nebula ${verb} --help.`,
    })
  }
  const [{ setVariables }, runtime] = await Promise.all([import('./env-file.ts'), import('@nebula/runtime')])
  if (flags.envFile !== undefined) setVariables(flags.envFile)
  const { mode, key, cursor, deletes, limit, parallel, streams } = flags
  const stateFolder = flags.state === undefined ? {} : { stateFolder: resolve(flags.state) }
  const chosen = {
    ...(mode && { mode }),
    ...(key && { key }),
    ...(cursor && { cursor }),
    ...(deletes && { deletes }),
    ...(limit === undefined ? {} : { limit }),
  }
  const adjusted = (pipeline: Pipeline): Pipeline => ({
    ...pipeline,
    ...(parallel === undefined ? {} : { parallel }),
    ...(file === undefined ? {} : { defaults: { ...pipeline.defaults, ...chosen } }),
    ...(file !== undefined && streams ? { only: streams } : {}),
  })
  if (file !== undefined) return runtime.loadPipeline(file, stateFolder).then(adjusted)
  const { from = '', to = '' } = flags
  return runtime
    .oneLinePipeline({ from, to, folder: process.cwd(), defaults: chosen, streams, ...stateFolder })
    .then(adjusted)
}
