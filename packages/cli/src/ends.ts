import { resolve } from 'node:path'
import type { Endpoint, Pipeline, StreamOptions } from '@nebula/runtime'

/** What a file or `--from` names, for verbs that look at one end or both. */
export interface Ends {
  readonly source?: Endpoint
  readonly destination?: Endpoint
  /** Only of a pipeline file. */
  readonly pipeline?: Pipeline
  readonly defaults?: StreamOptions | undefined
  readonly streams?: Readonly<Record<string, StreamOptions | false>> | undefined
  /** `table_name` of a connector's file: the one stream that is meant. */
  readonly stream?: string | undefined
}

interface EndsFlags {
  readonly from?: string
  readonly state?: string
  readonly envFile?: string
}

/** The ends of a pipeline file, of a connector's file, or of `--from`. Throws `usage` for anything else. */
export async function endsOf(verb: string, file: string | undefined, flags: EndsFlags): Promise<Ends> {
  const [{ NebulaError }, { setVariables }, runtime] = await Promise.all([
    import('@nebula/core'),
    import('./env-file.ts'),
    import('@nebula/runtime'),
  ])
  if (flags.envFile !== undefined) setVariables(flags.envFile)
  if ((file === undefined) === (flags.from === undefined)) {
    throw new NebulaError('usage', {
      message: `nebula ${verb} takes a pipeline file, a connector's file, or --from.`,
      fix: `See nebula ${verb} --help.`,
    })
  }
  if (file === undefined) return { source: await runtime.locate(flags.from ?? '', { folder: process.cwd() }) }
  if (await runtime.isConnectorFile(file)) {
    const { type, endpoint, stream } = await runtime.loadConnectorFile(file)
    return type === 'source' ? { source: endpoint, stream } : { destination: endpoint, stream }
  }
  const pipeline = await runtime.loadPipeline(
    file,
    flags.state === undefined ? {} : { stateFolder: resolve(flags.state) },
  )
  const { source, destination, defaults, streams } = pipeline
  return { pipeline, source, destination, defaults, streams }
}

/** The source among them. Throws `usage` for a destination's file. */
export async function sourceOf(ends: Ends): Promise<Endpoint> {
  if (ends.source) return ends.source
  const { NebulaError } = await import('@nebula/core')
  throw new NebulaError('usage', { message: 'The file is of a destination, and this verb reads a source.' })
}
