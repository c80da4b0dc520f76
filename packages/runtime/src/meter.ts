import type { Counts } from '@nebula/core'

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
  readonly partitions: number
  readonly partitionsDone: number
  readonly estimatedRows: number | undefined
}

/** Counts one stream. What an attempt did is taken back when it is undone. */
export class StreamMeter {
  readonly stream: string
  readonly target: string
  readonly partitions: number
  readonly estimatedRows: number | undefined
  #committed: Counts = NOTHING
  #underWay: Counts = NOTHING
  partitionsDone = 0
  /** Milliseconds that tasks waited for the source, and for the destination. */
  sourceMs = 0
  destinationMs = 0
  /** How often a task of the stream began again because a system failed. */
  retries = 0

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

  moved(delta: Counts): void {
    this.#underWay = add(this.#underWay, delta, 1)
  }

  committed(counts: Counts): void {
    this.#underWay = add(this.#underWay, counts, -1)
    this.#committed = add(this.#committed, counts, 1)
  }

  undone(counts: Counts): void {
    this.#underWay = add(this.#underWay, counts, -1)
  }

  /** What an interrupted run had committed before. */
  resumed(counts: Counts): void {
    this.#committed = add(this.#committed, counts, 1)
  }

  get counts(): Counts {
    return this.#committed
  }

  get progress(): StreamProgress {
    const { stream, target, partitions, partitionsDone, estimatedRows } = this
    const now = add(this.#committed, this.#underWay, 1)
    return { stream, target, ...now, durable: this.#committed.read, partitions, partitionsDone, estimatedRows }
  }
}

export const NOTHING: Counts = { read: 0, written: 0, filtered: 0, rejected: 0, bytes: 0 }

export function add(a: Counts, b: Counts, sign: 1 | -1): Counts {
  return {
    read: a.read + sign * b.read,
    written: a.written + sign * b.written,
    filtered: a.filtered + sign * b.filtered,
    rejected: a.rejected + sign * b.rejected,
    bytes: a.bytes + sign * b.bytes,
  }
}
