import type { StreamProgress } from '@nebula/runtime'
import { bytesText, countText, printable, style, textWidth } from './style.ts'

export interface BlockInput {
  readonly streams: readonly StreamProgress[]
  /** The same streams when the run began, and when the block was drawn before. */
  readonly before: readonly StreamProgress[]
  readonly last: readonly StreamProgress[]
  readonly elapsedMs: number
  /** The line for all of them. */
  readonly total: string
  /** Of the terminal. */
  readonly columns: number
  readonly rows: number
}

/** However many streams there are, a terminal is for more than their progress. */
const MOST_LINES = 8
const BAR = 16
const LONGEST_NAME = 28

/** The lines that show a run on a terminal: the streams under way, and all together. None is wider than it. */
export function progressBlock(input: BlockInput): string[] {
  const { streams, before, last, columns, rows, elapsedMs } = input
  const running = streams.flatMap((stream, i) => (isUnderWay(stream) ? [{ stream, i }] : []))
  const shown = running.slice(0, Math.max(1, Math.min(MOST_LINES, rows - 3)))
  const longest = Math.max(0, ...shown.map(({ stream }) => textWidth(printable(stream.stream))))
  const nameWidth = Math.min(longest, LONGEST_NAME, Math.floor(columns / 3))
  const aligned = shown.some(({ stream }) => partDone(stream) !== undefined)
  const lines = shown.map(({ stream, i }) => {
    const line = { name: padded(printable(stream.stream), nameWidth), stream, columns, elapsedMs }
    return streamLine({ ...line, before: before[i] ?? stream, last: last[i] ?? stream, aligned })
  })
  return [...lines, cut(input.total, columns - 1)]
}

function isUnderWay({ read, partitions, partitionsDone }: StreamProgress): boolean {
  return partitionsDone < partitions && read > 0
}

interface LineInput {
  readonly name: string
  readonly stream: StreamProgress
  readonly before: StreamProgress
  readonly last: StreamProgress
  /** Another stream has a bar. */
  readonly aligned: boolean
  readonly columns: number
  readonly elapsedMs: number
}

/** A bar where the size is known, a counter where not; what does not fit is left out from the end. */
function streamLine({ name, stream, before, last, aligned, columns, elapsedMs }: LineInput): string {
  const seconds = Math.max(elapsedMs / 1000, 0.001)
  const rate = (stream.read - before.read) / seconds
  const part = partDone(stream)
  const left = part === undefined || rate <= 0 ? undefined : (stream.read / part - stream.read) / rate
  const waits = waitsFor(stream, last)
  const parts = [
    `${countText(stream.read)} rows`,
    `${countText(rate)} rows/s`,
    `${bytesText((stream.bytes - before.bytes) / seconds)}/s`,
    ...(left === undefined ? [] : [`${timeText(left)} left`]),
    ...(waits === undefined ? [] : [`waits for the ${waits}`]),
  ]
  const bar = part === undefined ? '' : drawBar(part)
  const gap = aligned ? ' '.repeat(BAR + 8) : ''
  let line = part === undefined ? name + gap : `${name}  ${bar} ${`${Math.floor(part * 100)}`.padStart(3)} %`
  if (textWidth(line) >= columns) return cut(name, columns - 1)
  for (const more of parts) {
    if (textWidth(line) + 2 + more.length >= columns) break
    line += `  ${more}`
  }
  return bar === '' ? line : line.replace(bar, style('cyan', bar, process.stderr))
}

/** From 0 to 1; undefined where neither rows nor partitions say how much there is. */
function partDone({ read, estimatedRows, partitions, partitionsDone }: StreamProgress): number | undefined {
  if (estimatedRows !== undefined && estimatedRows > 0) return Math.min(0.99, read / estimatedRows)
  return partitions > 1 && partitionsDone > 0 ? partitionsDone / partitions : undefined
}

/** The end for which the stream waited longer since the block was drawn before. */
function waitsFor(stream: StreamProgress, last: StreamProgress): 'source' | 'destination' | undefined {
  const source = stream.sourceMs - last.sourceMs
  const destination = stream.destinationMs - last.destinationMs
  if (source <= 0 && destination <= 0) return undefined
  return source > destination ? 'source' : 'destination'
}

function drawBar(part: number): string {
  const full = Math.round(part * BAR)
  return '█'.repeat(full) + '░'.repeat(BAR - full)
}

function timeText(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

function padded(text: string, width: number): string {
  const fitting = cut(text, width)
  return fitting + ' '.repeat(Math.max(0, width - textWidth(fitting)))
}

/** As much of a text as fits. */
function cut(text: string, width: number): string {
  if (textWidth(text) <= width) return text
  let kept = ''
  for (const char of text) {
    if (textWidth(kept) + textWidth(char) >= width) break
    kept += char
  }
  return width > 0 ? `${kept}…` : ''
}
