import { basename, dirname, join, resolve } from 'node:path'
import { NebulaError, toNebulaError } from '@nebula/core'
import type { z } from 'zod'
import type { ConfigFile } from './config-file.ts'
import { readConfigFile } from './config-file.ts'
import type { ConfigIssue } from './config-issues.ts'
import { describeIssues, retyped } from './config-issues.ts'
import type { Environment } from './interpolate.ts'
import type { Tree } from './keys.ts'
import { camelCase, isTree } from './keys.ts'
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
  refuse(file, [...whole.issues, ...from.issues, ...to.issues], { source, destination })
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

/** Where a part of the file stands, and what was found in all of it. */
export interface Findings {
  readonly path: readonly string[]
  readonly issues: ConfigIssue[]
}

export function nothingFound(...path: string[]): Findings {
  return { path, issues: [] }
}

/** Loads a connector and checks its configuration. Relative paths in it are meant from `folder`. */
export async function loadEndpoint(section: Tree & { connector: string }, folder: string): Promise<Endpoint> {
  const at = nothingFound()
  const endpoint = await loadSection(section, folder, at)
  refuse(undefined, at.issues, {})
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

/** The parsed value; undefined, and its issues, when the schema refuses it. */
export function check<T>(schema: z.ZodType<T>, tree: unknown, at: Findings): T | undefined {
  const first = schema.safeParse(tree)
  const result = first.success ? first : schema.safeParse(retyped(tree, first.error))
  if (result.success) return result.data
  at.issues.push(...describeIssues(result.error, schema, { tree, prefix: at.path }))
  return undefined
}

type Sections = { readonly [key: string]: PromiseSettledResult<Endpoint | undefined> }

/**
 * Throws all issues as one error, in the order of the file; where there are none, why a connector was not loaded. The
 * sections are by their keys; '' is the file as a whole.
 */
export function refuse(file: ConfigFile | undefined, issues: readonly ConfigIssue[], sections: Sections): void {
  const missing = Object.entries(sections).flatMap(([key, result]) =>
    result.status === 'rejected'
      ? [{ path: key === '' ? ['connector'] : [key, 'connector'], error: toNebulaError(result.reason) }]
      : [],
  )
  const problems = [
    ...issues.map(({ path, text, unknownKey }) => ({
      path,
      text,
      code: unknownKey ? ('config_unknown_key' as const) : ('config_invalid' as const),
    })),
    ...missing.map(({ path, error }) => ({ path, text: `${error.message} ${error.fix}`, code: error.code })),
  ]
  if (file) problems.sort((a, b) => file.offset(a.path) - file.offset(b.path))
  const [first, second] = problems
  if (!first) return
  const at = (path: readonly PropertyKey[]): { place?: string } => (file ? { place: file.place(path) } : {})
  const [alone] = missing
  if (alone && !second) throw alone.error.at(at(alone.path))
  throw new NebulaError(problems.every(({ code }) => code === first.code) ? first.code : 'config_invalid', {
    message: problems.map(({ path, text }) => (file ? `${file.place(path)}: ${text}` : text)).join('\n'),
    ...at(first.path),
  })
}

/** The endpoint of a section that `refuse` let pass. */
export function loaded(result: PromiseSettledResult<Endpoint | undefined>): Endpoint {
  if (result.status === 'fulfilled' && result.value) return result.value
  throw new NebulaError('internal', { message: 'An endpoint was neither loaded nor refused.' })
}

function mapValues(tree: Tree, map: (value: unknown) => unknown): Tree {
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, map(value)]))
}

function withCamelKeys(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [camelCase(key), value]))
}

/** Connector sections hold no names of the user's, so all their keys are spelled alike. */
function deepCamelKeys(value: unknown): unknown {
  if (!isTree(value)) return value
  return mapValues(withCamelKeys(value), deepCamelKeys)
}
