import { resolve } from 'node:path'
import type { LogLevel } from '@nebula/base'
import type { Logger } from '@nebula/core'
import { parseDuration, parseSize, toNebulaError } from '@nebula/core'
import type { RunEnd } from '@nebula/operations'
import type { Endpoint, Pipeline, Report, RunEvent } from '@nebula/runtime'
import { Command, InvalidArgumentError, Option } from 'commander'
import { refuseLostOutput } from './report-error.ts'
import type { Serving } from './serve/server.ts'

/** What says which pipeline is meant, beside a file. */
export interface PipelineFlags {
  readonly from?: string
  readonly to?: string
  readonly mode?: 'overwrite' | 'append'
  readonly streams?: string[]
  readonly limit?: number
  readonly parallel?: number
  readonly state?: string
  readonly envFile?: string
  readonly json?: boolean
}

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
  return new Command('run')
    .description('move data: a pipeline file, or one source and one destination')
    .argument('[file]', 'pipeline file (YAML)')
    .option('--from <source>', 'CONNECTOR:PATH-OR-URL, a URL, or a path')
    .option('--to <destination>', 'the same')
    .addOption(new Option('--mode <mode>', 'what happens to rows that are there').choices(['overwrite', 'append']))
    .option('--streams <names>', 'only these, by name or glob, separated by commas', commaSeparated)
    .option('--limit <n>', 'at most so many rows of each stream', positive)
    .option('--parallel <n>', 'partition tasks at once (default: the cores)', positive)
    .option(
      '--timeout <duration>',
      'end the run after so long, as the first Ctrl-C does, with exit code 130',
      durationOf,
    )
    .option('--max-memory <size>', 'bytes of the whole process, such as 200MB; buffers are made small enough', sizeOf)
    .option('--state <folder>', 'where lock, dead letters and reports are kept (default: .nebula)')
    .option('--env-file <file>', 'set variables from a file of NAME=VALUE lines')
    .option('--serve <address>', 'show the run at PORT or HOST:PORT: a page, progress, metrics')
    .option('--json', 'print the report as JSON')
    .option('--verify', 'compare both ends afterwards, as nebula verify does')
    .option('--quiet', 'no progress')
    .option('--debug', 'errors with their causes and stack')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, flags: RunFlags) => finished(await run(file, flags)))
}

/** Names of an option, without the blanks around them. */
export function commaSeparated(text: string): string[] {
  return text.split(',').map((name) => name.trim())
}

/** A whole number above 0. Throws a usage error. */
export function positive(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It is a whole number above 0.')
  return value
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
  const { runHook } = await import('@nebula/operations')
  const end = await move(pipeline, flags).then(
    (report): RunEnd => ({ report }),
    (error: unknown): RunEnd => ({ error: toNebulaError(error) }),
  )
  const hook = await runHook(pipeline, end, (chunk) => process.stderr.write(chunk))
  const failed = hook !== undefined && hook.code !== 0
  if (failed) {
    const how = hook.code === undefined ? 'was ended by a signal' : `failed with exit code ${hook.code}`
    process.stderr.write(`${hook.key} ${how}\n`)
  }
  if ('error' in end) throw end.error
  return end.report.exitCode === 0 && failed ? 1 : end.report.exitCode
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

/** The pipeline of a file, or of `--from` and `--to`. Throws `usage` for anything else; `verb` is who asks. */
export async function pipelineOf(verb: string, file: string | undefined, flags: PipelineFlags): Promise<Pipeline> {
  const ends = [flags.from, flags.to].filter((end) => end !== undefined)
  if (ends.length !== (file === undefined ? 2 : 0)) {
    const { NebulaError } = await import('@nebula/core')
    throw new NebulaError('usage', {
      message: `nebula ${verb} takes a pipeline file, or --from and --to.`,
      fix: `See nebula ${verb} --help.`,
    })
  }
  const [{ setVariables }, runtime] = await Promise.all([import('./env-file.ts'), import('@nebula/runtime')])
  if (flags.envFile !== undefined) setVariables(flags.envFile)
  const { mode, limit, parallel, streams } = flags
  const stateFolder = flags.state === undefined ? {} : { stateFolder: resolve(flags.state) }
  const chosen = { ...(mode ? { mode } : {}), ...(limit === undefined ? {} : { limit }) }
  const adjusted = (pipeline: Pipeline): Pipeline => ({
    ...pipeline,
    ...(parallel === undefined ? {} : { parallel }),
    ...(file === undefined ? {} : { defaults: { ...pipeline.defaults, ...chosen } }),
    ...(file !== undefined && streams ? { only: streams } : {}),
  })
  if (file !== undefined) return runtime.loadPipeline(file, stateFolder).then(adjusted)
  const { from = '', to = '' } = flags
  return runtime
    .oneLinePipeline({ from, to, folder: process.cwd(), defaults: chosen, streams, ...stateFolder })
    .then(adjusted)
}

function limited({ connector, config }: Endpoint, maxMemory = config.memory.maxMemory): Endpoint {
  return { connector, config: { ...config, memory: { ...config.memory, maxMemory } } }
}
