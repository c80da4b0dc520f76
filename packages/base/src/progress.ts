import { NebulaError } from '@nebula/core'
import { readJsonFile, replaceFile } from './durable-file.ts'

/** What one stream has done so far. Rows under way count as read; `durable` ones are committed. */
export interface StreamProgress {
  readonly stream: string
  readonly target: string
  readonly read: number
  readonly written: number
  readonly filtered: number
  readonly rejected: number
  readonly bytes: number
  readonly durable: number
  /** Milliseconds that its tasks waited for each end, added up. */
  readonly sourceMs: number
  readonly destinationMs: number
  readonly retries: number
  readonly partitions: number
  readonly partitionsDone: number
  readonly estimatedRows: number | undefined
}

/** Running totals, one entry for each sample. */
export interface Series {
  readonly rows: readonly number[]
  readonly bytes: readonly number[]
  readonly durable: readonly number[]
  readonly sourceMs: readonly number[]
  readonly destinationMs: readonly number[]
}

/** All streams together: `ms` since the run began, and the totals then. */
export type TotalHistory = { readonly ms: readonly number[] } & Series

/** Each stream by itself. */
export interface RunHistory {
  readonly ms: readonly number[]
  readonly streams: readonly ({ readonly stream: string } & Series)[]
}

export type RunState = 'planning' | 'running' | 'done' | 'partial' | 'failed' | 'interrupted'
export type StreamState = 'running' | 'done' | 'failed' | 'interrupted' | 'finished_before'

/** A run as another process sees it; the content of the progress file. */
export interface RunProgress {
  readonly version: 1
  readonly pid: number
  readonly pipeline: string
  /** Unknown until it is planned. */
  readonly run: string | undefined
  readonly status: RunState
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly updatedAt: number
  /** How often the file is written. */
  readonly intervalMs: number
  readonly streams: readonly (StreamProgress & { readonly status: StreamState })[]
  readonly history: TotalHistory
  /** What stopped the run before its first row. */
  readonly error?: { readonly code: string; readonly message: string; readonly fix: string }
}

const FIELDS = ['rows', 'bytes', 'durable', 'sourceMs', 'destinationMs'] as const
/** More samples than this are thinned out. */
const MOST_SAMPLES = 1000
const MOST_CELLS = 20_000
const LEAST_SAMPLES = 60

/**
 * Samples of a run from its begin to its end. Its memory is bounded: when there are too many samples every second one
 * goes, and from then on half as many are taken.
 */
export class History {
  readonly #streams: readonly string[]
  readonly #most: number
  #samples: { readonly ms: number; readonly values: readonly number[] }[] = []
  #every = 1
  #ticks = 0

  constructor(streams: readonly string[]) {
    this.#streams = streams
    this.#most = Math.max(LEAST_SAMPLES, Math.min(MOST_SAMPLES, Math.floor(MOST_CELLS / Math.max(1, streams.length))))
  }

  /** Called at every interval, with the streams in the order of the constructor; `last` is never left out. */
  sample(ms: number, streams: readonly StreamProgress[], last = false): void {
    if (this.#ticks++ % this.#every !== 0 && !last) return
    const values = streams.flatMap((s) => [s.read, s.bytes, s.durable, s.sourceMs, s.destinationMs].map(Math.round))
    this.#samples.push({ ms: Math.round(ms), values })
    if (last || this.#samples.length <= this.#most) return
    this.#samples = this.#samples.filter((_, i) => i % 2 === 0)
    this.#every *= 2
  }

  get total(): TotalHistory {
    const sum = (values: readonly number[], field: number): number => {
      let total = 0
      for (let at = field; at < values.length; at += FIELDS.length) total += values[at] ?? 0
      return total
    }
    return { ms: this.#samples.map(({ ms }) => ms), ...this.#series(sum) }
  }

  get byStream(): RunHistory {
    const streams = this.#streams.map((stream, i) => ({
      stream,
      ...this.#series((values, field) => values[i * FIELDS.length + field] ?? 0),
    }))
    return { ms: this.#samples.map(({ ms }) => ms), streams }
  }

  #series(valueOf: (values: readonly number[], field: number) => number): Series {
    const [rows, bytes, durable, sourceMs, destinationMs] = FIELDS.map((_, field) =>
      this.#samples.map(({ values }) => valueOf(values, field)),
    ) as [number[], number[], number[], number[], number[]]
    return { rows, bytes, durable, sourceMs, destinationMs }
  }
}

/** Replaces the progress file, so that a reader sees the old content or the new. Not durable: it is news, not state. */
export async function writeProgress(path: string, progress: RunProgress): Promise<void> {
  await replaceFile(path, JSON.stringify(progress))
}

/** The last progress that a run wrote; undefined when there is none. Throws `state_newer`, `data_invalid`. */
export async function readProgress(path: string): Promise<RunProgress | undefined> {
  const found = (await readJsonFile(path)) as RunProgress | undefined
  if (found === undefined) return undefined
  if (found.version > 1) {
    throw new NebulaError('state_newer', { message: 'A newer version of Nebula wrote the progress.', place: path })
  }
  return found
}
