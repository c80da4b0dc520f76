import { basename, dirname, join, resolve } from 'node:path'
import type { Environment, Findings, KeyFailure, Tree } from '@nebula/config'
import {
  check,
  deepCamelKeys,
  isTree,
  mapValues,
  nothingFound,
  readConfigFile,
  refuse,
  withCamelKeys,
} from '@nebula/config'
import { NebulaError, toNebulaError } from '@nebula/core'
import type { z } from 'zod'
import { loadConnector } from './load-connector.ts'
import type { Endpoint, Pipeline } from './pipeline.ts'
import { PipelineSchema } from './pipeline-schema.ts'

export interface LoadOptions {
  readonly environment?: Environment
  /** Where `.nebula` lies; default: beside the file. */
  readonly stateFolder?: string
}

/** Reads a pipeline file and loads its connectors; connects nothing. Every problem of the file is one error. */
export async function loadPipeline(path: string, options: LoadOptions = {}): Promise<Pipeline> {
  const file = await readConfigFile(path, options.environment ?? process.env)
  const folder = dirname(resolve(path))
  const tree = withCamelKeys(file.tree)
  if (isTree(tree['defaults'])) tree['defaults'] = withCamelKeys(tree['defaults'])
  if (isTree(tree['streams'])) tree['streams'] = mapValues(tree['streams'], (v) => (isTree(v) ? withCamelKeys(v) : v))
  const whole = nothingFound()
  const from = nothingFound('source')
  const to = nothingFound('destination')
  const checked = check(PipelineSchema, tree, whole)
  const [source, destination] = await Promise.allSettled([
    loadSection(tree['source'], folder, from),
    loadSection(tree['destination'], folder, to),
  ])
  refuse(file, [...whole.issues, ...from.issues, ...to.issues], failuresOf({ source, destination }))
  const {
    name,
    streams,
    source: _source,
    destination: _destination,
    ...rest
  } = checked as z.output<typeof PipelineSchema>
  return {
    ...rest,
    streams: mapValues(streams, (options) =>
      isTree(options) ? resolvePath(options, folder) : options,
    ) as typeof streams,
    name: name ?? basename(path).replace(/\.(ya?ml|json)$/, ''),
    stateFolder: options.stateFolder ?? join(folder, '.nebula'),
    source: loaded(source),
    destination: loaded(destination),
  }
}

/** Loads a connector and checks its configuration. Relative paths in it are meant from `folder`. */
export async function loadEndpoint(section: Tree & { connector: string }, folder: string): Promise<Endpoint> {
  const at = nothingFound()
  const endpoint = await loadSection(section, folder, at)
  refuse(undefined, at.issues, [])
  return endpoint as Endpoint
}

/** Undefined when it is no section, which the schema of the file reports, or has issues. */
export async function loadSection(section: unknown, folder: string, at: Findings): Promise<Endpoint | undefined> {
  if (!isTree(section) || typeof section['connector'] !== 'string' || section['connector'] === '') return undefined
  const { connector: name, ...keys } = section
  const connector = await loadConnector(name as string, folder)
  const config = check(connector.config, resolvePath(deepCamelKeys(keys) as Tree, folder), at)
  return config && { connector, config }
}

function resolvePath(keys: Tree, folder: string): Tree {
  const { path, transform } = keys
  return {
    ...keys,
    ...(typeof path === 'string' ? { path: resolve(folder, path) } : {}),
    ...(typeof transform === 'string' ? { transform: resolve(folder, transform) } : {}),
  }
}

/** Why sections were not loaded; '' is the file as a whole. */
export function failuresOf(sections: { readonly [key: string]: PromiseSettledResult<unknown> }): KeyFailure[] {
  return Object.entries(sections).flatMap(([key, result]) =>
    result.status === 'rejected'
      ? [{ path: key === '' ? ['connector'] : [key, 'connector'], error: toNebulaError(result.reason) }]
      : [],
  )
}

/** The endpoint of a section that `refuse` let pass. */
export function loaded(result: PromiseSettledResult<Endpoint | undefined>): Endpoint {
  if (result.status === 'fulfilled' && result.value) return result.value
  throw new NebulaError('internal', { message: 'An endpoint was neither loaded nor refused.' })
}
