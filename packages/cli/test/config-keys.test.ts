import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { csv } from '@nebula/connector-csv'
import { postgres } from '@nebula/connector-postgres'
import type { JsonSchema, NebulaError } from '@nebula/core'
import { jsonSchemaOf } from '@nebula/core'
import { loadConnectorFile, loadPipeline, PipelineSchema } from '@nebula/runtime'
import { describe, expect, test } from 'vitest'
import { useFolder } from './harness.ts'

const folder = useFolder()

interface Leaf {
  readonly path: readonly string[]
  readonly schema: JsonSchema
  /** Other keys that its section needs. */
  readonly needed: readonly string[]
}

/** Every key that holds a value and no section. */
function leaves({ properties = {}, ...rest }: JsonSchema, path: readonly string[] = []): Leaf[] {
  const required = path.length > 0 && Array.isArray(rest['required']) ? (rest['required'] as string[]) : []
  return Object.entries(properties).flatMap(([key, schema]) => {
    const at = [...path, key]
    const section = [schema, ...(schema.anyOf ?? [])].find(({ properties: inner }) => inner !== undefined)
    return section ? leaves(section, at) : [{ path: at, schema, needed: required.filter((other) => other !== key) }]
  })
}

/** Values that no key of this kind takes. */
function wrongValues({ schema }: Leaf): unknown[] {
  const branches = schema.anyOf ?? [schema]
  const has = (keyword: string): boolean => branches.some((branch) => branch[keyword] !== undefined)
  const types = branches.map(({ type }) => type)
  if (types.includes('integer')) return ['many', -1, 1.5, { a: 1 }]
  if (types.includes('number') && !has('pattern')) return ['many', -1, [1]]
  if (types.includes('boolean')) return ['maybe', 3]
  if (has('enum')) return ['no such choice', 3]
  if (has('pattern')) return ['soon', -5, true]
  if (types.includes('string')) return [12, { a: 'b' }, ['a']]
  return types.includes('array') ? ['text', { a: 1 }] : types.includes('object') ? ['text', ['a']] : [12]
}

/** A file in which each key of the path has a line of its own, and the line and column of the last. */
function fileWith(before: string, { path, needed }: Leaf, value: unknown): { text: string; place: string } {
  const lines = path.map((key, depth) => `${'  '.repeat(depth)}${key}:`)
  const others = needed.map((key) => `${'  '.repeat(path.length - 1)}${key}: given\n`)
  const text = `${before}${lines.join('\n')} ${JSON.stringify(value)}\n${others.join('')}`
  return { text, place: `${before.split('\n').length + path.length - 1}:${2 * (path.length - 1) + 1}` }
}

async function refusal(load: (path: string) => Promise<unknown>, text: string): Promise<NebulaError | undefined> {
  const path = join(folder(), 'wrong.yaml')
  await writeFile(path, text)
  return load(path).then(
    () => undefined,
    (error: unknown) => error as NebulaError,
  )
}

/** Wrong values that are taken, or whose errors name anything but the file, the line and the column of their key. */
async function misplaced(load: (path: string) => Promise<unknown>, before: string, leaf: Leaf): Promise<unknown[]> {
  const key = leaf.path.join('.')
  const found: unknown[] = []
  for (const value of wrongValues(leaf)) {
    const { text, place } = fileWith(before, leaf, value)
    const error = await refusal(load, text)
    const start = `${join(folder(), 'wrong.yaml')}:${place}: ${key}`
    const lines = error?.message.split('\n') ?? []
    if (error?.code !== 'config_invalid' || !lines.every((line) => line.startsWith(start))) found.push([value, error])
  }
  return found
}

const named = (all: readonly Leaf[]): (readonly [string, Leaf])[] => all.map((leaf) => [leaf.path.join('.'), leaf])

describe.each([csv, postgres])('a wrong value of a key of $name is refused with its line and column:', (connector) => {
  const before = `type: source\nconnector: ${connector.name}\n`
  test.each(named(leaves(jsonSchemaOf(connector.config))))('%s', async (_, leaf) => {
    expect(await misplaced(loadConnectorFile, before, leaf)).toEqual([])
  })
})

describe('a wrong value of a key of a pipeline file is refused with its line and column:', () => {
  const before = 'source: { connector: csv }\ndestination: { connector: csv, path: ./out }\n'
  const { source: _, destination: __, streams: ___, ...own } = jsonSchemaOf(PipelineSchema).properties ?? {}
  const ofStream = leaves(own['defaults'] ?? {}).map((leaf) => ({ ...leaf, path: ['streams', 'orders', ...leaf.path] }))
  test.each(named([...leaves({ properties: own }), ...ofStream]))('%s', async (_name, leaf) => {
    expect(await misplaced(loadPipeline, before, leaf)).toEqual([])
  })
})
