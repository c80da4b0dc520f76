import type { Catalog, Connector, JsonSchema, StreamInfo } from '@nebula/core'
import { BaseConfig, jsonSchemaOf, snakeCase } from '@nebula/core'

/** One end of a file that is to be written. */
export interface StarterEnd {
  readonly connector: Connector
  /** Keys that are known, as the user spelled them; left out: the file shows where they go. */
  readonly keys?: { readonly [key: string]: unknown }
}

export interface Starter {
  readonly source: StarterEnd
  readonly destination: StarterEnd
  /** What the source has, where it was looked at. */
  readonly catalog?: Catalog | undefined
}

/** A text, and the variables that must be set because a secret was not written into it. */
export interface StarterFile {
  readonly text: string
  readonly variables: readonly string[]
}

/** Of the variables of each end. */
const PREFIXES = { source: 'SOURCE', destination: 'TARGET' } as const

/** A commented pipeline file. Secrets become variables. */
export function starterFile({ source, destination, catalog }: Starter): StarterFile {
  const variables: string[] = []
  const lines = [
    '# A pipeline of Nebula. The same command goes on with a run that was interrupted:',
    '#   nebula plan FILE     what a run would do, and all that stands against it',
    '#   nebula run FILE',
    '# Every key: nebula schema. ${NAME} is a variable of the environment.',
    '',
    ...section('source', source, variables),
    ...section('destination', destination, variables),
    '# parallel: 4                  # partition tasks at once; default: the cores',
    '# defaults: { mode: overwrite }  # or append, merge, incremental; for every stream',
    '',
    ...streams(catalog),
  ]
  return { text: `${lines.join('\n')}\n`, variables }
}

function section(role: keyof typeof PREFIXES, { connector, keys }: StarterEnd, variables: string[]): string[] {
  const { properties = {} } = jsonSchemaOf(connector.config)
  const base = new Set(Object.keys(BaseConfig.shape).map(snakeCase))
  const own = Object.entries(properties).filter(([key]) => !base.has(key))
  const known = Object.fromEntries(
    Object.entries(keys ?? placeholder(role, properties)).map(([k, v]) => [snakeCase(k), v]),
  )
  const written = own.filter(([key]) => known[key] !== undefined)
  const others = own.filter(([key]) => known[key] === undefined)
  return [
    `${role}:`,
    `  connector: ${connector.name}`,
    ...written.flatMap(([key, schema]) => {
      const variable = `${PREFIXES[role]}_${key.toUpperCase()}`
      const secret = schema['writeOnly'] === true && holdsSecret(String(known[key]))
      const value = secret ? `\${${variable}}` : known[key]
      if (/^\$\{\w+\}$/.test(String(value)) && schema['writeOnly'] === true) variables.push(String(value).slice(2, -1))
      return [`  # ${schema.description ?? ''}`.trimEnd(), `  ${key}: ${scalar(value)}`]
    }),
    ...others.map(([key, schema]) => {
      const initial = schema.default === undefined ? '' : ` ${JSON.stringify(schema.default)}`
      return `  # ${key}:${initial}${schema.description === undefined ? '' : `   # ${schema.description}`}`
    }),
    '',
  ]
}

/** How a user begins who said nothing but the connector. */
function placeholder(
  role: keyof typeof PREFIXES,
  properties: { readonly [key: string]: JsonSchema },
): { [key: string]: string } {
  if (properties['url']) return { url: `\${${PREFIXES[role]}_URL}` }
  return properties['path'] ? { path: role === 'source' ? './in' : './out' } : {}
}

/** Anything but variables where a URL has its password, or a value that is no URL and no variable. */
function holdsSecret(text: string): boolean {
  const literal = text.replace(/\$\{[^}]*\}/g, '')
  if (!literal.includes('://')) return literal !== ''
  return /:\/\/[^/?]*:[^@]+@/.test(literal) || /[?&][^=&]*(password|secret|token)[^=&]*=[^&]/i.test(literal)
}

function streams(catalog: Catalog | undefined): string[] {
  if (!catalog) return ['# streams:                     # by name or glob; left out: every stream', '#   name: {}']
  return [
    '# Left out, every stream is moved. The source has:',
    '# streams:',
    ...catalog.streams.map((stream) => `#   ${scalar(stream.name)}: {}   # ${facts(stream)}`),
  ]
}

function facts({ schema, rows, key }: StreamInfo): string {
  return [
    `${schema.fields.length} columns`,
    ...(rows === undefined ? [] : [`about ${rows.toLocaleString('en-US')} rows`]),
    ...(key.length > 0 ? [`key ${key.join(', ')}`] : []),
  ]
    .join(', ')
    .replaceAll('\n', ' ')
}

/** A value of YAML in one line; JSON is YAML. */
function scalar(value: unknown): string {
  const text = String(value)
  const plain = /^[A-Za-z0-9_./$][\w./:@${}-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|[\d.]+)$/i.test(text)
  return typeof value === 'string' && !plain ? JSON.stringify(value) : text
}
