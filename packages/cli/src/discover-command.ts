import type { Catalog, StreamInfo } from '@nebula/core'
import { typeName } from '@nebula/core'
import type { StreamChange } from '@nebula/inspect'
import { Command } from 'commander'
import { commonOptions } from './pipeline-flags.ts'
import { countText, plural, printable, table } from './style.ts'

interface DiscoverFlags {
  readonly from?: string
  readonly state?: string
  readonly envFile?: string
  readonly diff?: boolean
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  nebula discover shop.yaml
  nebula discover shop.yaml --diff
  nebula discover --from csv:./in
  nebula discover --from '\${SOURCE_URL}' --json`

export function discoverCommand(): Command {
  return commonOptions(
    new Command('discover')
      .description('show the streams and columns of a source')
      .argument('[file]', 'pipeline file (YAML), for its source; or the file of a source')
      .option('--from <source>', 'CONNECTOR:PATH-OR-URL, a URL, or a path')
      .option('--diff', 'show what changed since the last run of the pipeline')
      .option('--state <folder>', 'where the last run recorded its streams (default: .nebula)'),
    'print the catalog as JSON',
  )
    .addHelpText('after', EXAMPLES)
    .action(discover)
}

async function discover(file: string | undefined, flags: DiscoverFlags): Promise<void> {
  const [{ NebulaError }, { endsOf, sourceOf }, inspect, runtime] = await Promise.all([
    import('@nebula/core'),
    import('./ends.ts'),
    import('@nebula/inspect'),
    import('@nebula/runtime'),
  ])
  const ends = await endsOf('discover', file, flags)
  const { pipeline, stream } = ends
  if (flags.diff && !pipeline) {
    throw new NebulaError('usage', { message: 'nebula discover --diff takes a pipeline file: its runs are compared.' })
  }
  const catalog = await inspect.withEnd(await sourceOf(ends), 'source', async (driver, context) => {
    const found = await driver.discover(context, runtime.definedStreams(ends))
    return stream === undefined ? found : { streams: [inspect.streamCalled(found, stream)] }
  })
  if (flags.diff && pipeline) {
    const asked = runtime.chooseStreams(catalog, pipeline).selected.map(({ info }) => info)
    const recorded = await runtime.recordedSchemas(pipeline)
    const changes = inspect.diffStreams(recorded, asked)
    const text = recorded.length === 0 ? 'no run of this pipeline has recorded its streams yet' : changesText(changes)
    process.stdout.write(flags.json ? `${JSON.stringify(changes)}\n` : `${text}\n`)
    return
  }
  process.stdout.write(flags.json ? `${JSON.stringify(catalog)}\n` : `${catalogText(catalog)}\n`)
}

function changesText(changes: readonly StreamChange[]): string {
  if (changes.length === 0) return 'nothing changed since the last run'
  return changes.map(changeText).join('\n')
}

function changeText({ stream, change, columns, key }: StreamChange): string {
  const lines = columns.map(({ column, change: what, before, after }) => {
    if (what === 'added' || what === 'removed') return `  ${what} ${column} ${after ?? before ?? ''}`
    return `  ${what} ${column}: ${before} -> ${after}`
  })
  const keys = key ? [`  key: ${key.before.join(', ') || 'none'} -> ${key.after.join(', ') || 'none'}`] : []
  return [`${stream} ${change}`, ...lines, ...keys].join('\n')
}

function catalogText({ streams, denied = [] }: Catalog): string {
  const texts = streams.length === 0 ? ['no streams'] : streams.map(streamText)
  return [...texts, ...(denied.length > 0 ? [`not readable: ${denied.join(', ')}`] : [])].join('\n\n')
}

function streamText(stream: StreamInfo): string {
  const facts = [
    plural(stream.schema.fields.length, 'column'),
    ...(stream.rows === undefined ? [] : [`about ${countText(stream.rows)} rows`]),
    ...(stream.key.length > 0 ? [`key ${stream.key.join(', ')}`] : []),
  ]
  return `${stream.name} (${facts.join(', ')})\n${table(
    stream.schema.fields.map((field) => [
      `  ${field.name}`,
      typeName(field.type),
      field.declared ?? '',
      field.nullable ? '' : 'not null',
      printable(field.comment ?? ''),
    ]),
    5,
  )}`
}
