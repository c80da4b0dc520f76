import { readFile } from 'node:fs/promises'
import type { Json } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Document } from 'yaml'
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import type { Environment } from './interpolate.ts'
import { interpolate } from './interpolate.ts'
import type { Tree } from './keys.ts'
import { camelCase, isTree } from './keys.ts'

/** A parsed file that can say where a key stands. */
export interface ConfigFile {
  readonly tree: Tree
  /** `FILE:LINE:COLUMN` of a key path, or of as much of it as is there. */
  place(path: readonly PropertyKey[]): string
  /** The same as a number that rises through the file. */
  offset(path: readonly PropertyKey[]): number
}

/** Reads a YAML file and replaces its variables. Throws `file_not_found`, `config_invalid`, `variable_missing`. */
export async function readConfigFile(path: string, environment: Environment): Promise<ConfigFile> {
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
      message: `Not YAML: ${error.message.replace(/( at line \d+, column \d+)?:?\n.*/s, '')}.`,
      place: position(error.pos[0]),
      fix: 'Correct the YAML there: indentation, a quote or a bracket that is not closed.',
    })
  }
  const offset = (keys: readonly PropertyKey[]): number => offsetOf(document, keys)
  const place = (keys: readonly PropertyKey[]): string => position(offset(keys))
  const tree = interpolateTree(document.toJS() as Json, environment, [], place)
  if (!isTree(tree)) {
    throw new NebulaError('config_invalid', { message: 'A pipeline file is a map of keys.', place: `${path}:1:1` })
  }
  return { tree, place, offset }
}

/** Where the deepest key of a path that exists begins. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents
  let offset = 0
  for (const key of path) {
    if (!isMap(node)) break
    const pair = node.items.find(
      ({ key: k }) => isScalar(k) && [String(k.value), camelCase(String(k.value))].includes(String(key)),
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
