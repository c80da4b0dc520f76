import type { LetterFile, Replayed } from '@nebula/operations'
import type { StoredLetter } from '@nebula/runtime'
import { Command } from 'commander'
import type { PipelineFlags } from './pipeline-flags.ts'
import { commonOptions, pipelineOf, positive } from './pipeline-flags.ts'
import { countText, plural, table } from './style.ts'

interface LetterFlags extends PipelineFlags {
  readonly stream?: string
  readonly run?: string
  readonly limit?: number
  readonly reread?: boolean
}

const LIST_EXAMPLES = `
Examples:
  nebula dlq list shop.yaml
  nebula dlq list shop.yaml --json`

const SHOW_EXAMPLES = `
Examples:
  nebula dlq show shop.yaml
  nebula dlq show shop.yaml --stream public.orders --limit 10
  nebula dlq show shop.yaml --json                      one entry a line`

const REPLAY_EXAMPLES = `
First mend what was wrong: the target, the pipeline file, the raw or the values of an entry in its file, or, with
--reread, the record in the source's file. Rows are added to their targets. What arrives is no dead letter any more;
what fails again stays, with the new reason. Killed in the middle, run it again: nothing is lost, and nothing is sent
twice to a destination that keeps its runs itself. Without --run, the entries of the last run are sent.

Exit codes: 0 all arrived, 5 some stay.

Examples:
  nebula dlq replay shop.yaml
  nebula dlq replay shop.yaml --stream public.orders
  nebula dlq replay shop.yaml --reread                  rows of files as the files are now, by record number`

export function dlqCommand(finished: (exitCode: number) => void): Command {
  const dlq = new Command('dlq').description('list, show or replay dead letters: rows that were kept aside')
  verb(dlq, 'list', LIST_EXAMPLES).description('dead letters by run and stream').action(list)
  verb(dlq, 'show', SHOW_EXAMPLES)
    .description('dead letters one by one')
    .option('--limit <n>', 'at most so many', positive)
    .action(show)
  verb(dlq, 'replay', REPLAY_EXAMPLES)
    .description('send dead letters again, and remove those that arrive')
    .option('--reread', 'rows of files are read from their files as they are now')
    .action(async (file: string, flags: LetterFlags) => finished(await replay(file, flags)))
  return dlq
}

function verb(parent: Command, name: string, examples: string): Command {
  return commonOptions(
    parent
      .command(name)
      .argument('<file>', 'pipeline file (YAML)')
      .option('--stream <name>', 'only those of this stream')
      .option('--run <id>', 'only those of this run')
      .option('--state <folder>', 'where lock, dead letters and reports are kept (default: .nebula)'),
  ).addHelpText('after', examples)
}

/** What one run kept of one stream. */
interface Kept {
  readonly run: string
  readonly stream: string
  readonly since: string
  readonly entries: number
  readonly reasons: Readonly<Record<string, number>>
  readonly files: readonly string[]
}

/** Here it bounds what is shown, and not a run. */
function withoutLimit({ limit: _limit, ...flags }: LetterFlags): PipelineFlags {
  return flags
}

async function list(file: string, flags: LetterFlags): Promise<void> {
  const { letterFiles } = await import('@nebula/operations')
  const kept = keptBy(await letterFiles(await pipelineOf('dlq', file, withoutLimit(flags)), flags))
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(kept)}\n`)
    return
  }
  const rows = kept.map(({ run, stream, since, entries, reasons }) => {
    const [first = '', ...more] = Object.keys(reasons)
    return [
      run,
      stream,
      since,
      `${first}${more.length > 0 ? ` and ${plural(more.length, 'other')}` : ''}`,
      countText(entries),
    ]
  })
  const text =
    kept.length === 0 ? 'no dead letters' : table([['run', 'stream', 'since', 'reason', 'entries'], ...rows], 4)
  process.stdout.write(`${text}\n`)
}

function keptBy(files: readonly LetterFile[]): Kept[] {
  const groups = Map.groupBy(files, ({ run, letters }) => JSON.stringify([run, letters[0]?.stream]))
  return [...groups.values()].map((group) => {
    const [first] = group
    const letters = group.flatMap((one) => one.letters)
    const reasons = Map.groupBy(letters, ({ reason }) => reason)
    return {
      run: first?.run ?? '',
      stream: letters[0]?.stream ?? '',
      since: new Date(first?.writtenAt ?? 0).toISOString(),
      entries: letters.length,
      reasons: Object.fromEntries([...reasons].map(([reason, same]) => [reason, same.length])),
      files: group.map(({ path }) => path),
    }
  })
}

async function show(file: string, flags: LetterFlags): Promise<void> {
  const { letterFiles } = await import('@nebula/operations')
  const files = await letterFiles(await pipelineOf('dlq', file, withoutLimit(flags)), flags)
  const entries = files.flatMap(({ path, run, letters }) => letters.map((letter) => ({ run, file: path, ...letter })))
  const shown = entries.slice(0, flags.limit)
  if (flags.json) {
    process.stdout.write(shown.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    return
  }
  const more = entries.length - shown.length
  const texts = shown.map(letterText)
  if (more > 0) texts.push(`and ${countText(more)} more`)
  process.stdout.write(`${texts.length === 0 ? 'no dead letters' : texts.join('\n\n')}\n`)
}

function letterText(letter: StoredLetter & { readonly run: string; readonly file: string }): string {
  const { run, file, id, stream, place, record, column, code, reason, values, raw, raw_base64: packed } = letter
  const lines = [
    `${stream}: ${place}${record === undefined ? '' : `, record ${record}`}`,
    `  ${code}${column === undefined ? '' : ` (${column})`}: ${reason}`,
  ]
  if (raw !== undefined) lines.push(`  raw: ${JSON.stringify(raw)}`)
  if (packed !== undefined) lines.push(`  raw (base64): ${packed}`)
  if (values) lines.push(`  values: ${JSON.stringify(values)}`)
  lines.push(`  entry ${id} of run ${run}, in ${file}`)
  return lines.join('\n')
}

async function replay(file: string, flags: LetterFlags): Promise<number> {
  const [pipeline, { lineLogger }, { replayLetters }, { reportText }, { signals }] = await Promise.all([
    pipelineOf('dlq', file, withoutLimit(flags)),
    import('@nebula/base'),
    import('@nebula/operations'),
    import('./report-text.ts'),
    import('./signals.ts'),
  ])
  using stop = signals()
  const logger = lineLogger(pipeline.source.config.observability.logLevel, (line) => process.stderr.write(line))
  const { stream, run, reread } = flags
  const replayed = await replayLetters(pipeline, {
    stream,
    run,
    reread,
    logger,
    signal: stop.signal,
    drain: stop.drain,
  })
  const { interruption } = replayed
  if (flags.json) process.stdout.write(`${JSON.stringify(replayed)}\n`)
  else process.stdout.write(`${interruption ? `${reportText(interruption)}\n` : ''}${replayedText(replayed)}\n`)
  if (interruption) return interruption.exitCode
  return replayed.failed.length + replayed.held.length > 0 ? 5 : 0
}

function replayedText({ sent, arrived, failed, held, others, arrivedBefore }: Replayed): string {
  const lines = [
    ...failed.map(({ place, reason }) => `stays: ${place}: ${reason}`),
    ...held.map(({ letter, reason }) => `not sent: ${letter.place}: ${reason}`),
  ]
  if (arrivedBefore > 0) lines.push(`${plural(arrivedBefore, 'row')} had arrived with a replay that was interrupted`)
  if (others > 0) lines.push(`${plural(others, 'dead letter')} of other runs: name one with --run`)
  lines.push(
    `${plural(sent, 'row')} sent, ${countText(arrived)} arrived, ${countText(failed.length + held.length)} stay`,
  )
  return lines.join('\n')
}
