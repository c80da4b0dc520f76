import type { BaseConfig, Context, NebulaError, RecordBatch, Writer } from '@nebula/core'
import { withSignal } from './context.ts'
import { Deadline } from './deadline.ts'
import type { TimeLimit } from './timeout.ts'

/** How long the two ends may take over parts of a task; never over all of it. */
export interface TaskLimits {
  readonly firstBatch: TimeLimit
  readonly nextBatch: TimeLimit
  readonly write: TimeLimit
  readonly commit: TimeLimit
}

/** A batch that has rows goes on its way after the flush interval, so that long a system may be silent and be well. */
export function taskLimits({ timeouts, performance }: BaseConfig, destination: BaseConfig): TaskLimits {
  const { write, request } = destination.timeouts
  const flushed = (ms: number): number => ms + performance.flushInterval
  return {
    firstBatch: { ms: flushed(timeouts.queryTimeout), what: 'Reading the first rows', key: 'timeouts.query_timeout' },
    nextBatch: { ms: flushed(timeouts.read), what: 'Reading the next rows', key: 'timeouts.read' },
    write: { ms: write, what: 'Writing a batch', key: 'timeouts.write' },
    commit: { ms: request, what: 'A commit', key: 'timeouts.request' },
  }
}

/** Batches one by one: no generator, as every step of one costs, and there is one for each batch. */
export interface TimedBatches {
  /** Undefined behind the last. */
  next(): Promise<RecordBatch | undefined>
  /** Tells the source that no more are wanted, unless it is at work or at its end. */
  leave(): Promise<void>
}

/** Both ends of one attempt at a task, whose work is bounded; a limit that is passed stops both. */
export class WatchedEnds {
  readonly source: Context
  readonly destination: Context
  readonly #limits: TaskLimits
  readonly #reading: Deadline
  readonly #writing: Deadline
  readonly #stop = new AbortController()
  /** The limit that stopped both, and whose it was. */
  late: { readonly error: NebulaError; readonly end: 'source' | 'destination' } | undefined

  constructor(ends: { readonly source: Context; readonly destination: Context }, limits: TaskLimits) {
    const late = new AbortController()
    const expire = (end: 'source' | 'destination') => (error: NebulaError) => {
      this.late ??= { error, end }
      late.abort(error)
    }
    this.#limits = limits
    this.#reading = new Deadline(ends.source.clock, expire('source'))
    this.#writing = new Deadline(ends.destination.clock, expire('destination'))
    this.source = watched(ends.source, this.#reading, late.signal, this.#stop.signal)
    this.destination = watched(ends.destination, this.#writing, late.signal)
    ends.source.pool.during = (wait) => this.#reading.wait(wait)
  }

  /** The same batches, each in time. */
  batches(from: () => AsyncIterable<RecordBatch>): TimedBatches {
    let iterator: AsyncIterator<RecordBatch> | undefined
    const ask = (): Promise<IteratorResult<RecordBatch>> => (iterator ??= from()[Symbol.asyncIterator]()).next()
    let limit = this.#limits.firstBatch
    // The source waits behind a batch that it gave.
    let waits = false
    return {
      next: async () => {
        waits = false
        const { done, value } = await this.#reading.bound(limit, ask)
        limit = this.#limits.nextBatch
        if (done === true) return undefined
        waits = true
        return value
      },
      leave: async () => {
        if (!waits) return
        waits = false
        // What made us leave is the error to tell.
        await iterator?.return?.().catch(() => {})
      },
    }
  }

  /** The same writer, in time. */
  writer(writer: Writer): Writer {
    const { write, commit } = this.#limits
    return {
      write: (batch, from, to) => this.#writing.bound(write, () => writer.write(batch, from, to)),
      commit: (checkpoint) => this.#writing.bound(commit, () => writer.commit(checkpoint)),
      abort: (reason) => writer.abort(reason),
    }
  }

  /** The source is to end; the writer still may. */
  stopReading(): void {
    this.#stop.abort()
  }

  /** No limit holds any more. */
  close(): void {
    this.#reading.close()
    this.#writing.close()
  }
}

function watched(context: Context, deadline: Deadline, ...signals: readonly AbortSignal[]): Context {
  return { ...withSignal(context, ...signals), wait: (something) => deadline.wait(something) }
}
