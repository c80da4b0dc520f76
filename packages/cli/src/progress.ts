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
      for (const { stream, reason } of event.prepared.restarted) say(`${stream} begins again: ${reason}`)
      if (event.prepared.resumed) say('going on with an interrupted run')
      const show = (): void => {
        const line = progressLine(event.progress(), performance.now() - began)
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

/** One line for all streams: rows, bytes, speed, and how far it is where the size is known. */
export function progressLine(streams: readonly StreamProgress[], elapsedMs: number): string {
  const sum = (pick: (s: StreamProgress) => number): number => streams.reduce((total, s) => total + pick(s), 0)
  const rows = sum((s) => s.read)
  const bytes = sum((s) => s.bytes)
  const seconds = Math.max(elapsedMs / 1000, 0.001)
  const partitions = sum((s) => s.partitions)
  const done = partitions === 0 ? 100 : (100 * sum((s) => s.partitionsDone)) / partitions
  const running = streams.filter((s) => s.partitionsDone < s.partitions).map((s) => s.stream)
  const names =
    running.length > 3 ? `${running.slice(0, 3).join(', ')} and ${running.length - 3} more` : running.join(', ')
  return (
    `${done.toFixed(0)} % of ${countText(partitions)} partitions, ${countText(rows)} rows, ${bytesText(bytes)}, ` +
    `${countText(rows / seconds)} rows/s, ${bytesText(bytes / seconds)}/s: ${names}`
  )
}
