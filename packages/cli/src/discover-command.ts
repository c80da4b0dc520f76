import type { Catalog, StreamInfo } from '@nebula/core'
import { typeName } from '@nebula/core'
import type { Endpoint } from '@nebula/runtime'
import { Command } from 'commander'
import { countText, table } from './style.ts'

interface DiscoverFlags {
  readonly from?: string
  readonly envFile?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  nebula discover shop.yaml
  nebula discover --from csv:./in
  nebula discover --from '\${SOURCE_URL}' --json`

export function discoverCommand(): Command {
  return new Command('discover')
    .description('show the streams and columns of a source')
    .argument('[file]', 'pipeline file (YAML), for its source')
    .option('--from <source>', 'CONNECTOR:PATH-OR-URL, a URL, or a path')
    .option('--env-file <file>', 'set variables from a file of NAME=VALUE lines')
    .option('--json', 'print the catalog as JSON')
    .option('--debug', 'errors with their causes and stack')
    .addHelpText('after', EXAMPLES)
    .action(discover)
}

async function discover(file: string | undefined, flags: DiscoverFlags): Promise<void> {
  const [{ NebulaError }, { setVariables }, { createContext, Managed }, runtime] = await Promise.all([
    import('@nebula/core'),
    import('./env-file.ts'),
    import('@nebula/base'),
    import('@nebula/runtime'),
  ])
  if (flags.envFile !== undefined) setVariables(flags.envFile)
  if ((file === undefined) === (flags.from === undefined)) {
    throw new NebulaError('usage', { message: 'nebula discover takes a pipeline file or --from.' })
  }
  const pipeline = file === undefined ? undefined : await runtime.loadPipeline(file)
  const { connector, config }: Endpoint =
    pipeline?.source ?? (await runtime.locate(flags.from ?? '', { folder: process.cwd() }))
  if (!connector.source) {
    throw new NebulaError('unsupported', { message: `The connector ${connector.name} cannot be read from.` })
  }
  await using managed = new Managed(connector.name, connector.source(config))
  const context = createContext({ signal: new AbortController().signal, config, name: connector.name })
  const driver = await managed.open(context)
  const defined = pipeline ? runtime.definedStreams(pipeline) : []
  const catalog = await driver.discover(context, defined)
  process.stdout.write(flags.json ? `${JSON.stringify(catalog)}\n` : `${catalogText(catalog)}\n`)
}

function catalogText({ streams }: Catalog): string {
  if (streams.length === 0) return 'no streams'
  return streams.map(streamText).join('\n\n')
}

function streamText(stream: StreamInfo): string {
  const facts = [
    `${countText(stream.schema.fields.length)} columns`,
    ...(stream.rows === undefined ? [] : [`about ${countText(stream.rows)} rows`]),
    ...(stream.key.length > 0 ? [`key ${stream.key.join(', ')}`] : []),
  ]
  return `${stream.name} (${facts.join(', ')})\n${table(
    stream.schema.fields.map((field) => [
      `  ${field.name}`,
      typeName(field.type),
      field.declared ?? '',
      field.nullable ? '' : 'not null',
    ]),
    4,
  )}`
}
