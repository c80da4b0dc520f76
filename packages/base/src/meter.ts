import type { Counts, Logger } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { monotonicMs } from './clock.ts'
import type { Recorder, Side } from './metrics.ts'
import { silentRecorder } from './metrics.ts'
import type { StreamProgress } from './progress.ts'

/** Counts one stream. What an attempt did is taken back when it is undone. */
export class StreamMeter {
  readonly stream: string
  readonly target: string
  readonly partitions: number
  readonly estimatedRows: number | undefined
  #committed: Counts = NO_COUNTS
  #underWay: Counts = NO_COUNTS
  partitionsDone = 0
  /** Milliseconds that tasks waited for the source, and for the destination. */
  sourceMs = 0
  destinationMs = 0
  retries = 0
  recorder: Recorder = silentRecorder
  /** Told of every batch, where that is asked for. */
  logger: Logger | undefined
  /** When the first task began and when the last one ended, and since when rows wait for their commit. */
  #beganAt: number | undefined
  #endedAt = 0
  #oldestAt: number | undefined

  constructor(stream: string, target: string, partitions: number, estimatedRows: number | undefined) {
    this.stream = stream
    this.target = target
    this.partitions = partitions
    this.estimatedRows = estimatedRows
  }

  /** Rejected rows of the stream, committed or under way: what `max_errors` bounds. */
  get rejected(): number {
    return this.#committed.rejected + this.#underWay.rejected
  }

  /** A batch went through. */
  moved(delta: Counts): void {
    this.#underWay = addCounts(this.#underWay, delta, 1)
    this.#oldestAt ??= monotonicMs()
    this.recorder.batch(this.stream, 'source', delta.read, delta.bytes)
    this.recorder.batch(this.stream, 'destination', delta.written, delta.bytes)
    if (delta.rejected > 0) this.recorder.rejected(this.stream, delta.rejected)
    this.logger?.debug('batch', { stream: this.stream, ...delta })
  }

  committed(counts: Counts): void {
    this.#underWay = addCounts(this.#underWay, counts, -1)
    this.#committed = addCounts(this.#committed, counts, 1)
    const now = monotonicMs()
    this.recorder.committed(this.stream, counts.read, now - (this.#oldestAt ?? now))
    // Other tasks may have rows under way; theirs count from now on.
    this.#oldestAt = this.#underWay.read > 0 ? now : undefined
  }

  /** A task of the stream waited for one end until now. */
  waited(side: Side, ms: number): void {
    this.#endedAt = monotonicMs()
    this.#beganAt ??= this.#endedAt - ms
    if (side === 'source') this.sourceMs += ms
    else this.destinationMs += ms
    this.recorder.waited(this.stream, side, ms)
  }

  /** A request or task of the stream is tried again, after it failed with this code. */
  retried(side: Side, code: string): void {
    this.retries++
    this.recorder.retried(side, code)
  }

  /** From the first wait of its tasks to the last. */
  get seconds(): number {
    return this.#beganAt === undefined ? 0 : (this.#endedAt - this.#beganAt) / 1000
  }

  /** Throws `counts_differ` when a row is missing in the account of what was committed, or is in it twice. */
  requireBalance(): void {
    const { read, written, filtered, rejected } = this.#committed
    if (read === written + filtered + rejected) return
    const parts = `${written} written, ${filtered} filtered and ${rejected} rejected`
    throw new NebulaError('counts_differ', { message: `${read} rows were read, but ${parts}.`, stream: this.stream })
  }

  /** A commit whose answer was lost turned out to have taken place; its rows were taken back before. */
  settled(counts: Counts): void {
    this.#committed = addCounts(this.#committed, counts, 1)
    this.recorder.committed(this.stream, counts.read, 0)
  }

  undone(counts: Counts): void {
    this.#underWay = addCounts(this.#underWay, counts, -1)
    if (this.#underWay.read === 0) this.#oldestAt = undefined
  }

  /** What an interrupted run had committed before. */
  resumed(counts: Counts): void {
    this.#committed = addCounts(this.#committed, counts, 1)
  }

  get counts(): Counts {
    return this.#committed
  }

  get progress(): StreamProgress {
    const { stream, target, sourceMs, destinationMs, retries, partitions, partitionsDone, estimatedRows } = this
    const now = addCounts(this.#committed, this.#underWay, 1)
    const waits = { sourceMs, destinationMs, retries }
    return {
      stream,
      target,
      ...now,
      durable: this.#committed.read,
      ...waits,
      partitions,
      partitionsDone,
      estimatedRows,
    }
  }
}

/** Where every account begins. */
export const NO_COUNTS: Counts = { read: 0, written: 0, filtered: 0, rejected: 0, bytes: 0 }

/** `a` and `b` together, or `a` without `b`. */
export function addCounts(a: Counts, b: Counts, sign: 1 | -1): Counts {
  return {
    read: a.read + sign * b.read,
    written: a.written + sign * b.written,
    filtered: a.filtered + sign * b.filtered,
    rejected: a.rejected + sign * b.rejected,
    bytes: a.bytes + sign * b.bytes,
    ...(a.overflowed || b.overflowed ? { overflowed: (a.overflowed ?? 0) + sign * (b.overflowed ?? 0) } : {}),
  }
}
