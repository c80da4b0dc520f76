import { monotonicMs } from '@nebula/base'
import type { RunEvent, StreamProgress } from '@nebula/runtime'
import { progressBlock } from './progress-block.ts'
import { bytesText, countText, printable } from './style.ts'

export interface RunView {
  readonly onEvent: (event: RunEvent) => void
  /** Prints a line of something else, such as the log, without tearing what is drawn. */
  say(line: string): void
  /** Clears what is drawn; idempotent. */
  end(): void
}

const REDRAW_MS = 200
/** A log keeps every line, so it gets few. */
const LOG_MS = 10_000

/** Shows a run on stderr: a few changing lines on a terminal, a plain line now and then elsewhere. */
export function watchRun(options: { readonly quiet: boolean }): RunView {
  const { stderr } = process
  const terminal = stderr.isTTY === true && !options.quiet
  let timer: NodeJS.Timeout | undefined
  let drawn = 0
  const clear = (): void => {
    if (drawn > 0) stderr.write(`\u001B[${drawn}A\u001B[J`)
    drawn = 0
  }
  const say = (line: string): void => {
    clear()
    stderr.write(`${line}\n`)
  }
  const draw = (lines: readonly string[]): void => {
    clear()
    stderr.write(lines.map((line) => `${line}\n`).join(''))
    drawn = lines.length
  }
  const begin = (event: Extract<RunEvent, { kind: 'planned' }>): void => {
    for (const { stream, reason } of event.prepared.restarted) say(`${printable(stream)} begins again: ${reason}`)
    if (event.prepared.resumed) say('going on with an interrupted run')
    const began = monotonicMs()
    const before = event.progress()
    let last = before
    const show = (): void => {
      const streams = event.progress()
      const elapsedMs = monotonicMs() - began
      const total = progressLine(streams, elapsedMs, totals(before))
      if (!terminal) return say(total)
      const size = { columns: stderr.columns ?? 80, rows: stderr.rows ?? 24 }
      draw(progressBlock({ streams, before, last, elapsedMs, total, ...size }))
      last = streams
    }
    timer = setInterval(show, terminal ? REDRAW_MS : LOG_MS)
    timer.unref()
  }
  return {
    onEvent(event) {
      if (options.quiet) return
      if (event.kind === 'planned') begin(event)
      if (event.kind !== 'stream') return
      const { progress, status } = event
      const [stream, target] = [printable(progress.stream), printable(progress.target)]
      say(`${stream} -> ${target}: ${status}, ${countText(progress.written)} rows`)
    },
    say,
    end() {
      clearInterval(timer)
      timer = undefined
      clear()
    },
  }
}

interface Totals {
  readonly rows: number
  readonly bytes: number
}

function totals(streams: readonly StreamProgress[]): Totals {
  return streams.reduce(({ rows, bytes }, s) => ({ rows: rows + s.read, bytes: bytes + s.bytes }), {
    rows: 0,
    bytes: 0,
  })
}

/**
 * One line for all streams: rows, bytes, speed, and how far it is. `before` is what an interrupted run had brought,
 * which does not count for the speed.
 */
export function progressLine(
  streams: readonly StreamProgress[],
  elapsedMs: number,
  before: Totals = { rows: 0, bytes: 0 },
): string {
  const { rows, bytes } = totals(streams)
  const seconds = Math.max(elapsedMs / 1000, 0.001)
  const partitions = streams.reduce((sum, s) => sum + s.partitions, 0)
  const done = streams.reduce((sum, s) => sum + s.partitionsDone, 0)
  const percent = partitions === 0 ? 100 : (100 * done) / partitions
  const running = streams.filter((s) => s.partitionsDone < s.partitions).map((s) => s.stream)
  const more = running.length > 3 ? ` and ${running.length - 3} more` : ''
  const names = running.length === 0 ? '' : `: ${running.slice(0, 3).map(printable).join(', ')}${more}`
  return (
    `${percent.toFixed(0)} % of ${countText(partitions)} partitions, ${countText(rows)} rows, ${bytesText(bytes)}, ` +
    `${countText((rows - before.rows) / seconds)} rows/s, ${bytesText((bytes - before.bytes) / seconds)}/s${names}`
  )
}
