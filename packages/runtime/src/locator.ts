import { createHash } from 'node:crypto'
import { extname, join } from 'node:path'
import type { Environment } from '@nebula/config'
import { interpolate } from '@nebula/config'
import { NebulaError } from '@nebula/core'
import { loadConnector } from './load-connector.ts'
import { loadEndpoint } from './load-pipeline.ts'
import type { Endpoint, Pipeline, StreamOptions } from './pipeline.ts'

/** URL schemes that are not the name of their connector, and the file extensions that name one. */
const SCHEMES: Readonly<Record<string, string>> = { postgresql: 'postgres', mongodb: 'mongo', 'mongodb+srv': 'mongo' }
const EXTENSIONS: Readonly<Record<string, string>> = { '.csv': 'csv' }

export interface OneLine {
  readonly from: string
  readonly to: string
  readonly folder: string
  readonly stateFolder?: string | undefined
  readonly defaults?: StreamOptions
  /** Only these streams, by name or glob. */
  readonly streams?: readonly string[] | undefined
  readonly environment?: Environment
}

/** The pipeline that `nebula run --from ... --to ...` stands for. Its name comes from both ends, so it resumes. */
export async function oneLinePipeline(options: OneLine): Promise<Pipeline> {
  const { from, to, folder, streams, defaults } = options
  const source = await locate(from, options)
  const destination = await locate(to, options)
  const identity = createHash('sha256')
    .update(JSON.stringify([from, to, streams, defaults]))
    .digest('hex')
    .slice(0, 8)
  return {
    name: `${source.connector.name}-to-${destination.connector.name}-${identity}`,
    stateFolder: options.stateFolder ?? join(folder, '.nebula'),
    source,
    destination,
    defaults,
    streams: Object.fromEntries((streams ?? []).map((name) => [name, {}])),
  }
}

/** The endpoint of `CONNECTOR:PATH-OR-URL`, a URL whose scheme says it, or a path by its extension. */
export async function locate(
  text: string,
  options: { readonly folder: string; readonly environment?: Environment },
): Promise<Endpoint> {
  const locator = interpolate(text, options.environment ?? process.env, 'the command line')
  const { name, rest } = splitLocator(locator, text)
  const connector = await loadConnector(name, options.folder)
  if (!connector.fromLocator) {
    throw new NebulaError('unsupported', {
      message: `The connector ${name} cannot be given in one line.`,
      fix: 'Write a pipeline file.',
    })
  }
  return loadEndpoint({ connector: name, ...connector.fromLocator(rest) }, options.folder)
}

/** `shown` is what the user typed, without secrets. */
function splitLocator(locator: string, shown: string): { name: string; rest: string } {
  const scheme = /^([a-z][a-z0-9+.-]*):(\/\/)?/i.exec(locator)
  if (scheme) {
    const word = (scheme[1] as string).toLowerCase()
    return { name: SCHEMES[word] ?? word, rest: scheme[2] ? locator : locator.slice(scheme[0].length) }
  }
  const byExtension = EXTENSIONS[extname(locator).toLowerCase()]
  if (byExtension) return { name: byExtension, rest: locator }
  throw new NebulaError('usage', {
    message: `"${shown}" does not say which connector to use.`,
    fix: 'Write CONNECTOR:PATH, such as csv:./in, or a URL such as postgres://user@host/database.',
  })
}
