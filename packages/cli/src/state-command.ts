import { createInterface } from 'node:readline/promises'
import { NebulaError } from '@nebula/core'
import type { PipelineState, StreamState } from '@nebula/operations'
import { Command } from 'commander'
import type { PipelineFlags } from './pipeline-flags.ts'
import { commonOptions, pipelineOf } from './pipeline-flags.ts'
import { countText, plural, table } from './style.ts'

interface ResetFlags extends PipelineFlags {
  readonly stream?: string
  readonly yes?: boolean
}

const SHOW_EXAMPLES = `
Examples:
  nebula state show shop.yaml
  nebula state show shop.yaml --json`

const RESET_EXAMPLES = `
What the interrupted run has put into staging is discarded; the targets stay as they are.

Examples:
  nebula state reset shop.yaml
  nebula state reset shop.yaml --yes                    without the question
  nebula state reset shop.yaml --stream public.orders   only this stream begins again`

export function stateCommand(): Command {
  const state = new Command('state').description('show how far the last run came, or give it up')
  commonOptions(verb(state, 'show').description('how far the last run of a pipeline file came'))
    .addHelpText('after', SHOW_EXAMPLES)
    .action(show)
  commonOptions(
    verb(state, 'reset')
      .description('give an interrupted run up: the next one begins anew')
      .option('--stream <name>', 'only what this stream reached')
      .option('--yes', 'do not ask; needed where there is no terminal'),
  )
    .addHelpText('after', RESET_EXAMPLES)
    .action(reset)
  return state
}

function verb(parent: Command, name: string): Command {
  return parent
    .command(name)
    .argument('<file>', 'pipeline file (YAML)')
    .option('--state <folder>', 'where lock, dead letters and reports are kept (default: .nebula)')
}

async function show(file: string, flags: PipelineFlags): Promise<void> {
  const pipeline = await pipelineOf('state', file, flags)
  const { pipelineState } = await import('@nebula/operations')
  const state = await pipelineState(pipeline)
  process.stdout.write(flags.json ? `${JSON.stringify(state)}\n` : `${stateText(state)}\n`)
}

async function reset(file: string, flags: ResetFlags): Promise<void> {
  const pipeline = await pipelineOf('state', file, flags)
  const what = flags.stream === undefined ? 'the interrupted run' : `what ${flags.stream} reached`
  if (!flags.yes && !(await confirmed(`Discard ${what} of ${pipeline.name}? The targets stay as they are. [y/N] `))) {
    process.stderr.write('nothing was changed\n')
    return
  }
  const { resetState } = await import('@nebula/operations')
  const discarded = await resetState(pipeline, flags.stream)
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ pipeline: pipeline.name, discarded })}\n`)
    return
  }
  const next = flags.stream === undefined ? 'the next run begins anew' : 'it begins again when the run goes on'
  const text = discarded.length === 0 ? 'no run is interrupted: nothing to reset' : `${discarded.join(', ')}: ${next}`
  process.stdout.write(`${text}\n`)
}

/** Asks on a terminal. Throws `usage` where there is none. */
async function confirmed(question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true) {
    const message = 'nebula state reset asks before it discards anything, and there is no terminal to ask on.'
    throw new NebulaError('usage', { message, fix: 'Give --yes.' })
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question(question)).trim())
  } finally {
    terminal.close()
  }
}

const STATUS: Readonly<Record<PipelineState['status'], string>> = {
  none: 'no run is known',
  running: 'a run is under way',
  interrupted: 'interrupted; nebula run goes on with it',
  ended: 'ended; nebula run begins a new one',
}

function stateText(state: PipelineState): string {
  const { pipeline, status, process: pid, run, epoch, startedAt, streams, deadLetters } = state
  const holder = pid === undefined ? '' : ` (process ${pid})`
  const lines = [`${pipeline}: ${STATUS[status]}${holder}`]
  if (run !== undefined) {
    const taker = `by the ${ordinal(epoch ?? 1)} process of this pipeline`
    lines.push(`run ${run}${startedAt === undefined ? '' : `, begun ${startedAt}`}, ${taker}`, '')
    const head = ['stream', '', 'status', 'partitions', 'rows', 'rejected']
    lines.push(table([head, ...streams.map(streamRow)], 3), '')
  }
  lines.push(deadLetters === 0 ? 'no dead letters' : `${plural(deadLetters, 'dead letter')}: see nebula dlq list`)
  return lines.join('\n')
}

function streamRow({ stream, target, status, partitions, partitionsDone, rows, rejected }: StreamState): string[] {
  const count = (value: number | undefined): string => (value === undefined ? '' : countText(value))
  const parts = partitions === undefined ? '' : `${count(partitionsDone)} of ${count(partitions)}`
  return [stream, target === stream ? '' : `-> ${target}`, status, parts, count(rows), count(rejected)]
}

function ordinal(count: number): string {
  return ['first', 'second', 'third'][count - 1] ?? `${count}th`
}
