import { resolve } from 'node:path'
import { Command } from 'commander'
import { commonOptions } from '../pipeline-flags.ts'

interface ServeFlags {
  readonly address: string
  readonly state?: string
  readonly envFile?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  nebula serve shop.yaml
  nebula serve shop.yaml --address 0.0.0.0:8080 --state /var/lib/nebula
  curl http://127.0.0.1:7007/metrics

Serves /, /progress (server-sent events), /metrics (Prometheus), /healthz and /readyz. Whoever reaches the address
reads the names of streams and the messages of errors: leave it at this machine, or put a proxy in front of it.`

/** Where a pipeline is shown unless it is said otherwise. */
const DEFAULT_ADDRESS = '7007'

export function serveCommand(): Command {
  return commonOptions(
    new Command('serve')
      .description('show the run of a pipeline that another process runs, before, while and after it')
      .argument('<file>', 'pipeline file (YAML)')
      .option('--address <address>', 'PORT or HOST:PORT; port 0 is any free one', DEFAULT_ADDRESS)
      .option('--state <folder>', 'where the run keeps its state (default: .nebula beside the file)'),
    'print the URL as JSON',
  )
    .addHelpText('after', EXAMPLES)
    .action(serve)
}

async function serve(file: string, flags: ServeFlags): Promise<void> {
  const [{ setVariables }, { lineLogger, systemClock }, runtime, { parseAddress }, feeds, { serveProgress }, metrics] =
    await Promise.all([
      import('../env-file.ts'),
      import('@nebula/base'),
      import('@nebula/runtime'),
      import('./address.ts'),
      import('./progress-feed.ts'),
      import('./server.ts'),
      import('./prometheus.ts'),
    ])
  const address = parseAddress(flags.address)
  if (flags.envFile !== undefined) setVariables(flags.envFile)
  const pipeline = await runtime.loadPipeline(
    file,
    flags.state === undefined ? {} : { stateFolder: resolve(flags.state) },
  )
  const logger = lineLogger(pipeline.source.config.observability.logLevel, (line) => process.stderr.write(line))
  const path = runtime.stateFile(pipeline, 'progress.json')
  const feed = new feeds.ProgressFeed({ path, ownOnly: false, clock: systemClock, logger })
  await feed.start()
  const prometheus = await metrics.progressMetrics(feed)
  try {
    const serving = await serveProgress({ address, feed, metrics: prometheus.collect })
    process.stdout.write(flags.json ? `${JSON.stringify({ url: serving.url })}\n` : `${serving.url}\n`)
    await stopped()
    await serving.close()
  } finally {
    await Promise.all([feed.close(), prometheus.close()])
  }
}

/** Resolves with the first SIGINT or SIGTERM. */
function stopped(): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
      resolve()
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}
