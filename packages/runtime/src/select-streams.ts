import type { Catalog, StreamDefinition, StreamInfo } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { nearest } from './keys.ts'
import type { Pipeline, StreamOptions } from './pipeline.ts'

export interface SelectedStream {
  readonly info: StreamInfo
  readonly options: StreamOptions
}

/** The streams that exist only in the pipeline: those with a pattern of their own. */
export function definedStreams(pipeline: Pipeline): StreamDefinition[] {
  return Object.entries(pipeline.streams ?? {}).flatMap(([stream, options]) =>
    options && options.path !== undefined ? [{ stream, path: options.path }] : [],
  )
}

/**
 * The streams of the catalog that the pipeline asks for, with their options: defaults, then every entry that matches,
 * in the order of the file. Throws `stream_not_found` for entries that match nothing, all of them at once.
 */
export function selectStreams(catalog: Catalog, pipeline: Pipeline): SelectedStream[] {
  const entries = Object.entries(pipeline.streams ?? {})
  refuseUnmatched(catalog, [...entries.map(([pattern]) => pattern), ...(pipeline.only ?? [])])
  const selected: SelectedStream[] = []
  for (const info of catalog.streams) {
    const options = optionsOf(info.name, entries, pipeline.defaults ?? {})
    const asked = pipeline.only?.some((pattern) => matches(pattern, info.name)) ?? true
    if (options && asked) selected.push({ info, options })
  }
  if (selected.length === 0) {
    throw new NebulaError('stream_not_found', { message: 'The source has no stream to read.' })
  }
  return selected
}

function optionsOf(
  name: string,
  entries: readonly [string, StreamOptions | false][],
  defaults: StreamOptions,
): StreamOptions | undefined {
  let options: StreamOptions | undefined = entries.some(([, entry]) => entry !== false) ? undefined : defaults
  for (const [pattern, entry] of entries) {
    if (!matches(pattern, name)) continue
    options = entry === false ? undefined : { ...(options ?? defaults), ...entry }
  }
  return options
}

function refuseUnmatched(catalog: Catalog, patterns: readonly string[]): void {
  const names = catalog.streams.map((stream) => stream.name)
  const problems = patterns
    .filter((pattern) => !names.some((name) => matches(pattern, name)))
    .map((pattern) => `No stream "${pattern}" at the source; ${advice(pattern, names)}`)
  if (problems.length > 0) throw new NebulaError('stream_not_found', { message: problems.join('\n') })
}

function advice(pattern: string, names: readonly string[]): string {
  const near = nearest(pattern, names) ?? names.find((name) => name.split('.').at(-1) === pattern)
  if (near !== undefined) return `did you mean ${near}?`
  if (names.length === 0) return 'it has none that this user can read.'
  const shown = names.slice(0, 10).join(', ')
  return `it has ${shown}${names.length > 10 ? ` and ${names.length - 10} more` : ''}.`
}

/** A name, or a glob in which `*` stands for any characters and `?` for one. */
function matches(pattern: string, name: string): boolean {
  if (pattern === name) return true
  if (!/[*?]/.test(pattern)) return false
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 's').test(name)
}
