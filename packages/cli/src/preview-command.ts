import { Command } from 'commander'
import { commaSeparated, commonOptions, positive } from './pipeline-flags.ts'

interface PreviewFlags {
  readonly from?: string
  readonly streams?: string[]
  readonly rows: number
  readonly envFile?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  nebula preview shop.yaml --streams public.orders
  nebula preview --from orders.csv --rows 3
  nebula preview --from '\${SOURCE_URL}' --streams 'public.*' --json

Rows are shown as a run would deliver them: filtered, cast and masked.`

export function previewCommand(): Command {
  return commonOptions(
    new Command('preview')
      .description('show the first rows of the streams of a source')
      .argument('[file]', 'pipeline file, or the file of a source (YAML)')
      .option('--from <source>', 'CONNECTOR:PATH-OR-URL, a URL, or a path')
      .option('--streams <names>', 'only these, by name or glob, separated by commas', commaSeparated)
      .option('--rows <n>', 'so many of each stream', positive, 10),
    'print every value exactly, as JSON',
  )
    .addHelpText('after', EXAMPLES)
    .action(preview)
}

async function preview(file: string | undefined, flags: PreviewFlags): Promise<void> {
  const [{ endsOf, sourceOf }, { previewStreams, streamCalled, withEnd }, { previewText }] = await Promise.all([
    import('./ends.ts'),
    import('@nebula/inspect'),
    import('./preview-text.ts'),
  ])
  const ends = await endsOf('preview', file, flags)
  const source = await sourceOf(ends)
  const { stream, defaults, streams } = ends
  const named =
    stream &&
    (await withEnd(source, 'source', async (driver, context) => {
      return streamCalled(await driver.discover(context, []), stream).name
    }))
  const only = flags.streams ?? (named === undefined || named === '' ? undefined : [named])
  const previews = await previewStreams(source, { defaults, streams, only, rows: flags.rows })
  const width = process.stdout.columns ?? 80
  const text = flags.json ? JSON.stringify(previews) : previews.map((found) => previewText(found, width)).join('\n\n')
  process.stdout.write(`${text}\n`)
}
