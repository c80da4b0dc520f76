import { z } from 'zod'
import { snakeCase } from './snake-case.ts'

/** A part of a JSON Schema, draft 2020-12. */
export interface JsonSchema {
  readonly [keyword: string]: unknown
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly properties?: { readonly [key: string]: JsonSchema }
  readonly anyOf?: readonly JsonSchema[]
}

/** In place of a number, a boolean or a choice; texts may hold one anyway. */
const VARIABLE: JsonSchema = { $ref: '#/$defs/variable' }
const DEFINITIONS = { variable: { type: 'string', pattern: '\\$\\{[^}]+\\}', description: 'a ${VARIABLE}' } }

/**
 * What a file may hold where `schema` checks it, as JSON Schema: keys in snake_case, defaults and descriptions, patterns
 * of durations and sizes, `writeOnly` for secrets, and variables in place of numbers, booleans and choices,
 * which refer to `$defs` of the whole document.
 */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...root } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return { $defs: DEFINITIONS, ...ofFile(root as JsonSchema) }
}

/** What zod says beside a value's own keywords. */
interface Noted extends JsonSchema {
  /** Other names of keys. */
  readonly aliases?: { readonly [alias: string]: string }
  /** The value may be written as a boolean. */
  readonly orBoolean?: boolean
  readonly additionalProperties?: unknown
  readonly maximum?: number
}

function ofFile(noted: Noted): JsonSchema {
  const { aliases, orBoolean, description, default: initial, maximum, ...rest } = noted
  const notes = { ...(description === undefined ? {} : { description }), ...defaultOf(initial, description) }
  if (rest['writeOnly'] === true) return { type: 'string', writeOnly: true, ...notes }
  const own: JsonSchema = {
    ...rest,
    ...(maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
    ...(rest.properties ? { properties: propertiesOf(rest.properties, aliases ?? {}) } : {}),
    ...(isSchema(rest.additionalProperties) ? { additionalProperties: ofFile(rest.additionalProperties) } : {}),
    ...(rest.anyOf ? { anyOf: branchesOf(rest.anyOf) } : {}),
  }
  if (orBoolean === true) return { anyOf: [own, { type: 'boolean' }, VARIABLE], ...notes }
  const scalar = ['integer', 'number', 'boolean'].includes(own.type ?? '') || own['enum'] !== undefined
  return scalar ? { anyOf: [own, VARIABLE], ...notes } : { ...own, ...notes }
}

/** Of a value that may be written in several ways; variables stand beside them once. */
function branchesOf(branches: readonly JsonSchema[]): JsonSchema[] {
  const own = branches.map(ofFile).flatMap((branch) => branch.anyOf ?? branch)
  const texts = own.some((branch) => branch.type === 'string')
  return own.filter((branch, i) => branch !== VARIABLE || (!texts && own.indexOf(VARIABLE) === i))
}

/** An empty section is no news, and some defaults are the machine's, which the description says. */
function defaultOf(initial: unknown, description = ''): { readonly default?: unknown } {
  if (initial === undefined || isSchema(initial) || description.includes('default: ')) return {}
  return { default: initial }
}

function propertiesOf(
  properties: { readonly [key: string]: JsonSchema },
  aliases: { readonly [alias: string]: string },
): { readonly [key: string]: JsonSchema } {
  const own = Object.entries(properties).map(([key, value]) => [snakeCase(key), ofFile(value)] as const)
  const others = Object.entries(aliases).map(([alias, key]) => {
    const { default: _, ...value } = ofFile(properties[key] ?? {})
    return [snakeCase(alias), { ...value, description: `the same as ${snakeCase(key)}` }] as const
  })
  return Object.fromEntries([...own, ...others])
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
