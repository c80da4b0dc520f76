import { readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { BaseConfig, Connector, Json } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import type { Document } from 'yaml'
import type { z } from 'zod'
import type { Environment } from './interpolate.ts'
import { interpolate } from './interpolate.ts'
import { camelCase, nearest, snakeCase } from './keys.ts'
import { loadConnector } from './load-connector.ts'
import type { Endpoint, Pipeline } from './pipeline.ts'
import { PipelineSchema } from './pipeline-schema.ts'

type Tree = { [key: string]: unknown }

/** A parsed file that can say where a key stands. */
export interface ConfigFile {
  readonly path: string
  readonly tree: Tree
  /** `FILE:LINE:COLUMN` of a key path. */
  place(path: readonly PropertyKey[]): string
}

export interface LoadOptions {
  readonly environment?: Environment
  /** Where `.nebula` lies; default: beside the file. */
  readonly stateFolder?: string
}

/** Reads a pipeline file and loads its connectors; connects nothing. Every problem of the file is one error. */
export async function loadPipeline(path: string, options: LoadOptions = {}): Promise<Pipeline> {
  const file = await readConfigFile(path, options.environment ?? process.env)
  const folder = dirname(resolve(path))
  const tree = { ...withCamelKeys(file.tree) }
  if (isTree(tree['defaults'])) tree['defaults'] = withCamelKeys(tree['defaults'])
  if (isTree(tree['streams'])) tree['streams'] = mapValues(tree['streams'], (v) => (isTree(v) ? withCamelKeys(v) : v))
  const checked = check(PipelineSchema, tree, file, [])
  const { name, source, destination, ...rest } = checked
  return {
    ...rest,
    name: name ?? basename(path).replace(/\.ya?ml$/, ''),
    stateFolder: options.stateFolder ?? join(folder, '.nebula'),
    source: await loadEndpoint(source, folder, { file, path: ['source'] }),
    destination: await loadEndpoint(destination, folder, { file, path: ['destination'] }),
  }
}

/** Loads a connector and checks its part of a configuration. Relative paths in it are meant from `folder`. */
export async function loadEndpoint(
  section: Tree & { connector: string },
  folder: string,
  at?: { file: ConfigFile; path: string[] },
): Promise<Endpoint> {
  const { connector: name, ...keys } = section
  const connector = await loadConnector(name, folder)
  const config = check(connector.config, resolvePath(deepCamelKeys(keys) as Tree, folder), at?.file, at?.path ?? [])
  return { connector, config }
}

function resolvePath(keys: Tree, folder: string): Tree {
  const { path } = keys
  return typeof path === 'string' ? { ...keys, path: resolve(folder, path) } : keys
}

async function readConfigFile(path: string, environment: Environment): Promise<ConfigFile> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new NebulaError('file_not_found', {
      message: `The pipeline file ${path} cannot be read.`,
      place: path,
      cause,
    })
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const position = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${path}:${line}:${col}`
  }
  const [error] = document.errors
  if (error) {
    throw new NebulaError('config_invalid', {
      message: `Not YAML: ${error.message.split('\n')[0]}`,
      place: position(error.pos[0]),
    })
  }
  const place = (keys: readonly PropertyKey[]): string => position(offsetOf(document, keys))
  const tree = interpolateTree(document.toJS() as Json, environment, [], place)
  if (!isTree(tree)) {
    throw new NebulaError('config_invalid', { message: 'A pipeline file is a map of keys.', place: `${path}:1:1` })
  }
  return { path, tree, place }
}

/** Where the deepest key of a path that exists begins. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents
  let offset = 0
  for (const key of path) {
    if (!isMap(node)) break
    const pair = node.items.find(
      ({ key: k }) => isScalar(k) && [k.value, camelCase(String(k.value))].includes(key as string),
    )
    if (!pair) break
    if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset
    node = pair.value
  }
  return offset
}

type Placer = (path: readonly PropertyKey[]) => string

function interpolateTree(node: unknown, environment: Environment, path: string[], place: Placer): unknown {
  if (typeof node === 'string') return node.includes('${') ? interpolate(node, environment, place(path)) : node
  if (Array.isArray(node)) return node.map((item) => interpolateTree(item, environment, path, place))
  if (!isTree(node)) return node
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, interpolateTree(value, environment, [...path, key], place)]),
  )
}

function check<T>(schema: z.ZodType<T>, tree: unknown, file: ConfigFile | undefined, path: string[]): T {
  const result = schema.safeParse(tree)
  if (result.success) return result.data
  const problems = result.error.issues.flatMap((issue) => describeIssue(issue, schema, file, path))
  const code = result.error.issues.every((issue) => issue.code === 'unrecognized_keys')
    ? 'config_unknown_key'
    : 'config_invalid'
  const [first] = problems
  throw new NebulaError(code, {
    message: problems.map((problem) => problem.text).join('\n'),
    ...(first?.place === undefined ? {} : { place: first.place }),
  })
}

function describeIssue(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  file: ConfigFile | undefined,
  prefix: string[],
): { text: string; place?: string }[] {
  const spell = (keys: readonly PropertyKey[]): string => keys.map((key) => snakeCase(String(key))).join('.')
  const report = (keys: readonly PropertyKey[], text: string): { text: string; place?: string } => {
    const place = file?.place(keys)
    return place === undefined ? { text } : { text: `${place}: ${text}`, place }
  }
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path).map(snakeCase)
    return issue.keys.map((key) => {
      const near = nearest(snakeCase(key), known)
      const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`
      const full = [...prefix, ...issue.path, key]
      return report(full, `unknown key ${spell(full)}; ${hint}`)
    })
  }
  const full = [...prefix, ...issue.path]
  return [report(full, `${spell(full) || 'the file'}: ${issueText(issue, schema)}`)]
}

function issueText(issue: z.core.$ZodIssue, schema: z.ZodType): string {
  if (issue.code !== 'invalid_union') return issue.message
  // The branch that fits best says what is wrong inside it.
  const nested = issue.errors.toSorted((a, b) => deepest(b) - deepest(a))[0]?.[0]
  if (!nested) return issue.message
  if (nested.code !== 'unrecognized_keys')
    return `${nested.path.map((key) => snakeCase(String(key))).join('.')} ${nested.message}`.trim()
  const known = keysAt(schema, [...issue.path, ...nested.path]).map(snakeCase)
  return nested.keys
    .map((key) => `unknown key ${snakeCase(key)}; did you mean ${nearest(snakeCase(key), known) ?? known.join(', ')}?`)
    .join('; ')
}

function deepest(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)))
}

interface SchemaNode {
  readonly def: {
    readonly shape?: { [key: string]: SchemaNode }
    readonly innerType?: SchemaNode
    readonly valueType?: SchemaNode
    readonly options?: readonly SchemaNode[]
    readonly in?: SchemaNode
  }
}

/** The keys that an object schema knows at a path, looking through defaults, records and unions. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let nodes: SchemaNode[] = [schema as unknown as SchemaNode]
  for (const key of path) {
    nodes = nodes.flatMap(unwrapped).flatMap(({ def }) => def.shape?.[String(key)] ?? def.valueType ?? [])
  }
  return nodes.flatMap(unwrapped).flatMap(({ def }) => Object.keys(def.shape ?? {}))
}

function unwrapped(node: SchemaNode): SchemaNode[] {
  const { innerType, options, in: input } = node.def
  if (innerType) return unwrapped(innerType)
  if (input) return unwrapped(input)
  return options ? options.flatMap(unwrapped) : [node]
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
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

export type { BaseConfig, Connector }
