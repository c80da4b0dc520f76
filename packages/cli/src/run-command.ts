import type { LogLevel } from '@nebula/base'
import type { Logger } from '@nebula/core'
import { parseDuration, parseSize, toNebulaError } from '@nebula/core'
import type { HookEnd, RunEnd } from '@nebula/operations'
import type { Endpoint, Pipeline, Report, RunEvent } from '@nebula/runtime'
import { Command, InvalidArgumentError } from 'commander'
import type { PipelineFlags } from './pipeline-flags.ts'
import { commonOptions, pipelineOf, pipelineOptions, positive } from './pipeline-flags.ts'
import { refuseLostOutput } from './report-error.ts'
import type { Serving } from './serve/server.ts'

interface RunFlags extends PipelineFlags {
  readonly timeout?: number
  readonly maxMemory?: number
  readonly quiet?: boolean
  readonly serve?: string
  readonly verify?: boolean
}

/** The exit code of a run that brought what it could. */
const PARTIAL = 5

const EXAMPLES = `
Examples:
  nebula run shop.yaml
  nebula run --from csv:./in --to 'postgres://me:\${PGPASSWORD}@localhost/shop'
  nebula run --from '\${SOURCE_URL}' --to csv:./out --streams 'public.*,audit.log'
  nebula run --from orders.csv --to '\${TARGET_URL}' --mode append --limit 1000

\${NAME} in an argument is replaced by nebula itself, so quote it and no secret stands in a process list.
The same command goes on with a run that was interrupted. Ctrl-C, SIGTERM and --timeout end a run at its next commits;
a second signal ends it at once.`

export function runCommand(finished: (exitCode: number) => void): Command {
  const command = new Command('run').description('move data: a pipeline file, or one source and one destination')
  return commonOptions(
    pipelineOptions(command, 'what happens to rows that are there')
      .option('--limit <n>', 'at most so many rows of each stream', positive)
      .option('--parallel <n>', 'partition tasks at once (default: the cores)', positive)
      .option(
        '--timeout <duration>',
        'end the run after so long, as the first Ctrl-C does, with exit code 130',
        durationOf,
      )
      .option('--max-memory <size>', 'bytes of the whole process, such as 200MB; buffers are made small enough', sizeOf)
      .option('--state <folder>', 'where lock, dead letters and reports are kept (default: .nebula)')
      .option('--serve <address>', 'show the run at PORT or HOST:PORT: a page, progress, metrics')
      .option('--verify', 'compare both ends afterwards, as nebula verify does')
      .option('--quiet', 'no progress'),
    'print the report as JSON',
  )
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, flags: RunFlags) => finished(await run(file, flags)))
}

function durationOf(text: string): number {
  const value = parseDuration(text)
  if (value === undefined) throw new InvalidArgumentError('It is a duration, such as 90s or 1h30m.')
  return value
}

function sizeOf(text: string): number {
  const value = parseSize(text)
  if (value === undefined) throw new InvalidArgumentError('It is a size, such as 200MB or 256MiB.')
  return value
}

async function run(file: string | undefined, flags: RunFlags): Promise<number> {
  const asked = await pipelineOf('run', file, flags)
  const pipeline = { ...asked, source: limited(asked.source, flags.maxMemory) }
  const end = await move(pipeline, flags).then(
    (report): RunEnd => ({ report }),
    (error: unknown): RunEnd => ({ error: toNebulaError(error) }),
  )
  const hook = await hookOf(pipeline, end)
  const failed = hook !== undefined && hook.code !== 0
  if (failed) {
    const how = hook.code === undefined ? 'was ended by a signal' : `failed with exit code ${hook.code}`
    process.stderr.write(`${hook.key} ${how}\n`)
  }
  if ('error' in end) throw end.error
  return end.report.exitCode === 0 && failed ? 1 : end.report.exitCode
}

async function hookOf(pipeline: Pipeline, end: RunEnd): Promise<HookEnd | undefined> {
  if (pipeline.onSuccess === undefined && pipeline.onFailure === undefined) return undefined
  const { runHook } = await import('@nebula/operations')
  return runHook(pipeline, end, (chunk) => process.stderr.write(chunk))
}

/** Runs the pipeline, and shows how it goes and what it came to. */
async function move(pipeline: Pipeline, flags: RunFlags): Promise<Report> {
  const [{ lineLogger }, { runPipeline }, { watchRun }, { reportText }, { saveReportPage }, { signals }] =
    await Promise.all([
      import('@nebula/base'),
      import('@nebula/runtime'),
      import('./progress.ts'),
      import('./report-text.ts'),
      import('./pages/save-report-page.ts'),
      import('./signals.ts'),
    ])
  using stop = signals(flags.timeout)
  const view = watchRun({ quiet: flags.quiet === true || flags.json === true })
  let serving: Serving | undefined
  try {
    const logger = lineLogger(logLevelOf(pipeline), (line) => view.say(line.trimEnd()))
    serving = flags.serve === undefined ? undefined : await startServing(pipeline, flags.serve, logger)
    if (serving) view.say(`watch it at ${serving.url}`)
    const onEvent = (event: RunEvent): void => {
      if (event.kind !== 'report') return view.onEvent(event)
      view.end()
      const page = saveReportPage(pipeline, event.report, logger)
      process.stdout.write(flags.json ? `${JSON.stringify(event.report)}\n` : `${reportText(event.report, page)}\n`)
      refuseLostOutput()
    }
    const report = await runPipeline(pipeline, { signal: stop.signal, drain: stop.drain, onEvent, logger })
    if (flags.verify !== true || (report.exitCode !== 0 && report.exitCode !== PARTIAL)) return report
    const { runVerify } = await import('./run-verify.ts')
    const verdict = await runVerify(pipeline, stop.signal, flags.json === true)
    return { ...report, exitCode: verdict || report.exitCode }
  } finally {
    view.end()
    await serving?.close()
  }
}

/** Debugging at either end shows what is logged for it. */
function logLevelOf({ source, destination }: Pipeline): LogLevel {
  const debugs = source.config.advanced.debug || destination.config.advanced.debug
  return debugs ? 'debug' : source.config.observability.logLevel
}

async function startServing(pipeline: Pipeline, address: string, logger: Logger): Promise<Serving> {
  const { serveRun } = await import('./serve/serve-run.ts')
  return serveRun(pipeline, address, logger)
}

function limited({ connector, config }: Endpoint, maxMemory = config.memory.maxMemory): Endpoint {
  return { connector, config: { ...config, memory: { ...config.memory, maxMemory } } }
}
