import { writeFile } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import type { Catalog } from '@nebula/core'
import type { StarterEnd } from '@nebula/inspect'
import type { Endpoint } from '@nebula/runtime'
import { Command } from 'commander'

interface InitFlags {
  readonly output: string
  readonly envFile?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  nebula init postgres csv                             for two connectors
  nebula init '\${SOURCE_URL}' csv --output shop.yaml   looks at the source and lists its streams
  nebula init orders.csv 'postgres://me:\${PGPASSWORD}@localhost/shop'

A password that is written out is not written into the file: a variable stands there.`

export function initCommand(): Command {
  return new Command('init')
    .description('write a commented pipeline file for two connectors, or for what a URL or a path holds')
    .argument('[source]', 'name of a connector, CONNECTOR:PATH-OR-URL, a URL, or a path')
    .argument('[destination]', 'the same (default: csv, or postgres for a source of csv)')
    .option('--output <file>', 'the file to write; one that is there is left alone', 'nebula.yaml')
    .option('--env-file <file>', 'set variables from a file of NAME=VALUE lines')
    .option('--json', 'print what was written as JSON')
    .option('--debug', 'errors with their causes and stack')
    .addHelpText('after', EXAMPLES)
    .action(init)
}

async function init(source: string | undefined, destination: string | undefined, flags: InitFlags): Promise<void> {
  const [{ NebulaError }, { setVariables }, inspect] = await Promise.all([
    import('@nebula/core'),
    import('./env-file.ts'),
    import('@nebula/inspect'),
  ])
  if (flags.envFile !== undefined) setVariables(flags.envFile)
  if (source === undefined) {
    throw new NebulaError('usage', {
      message: 'nebula init takes what to read from: a connector, a URL or a path.',
      fix: 'Write, for example: nebula init postgres csv',
    })
  }
  const from = await endOf(source, flags.output)
  const to = await endOf(destination ?? (from.connector.name === 'csv' ? 'postgres' : 'csv'), flags.output)
  const catalog = from.endpoint && (await look(from.endpoint))
  const { text, variables } = inspect.starterFile({ source: from, destination: to, catalog })
  await create(flags.output, text)
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ file: flags.output, variables })}\n`)
    return
  }
  const set = variables.length === 0 ? '' : `set ${variables.join(' and ')}, then `
  process.stdout.write(`wrote ${flags.output}: ${set}nebula plan ${flags.output}\n`)
}

/** A connector by its name, or what a locator stands for; only that can be looked at. */
async function endOf(text: string, output: string): Promise<StarterEnd & { readonly endpoint?: Endpoint }> {
  const { loadConnector, locate } = await import('@nebula/runtime')
  const folder = process.cwd()
  if (/^[a-z][a-z0-9-]*$/.test(text) || /^@[^/]+\/[^/]+$/.test(text))
    return { connector: await loadConnector(text, folder) }
  const endpoint = await locate(text, { folder })
  const { connector } = endpoint
  const prefix = `${connector.name}:`
  const rest = text.startsWith(prefix) && !text.startsWith(`${prefix}//`) ? text.slice(prefix.length) : text
  const keys = connector.fromLocator?.(rest) ?? {}
  const { path } = keys
  if (typeof path !== 'string' || path.startsWith('/') || path.startsWith('$')) return { connector, keys, endpoint }
  // Paths of a file are meant from its folder.
  const near = relative(dirname(resolve(output)), resolve(path))
  return { connector, keys: { ...keys, path: near.startsWith('.') ? near : `./${near}` }, endpoint }
}

async function look(endpoint: Endpoint): Promise<Catalog> {
  const { withEnd } = await import('@nebula/inspect')
  return withEnd(endpoint, 'source', (driver, context) => driver.discover(context, []))
}

async function create(path: string, text: string): Promise<void> {
  const [{ NebulaError }, { fileError }] = await Promise.all([import('@nebula/core'), import('@nebula/base')])
  try {
    await writeFile(path, text, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(error, path)
    throw new NebulaError('usage', {
      message: `${path} is there already, and is left as it is.`,
      fix: 'Name another file with --output.',
      place: path,
    })
  }
}
