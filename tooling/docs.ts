// Writes what documentation says of options and errors from their declarations; `--check` fails on what is stale.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { csv } from '@nebula/connector-csv'
import { mongo } from '@nebula/connector-mongo'
import { postgres } from '@nebula/connector-postgres'
import type { JsonSchema } from '@nebula/core'
import { BaseConfig, ERROR_CODES, jsonSchemaOf, snakeCase } from '@nebula/core'
import { configOptions } from '@nebula/inspect'
import { PipelineSchema } from '@nebula/runtime'

const root = join(import.meta.dirname, '..')
const NOTE = '<!-- Written by `npm run docs`. -->\n'

/** Rows of a table: a key, its default, what it does. */
function rows(schema: JsonSchema): string[] {
  return configOptions(schema).map(({ key, initial, description }) => {
    const shown = initial === '' ? '' : `\`${initial.replaceAll('|', '\\|')}\` `
    return `| \`${key}\` | ${shown}| ${description.replaceAll('|', '\\|')} |`
  })
}

function optionsTable(lines: readonly string[]): string {
  return ['| key | default | |', '|---|---|---|', ...lines].join('\n')
}

/** A connector's own keys; the others are those of every connector. */
function ownOptions(config: Parameters<typeof jsonSchemaOf>[0]): string {
  const { properties = {} } = jsonSchemaOf(config)
  const base = new Set(Object.keys(BaseConfig.shape).map(snakeCase))
  const own = Object.entries(properties).filter(([key]) => !base.has(key))
  return optionsTable(rows({ properties: Object.fromEntries(own) }))
}

function errorsPage(): string {
  const entries = Object.entries(ERROR_CODES).map(([code, { exit, retryable, what, normal, fix }]) => {
    const facts = `Exit code ${exit}${retryable ? ' · may succeed when it is tried again' : ''}`
    return `## ${code}\n\n${what}\n\n- When it is normal: ${normal}\n- What to do: ${fix}\n- ${facts}\n`
  })
  const head = 'Codes are stable: programs may compare them. `nebula explain CODE` prints the same.\n'
  return `${NOTE}\n# Errors\n\n${head}\n${entries.join('\n')}`
}

function configurationPage(): string {
  const { properties = {} } = jsonSchemaOf(PipelineSchema)
  const { source: _, destination: __, defaults, streams: ___, ...own } = properties
  return `${NOTE}
# Configuration

YAML or JSON. Keys are written in snake_case, and camelCase is taken as well; an unknown key is an error. Durations are written like \`500ms\`, \`30s\` or \`1h30m\`, sizes like \`64MB\` or \`64MiB\`. \`\${VAR}\`, \`\${VAR:-default}\` and \`\${file:/path}\` are replaced in every value. An editor checks a file against \`nebula schema\`.

## A pipeline file

Beside \`source\` and \`destination\`, which name a \`connector\` and hold its keys:

${optionsTable(rows({ properties: own }))}

## A stream

In \`defaults\`, for every stream, and in \`streams\`, by name or glob; \`false\` leaves a stream out:

${optionsTable(rows(defaults ?? {}))}

## Every connector

Beside the connector's own keys, which its README lists:

${optionsTable(rows(jsonSchemaOf(BaseConfig)))}

\`reliability.retry_attempts\` is \`max_retries\`; \`circuit_breaker: true\` is \`circuit_breaker: { enabled: true }\`.

## Through an SSH server

Connectors that connect over TCP, PostgreSQL and MongoDB, reach hosts behind an SSH server once the package is there that makes the tunnel: \`npm install ssh2\`.

\`\`\`yaml
source:
  connector: postgres
  url: postgres://reader@db.internal/shop     # names are looked up by the SSH server
  security: { ssh: { host: bastion.example.com, username: tunnel, key: ~/.ssh/id_ed25519 } }
\`\`\`

- The key of the SSH server must be in \`known_hosts\`, hashed or not, or be the one of \`fingerprint\`. Else nobody logs in: the run ends with \`host_key_unknown\`, which names the fingerprint that was met.
- It logs in by \`key\`, then by \`password\`, in either of the two ways in which servers ask for it; with neither, by the SSH agent.
- Each end has one SSH connection, made within \`timeouts.connection\` and probed every \`timeouts.keep_alive\`. When it is lost, so are the connections through it, and they are made again as after any other loss.
- TLS goes through it as it is: \`verify-full\` proves the name of the database's host.

## A connector's file

\`nebula check FILE\`, \`discover FILE\` and \`preview FILE\` also take the file of one connector: \`type: source\` or \`type: destination\`, \`connector\`, its keys, and \`table_name\` where one stream is meant.
`
}

function between(path: string, name: string, content: string): [path: string, text: string] {
  const text = readFileSync(join(root, path), 'utf8')
  const marks = new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`)
  if (!marks.test(text)) throw new Error(`${path} has no <!-- ${name} --> ... <!-- /${name} -->`)
  return [path, text.replace(marks, (_, before: string, behind: string) => `${before}${content}\n${behind}`)]
}

const pages: readonly [path: string, text: string][] = [
  ['docs/errors.md', errorsPage()],
  ['docs/configuration.md', configurationPage()],
  between('packages/connector-csv/README.md', 'options', ownOptions(csv.config)),
  between('packages/connector-mongo/README.md', 'options', ownOptions(mongo.config)),
  between('packages/connector-postgres/README.md', 'options', ownOptions(postgres.config)),
]
const stale = pages.filter(([path, text]) => read(path) !== text)

function read(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return undefined
  }
}

if (process.argv.includes('--check')) {
  for (const [path] of stale) console.error(`${path} is stale: npm run docs`)
  process.exitCode = stale.length === 0 ? 0 : 1
} else {
  for (const [path, text] of stale) writeFileSync(join(root, path), text)
  console.error(`docs: ${stale.length === 0 ? 'nothing to write' : stale.map(([path]) => path).join(', ')}`)
}
