import type { Catalog, StreamDefinition, StreamInfo } from '@nebula/core'
import { NebulaError, nearest } from '@nebula/core'
import type { Pipeline, StreamOptions } from './pipeline.ts'

export interface SelectedStream {
  readonly info: StreamInfo
  readonly options: StreamOptions
}

/** What a pipeline says of its streams. */
type Asked = Pick<Pipeline, 'defaults' | 'streams' | 'only'>

/** The streams that exist only in the pipeline: those with a pattern of their own. */
export function definedStreams(pipeline: Pick<Pipeline, 'streams'>): StreamDefinition[] {
  return Object.entries(pipeline.streams ?? {}).flatMap(([stream, options]) =>
    options && options.path !== undefined ? [{ stream, path: options.path }] : [],
  )
}

/** What a pipeline asks for, and an entry of it that cannot be had. */
export interface Selection {
  readonly selected: readonly SelectedStream[]
  readonly problems: readonly SelectionProblem[]
}

interface SelectionProblem {
  readonly code: 'stream_not_found' | 'permission_denied'
  readonly text: string
}

/** `chooseStreams`, where an entry that cannot be had is an error. */
export function selectStreams(catalog: Catalog, pipeline: Asked): readonly SelectedStream[] {
  const { selected, problems } = chooseStreams(catalog, pipeline)
  const [first] = problems
  if (first) throw new NebulaError(first.code, { message: problems.map(({ text }) => text).join('\n') })
  return selected
}

/**
 * The streams of the catalog that the pipeline asks for, with their options: defaults, then every entry that matches,
 * in the order of the file. An entry that matches nothing is a problem.
 */
export function chooseStreams(catalog: Catalog, pipeline: Asked): Selection {
  const entries = Object.entries(pipeline.streams ?? {})
  const problems = unmatched(catalog, [...entries.map(([pattern]) => pattern), ...(pipeline.only ?? [])])
  const selected: SelectedStream[] = []
  for (const info of catalog.streams) {
    const options = optionsOf(info.name, entries, pipeline.defaults ?? {})
    const asked = pipeline.only?.some((pattern) => matches(pattern, info.name)) ?? true
    if (options && asked) selected.push({ info, options })
  }
  if (selected.length === 0 && problems.length === 0)
    problems.push({ code: 'stream_not_found', text: 'The source has no stream to read.' })
  return { selected, problems }
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

function unmatched({ streams, denied = [] }: Catalog, patterns: readonly string[]): SelectionProblem[] {
  const names = streams.map((stream) => stream.name)
  return patterns
    .filter((pattern) => !names.some((name) => matches(pattern, name)))
    .map((pattern) => {
      const there = denied.find((name) => matches(pattern, name) || lastPart(name) === pattern)
      if (there === undefined)
        return { code: 'stream_not_found', text: `No stream "${pattern}" at the source; ${advice(pattern, names)}` }
      return { code: 'permission_denied', text: `The user may not read ${there}.` }
    })
}

function advice(pattern: string, names: readonly string[]): string {
  const parts = new Map(names.map((name) => [lastPart(name), name]))
  const near = nearest(pattern, names) ?? parts.get(nearest(pattern, parts.keys()) ?? '')
  if (near !== undefined) return `did you mean ${near}?`
  if (names.length === 0) return 'it has none that this user can read.'
  const shown = names.slice(0, 10).join(', ')
  return `it has ${shown}${names.length > 10 ? ` and ${names.length - 10} more` : ''}.`
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
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
