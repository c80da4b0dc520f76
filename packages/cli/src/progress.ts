import type { RunEvent, StreamProgress } from '@nebula/runtime'
import { bytesText, countText } from './style.ts'

export interface RunView {
  readonly onEvent: (event: RunEvent) => void
  /** Clears what is drawn; idempotent. */
  end(): void
}

const REDRAW_MS = 200
/** A log keeps every line, so it gets few. */
const LOG_MS = 10_000

/** Shows a run on stderr: one changing line on a terminal, a plain line now and then elsewhere. */
export function watchRun(options: { readonly quiet: boolean }): RunView {
  if (options.quiet) return { onEvent: () => {}, end: () => {} }
  const terminal = process.stderr.isTTY === true
  const began = performance.now()
  let timer: NodeJS.Timeout | undefined
  const clear = (): void => {
    if (terminal) process.stderr.write('\r\u001B[K')
  }
  const say = (line: string): void => {
    clear()
    process.stderr.write(`${line}\n`)
  }
  return {
    onEvent(event) {
      if (event.kind === 'stream') {
        const { progress, status } = event
        say(`${progress.stream} -> ${progress.target}: ${status}, ${countText(progress.written)} rows`)
        return
      }
      if (event.kind !== 'planned') return
      for (const { stream, reason } of event.prepared.restarted) say(`${stream} begins again: ${reason}`)
      if (event.prepared.resumed) say('going on with an interrupted run')
      const before = totals(event.progress())
      const show = (): void => {
        const line = progressLine(event.progress(), performance.now() - began, before)
        if (terminal) process.stderr.write(`\r${line.slice(0, (process.stderr.columns ?? 80) - 1)}\u001B[K`)
        else process.stderr.write(`${line}\n`)
      }
      timer = setInterval(show, terminal ? REDRAW_MS : LOG_MS)
      timer.unref()
    },
    end() {
      if (!timer) return
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
  const names = running.length === 0 ? '' : `: ${running.slice(0, 3).join(', ')}${more}`
  return (
    `${percent.toFixed(0)} % of ${countText(partitions)} partitions, ${countText(rows)} rows, ${bytesText(bytes)}, ` +
    `${countText((rows - before.rows) / seconds)} rows/s, ${bytesText((bytes - before.bytes) / seconds)}/s${names}`
  )
}
