import { inspect, isDeepStrictEqual } from 'node:util'
import { check as checkConfig, deepCamelKeys, nothingFound } from '@nebula/config'
import type { BaseConfig, JsonSchema } from '@nebula/core'
import { jsonSchemaOf } from '@nebula/core'
import type { Check } from '../check.ts'
import type { Place } from '../place.ts'

/** A key that takes a value, as files spell it. */
interface Key {
  readonly path: readonly string[]
  readonly schema: JsonSchema
  /** It may also be a section with keys of its own. */
  readonly isSection: boolean
  /** Paths of texts that its section cannot be without. */
  readonly needed: readonly (readonly string[])[]
}

/** Every key of a configuration. */
function keysOf(schema: JsonSchema, path: readonly string[] = []): Key[] {
  // What the whole cannot be without, the configuration of the place has.
  const required = path.length === 0 ? [] : ((schema['required'] ?? []) as readonly string[])
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]): Key[] => {
    const own = [...path, name]
    const needed = required.filter((other) => other !== name).map((other) => [...path, other])
    const nested = [value, ...(value.anyOf ?? [])].flatMap((branch) => keysOf(branch, own))
    if (value.properties !== undefined) return nested
    return [{ path: own, schema: value, isSection: nested.length > 0, needed }, ...nested]
  })
}

const ownKeys = (place: Place): Key[] => keysOf(jsonSchemaOf(place.subject.connector.config))

const spelled = ({ path }: Key): string => path.join('.')

/** The same keys with a value at a path. */
function withValue(tree: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value
  const branch = typeof tree === 'object' && tree !== null ? (tree as { readonly [key: string]: unknown }) : {}
  return { ...branch, [key]: withValue(branch[key], rest, value) }
}

/** The keys of the place, and those that a key cannot be without. */
function keysFor(place: Place, { needed }: Key): unknown {
  return needed.reduce<unknown>((keys, path) => withValue(keys, path, 'given'), place.keys)
}

/** What a configuration file with this value is told; empty: it is taken. */
function issues(place: Place, path: readonly string[], value: unknown): readonly string[] {
  const found = nothingFound()
  checkConfig(place.subject.connector.config, deepCamelKeys(withValue(place.keys, path, value)), found)
  return found.issues.map(({ text }) => text)
}

/** The configuration with a value in place of a key's, at its path or another. */
function parsed(place: Place, key: Key, value: unknown, path = key.path): BaseConfig {
  return place.subject.connector.config.parse(deepCamelKeys(withValue(keysFor(place, key), path, value)))
}

/** Said of another name of a key. */
const ALIAS = /^the same as (\w+)$/
/** A name of what must not be seen. */
const SECRET_NAME = /(^|_)(password|passphrase|passwd|secret|token|api_key|access_key|private_key|credentials)$/
const MARK = 'marked S3cret marked'

/** Every key of the configuration, those that all connectors share among them. */
export const configChecks: readonly Check[] = [
  {
    group: 'config',
    name: 'describes every key, and the values that it takes',
    run: async (place) => {
      const keys = ownKeys(place)
      const silent = keys.filter(({ schema, isSection }) => !isSection && (schema.description ?? '').trim() === '')
      if (silent.length > 0) throw new Error(`These keys have no description: ${silent.map(spelled).join(', ')}.`)
      const open = keys.filter(
        ({ schema }) => !['type', 'anyOf', 'enum', 'const', '$ref'].some((word) => word in schema),
      )
      if (open.length > 0) throw new Error(`These keys say nothing of their values: ${open.map(spelled).join(', ')}.`)
    },
  },
  {
    group: 'config',
    name: 'refuses a key that it does not know, and names the nearest',
    run: async (place) => {
      for (const { path, schema } of ownKeys(place)) {
        if (ALIAS.test(schema.description ?? '')) continue
        const last = path.at(-1) ?? ''
        const typo = [...path.slice(0, -1), `${last}${last.at(-1)}`]
        const text = issues(place, typo, 1).find((issue) => issue.includes(`unknown key ${typo.join('.')}`))
        if (text === undefined) throw new Error(`The key ${typo.join('.')} is taken, though nothing reads it.`)
        if (!text.includes('did you mean')) throw new Error(`The key ${typo.join('.')} is refused without the nearest.`)
      }
    },
  },
  {
    group: 'config',
    name: 'refuses a value of another kind at every key, and names the key',
    run: async (place) => {
      for (const key of ownKeys(place)) {
        const found = issues(place, key.path, key.schema.type === 'array' ? 0 : [])
        if (found.length === 0) throw new Error(`The key ${spelled(key)} takes a value of any kind.`)
        if (!found.some((text) => text.includes(spelled(key))))
          throw new Error(`A wrong value of ${spelled(key)} is told without the key: ${found[0]}`)
      }
    },
  },
  {
    group: 'config',
    name: 'does with every default what it does without the key',
    run: async (place) => {
      for (const key of ownKeys(place)) {
        const { default: initial } = key.schema
        if (initial === undefined || key.path[0] === undefined || key.path[0] in place.keys) continue
        const without = place.subject.connector.config.parse(deepCamelKeys(keysFor(place, key)))
        if (isDeepStrictEqual(parsed(place, key, initial), without)) continue
        throw new Error(`The key ${spelled(key)} with its default, ${inspect(initial)}, is not what it is without.`)
      }
    },
  },
  {
    group: 'config',
    name: 'takes every other name of a key for the key',
    run: async (place) => {
      const keys = ownKeys(place)
      for (const key of keys) {
        const name = ALIAS.exec(key.schema.description ?? '')?.[1]
        if (name === undefined) continue
        const own = [...key.path.slice(0, -1), name]
        const initial = keys.find((other) => spelled(other) === own.join('.'))?.schema.default
        const value = typeof initial === 'number' ? initial + 1 : initial
        if (isDeepStrictEqual(parsed(place, key, value), parsed(place, key, value, own))) continue
        throw new Error(`The key ${spelled(key)} does not do what ${own.join('.')} does.`)
      }
    },
  },
  {
    group: 'config',
    name: 'keeps passwords, tokens and private keys as secrets',
    run: async (place) => {
      for (const key of ownKeys(place)) {
        const isSecret = key.schema['writeOnly'] === true
        if (!isSecret && SECRET_NAME.test(key.path.at(-1) ?? ''))
          throw new Error(`The key ${spelled(key)} is no secret: it would be printed.`)
        if (!isSecret) continue
        const config = parsed(place, key, MARK)
        const shown = [inspect(config, { depth: 12 }), JSON.stringify(config)]
        if (shown.some((text) => text.includes(MARK))) throw new Error(`The value of ${spelled(key)} is printed.`)
      }
    },
  },
]
