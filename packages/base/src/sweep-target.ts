import type { BaseConfig, BufferPool, Context, DestinationDriver, ReadStream, RecordBatch, Run } from '@nebula/core'
import type { ErrorCode, SourceDriver, StreamPlan } from '@nebula/core'
import { NebulaError, toNebulaError } from '@nebula/core'
import { Managed } from './lifecycle.ts'
import type { Policies } from './policies.ts'
import { throwIfAborted } from './timeout.ts'
import type { TaskLimits } from './watched-ends.ts'
import { WatchedEnds } from './watched-ends.ts'

/** Takes batches of keys as the source has them to what is at the target. */
interface Shaper {
  apply(batch: RecordBatch): RecordBatch
  free(): void
}

export interface SweepInput {
  readonly run: Run
  /** The stream with its key columns alone: as it is read, and as it is at the target. */
  readonly read: ReadStream
  readonly plan: StreamPlan
  /** Undefined: keys are at the target as they are read. */
  readonly shaper: ((pool: BufferPool) => Shaper) | undefined
  /**
   * Constructs a driver to read the keys with: planning them ends the snapshot of a driver by which other streams are
   * still read.
   */
  readonly source: () => SourceDriver
  readonly destination: DestinationDriver
  /** Of the source. */
  readonly config: BaseConfig
  readonly limits: TaskLimits
  readonly policies: Policies
  /** Told before it is tried again, with the end that failed. */
  readonly onRetry: (end: 'source' | 'destination', code: ErrorCode) => void
}

/** Both fire together; memory is the sweep's own. */
interface Contexts {
  readonly source: Context
  readonly destination: Context
}

/** As much as there is: nothing of it is committed before all of it is read. */
const WHOLE = Number.MAX_SAFE_INTEGER
/** Batches, columns and output that exist at once, in batches. */
const BATCHES_AT_ONCE = 8

/**
 * Deletes the rows of a stream's target whose key the source has no longer; returns how many. The source is asked anew
 * for all keys; what of it fails and may pass is done again from the beginning. Throws `deletes_refused`, having deleted
 * nothing, when a row cannot be read: nobody knows its key.
 */
export async function sweepTarget(input: SweepInput, contexts: Contexts): Promise<number> {
  const { clock, logger, signal } = contexts.destination
  for (let retries = 0; ; retries++) {
    const attempt = new SweepAttempt(input, contexts)
    try {
      return await attempt.run()
    } catch (error) {
      const delayMs = input.policies[attempt.failed].retry.delayMs(error, retries)
      if (delayMs === undefined) throw error
      const { code } = toNebulaError(error)
      input.onRetry(attempt.failed, code)
      logger.warn('looking for deleted rows is tried again', { stream: input.plan.request.stream, code })
      await clock.sleep(delayMs, signal)
    }
  }
}

class SweepAttempt {
  readonly #input: SweepInput
  readonly #contexts: Contexts
  readonly #ends: WatchedEnds
  /** The end that failed, and why reading did. */
  failed: 'source' | 'destination' = 'destination'
  #reading: { readonly error: unknown } | undefined
  #complete = false

  constructor(input: SweepInput, contexts: Contexts) {
    this.#input = input
    this.#contexts = contexts
    this.#ends = new WatchedEnds(contexts, input.limits)
  }

  async run(): Promise<number> {
    const { destination, run, plan } = this.#input
    try {
      const deleted = await destination.sweep?.(run, plan, this.#keys(), this.#ends.destination)
      if (deleted !== undefined && this.#complete) return deleted
      throw new NebulaError('internal', { message: 'Rows were deleted before all keys of the source were known.' })
    } catch (error) {
      if (this.#ends.late) this.failed = this.#ends.late.end
      throw this.#ends.late?.error ?? this.#reading?.error ?? error
    } finally {
      this.#ends.close()
    }
  }

  /** All keys of the source. What the destination makes of an error of theirs, that error is the one to tell. */
  async *#keys(): AsyncGenerator<RecordBatch> {
    const { read, shaper, source } = this.#input
    const { source: context } = this.#ends
    const shape = shaper?.(context.pool)
    const reader = new Managed('the source', source())
    try {
      const driver = await reader.open(this.#contexts.source)
      for await (const batch of this.#batches(driver, read)) {
        const shaped = shape ? shape.apply(batch) : batch
        try {
          refuseUnknown(shaped, batch.overflowed)
          yield shaped
        } finally {
          if (shape) shaped.release()
        }
      }
      this.#complete = true
    } catch (error) {
      this.#reading = { error }
      if (!context.signal.aborted) this.failed = 'source'
      throw error
    } finally {
      shape?.free()
      await reader.close().catch((error: unknown) => {
        context.logger.warn('a connector could not be closed', { error: toNebulaError(error).message })
      })
    }
  }

  /** The batches of all partitions, one after the other. */
  async *#batches(driver: SourceDriver, stream: ReadStream): AsyncGenerator<RecordBatch> {
    const { source: context } = this.#ends
    const { stream: name } = stream.request
    const plan = await driver.plan?.([stream], WHOLE, undefined, context)
    const snapshot = plan?.snapshot === undefined ? {} : { snapshot: plan.snapshot }
    for (const partition of plan?.partitions ?? [{ id: name, stream: name, range: null }]) {
      const task = { partition, stream, batch: this.#limits, ...snapshot }
      const batches = this.#ends.batches(() => driver.read(task, context))
      try {
        for (let batch = await batches.next(); batch; batch = await batches.next()) yield* this.#paced(batch)
      } finally {
        await batches.leave()
      }
      // A driver that was told to stop may only have ended.
      throwIfAborted(context.signal)
    }
  }

  async *#paced(batch: RecordBatch): AsyncGenerator<RecordBatch> {
    const { policies } = this.#input
    const { signal } = this.#ends.source
    try {
      for (const { rate } of [policies.source, policies.destination]) {
        const paced = rate.take(batch.rows, batch.byteLength, signal)
        if (paced) await paced
      }
      yield batch
    } finally {
      batch.release()
    }
  }

  get #limits(): { rows: number; bytes: number; delayMs: number } {
    const { batchSize, batchBytes, flushInterval } = this.#input.config.performance
    const bytes = Math.min(batchBytes, this.#contexts.source.pool.limit / BATCHES_AT_ONCE)
    return { rows: batchSize, bytes, delayMs: flushInterval }
  }
}

/** A row whose key is not known may be any: as long as there is one, no other can be told to be gone. */
function refuseUnknown({ rejected: [first], stream }: RecordBatch, overflowed = 0): void {
  if (!first && overflowed === 0) return
  const why = first ? `${first.place}: ${first.reason.replace(/\.$/, '')}` : 'A key is of another type than its column'
  throw new NebulaError('deletes_refused', {
    message: `${why}. So nobody knows which rows the source has no longer, and none was deleted.`,
    fix: 'Correct the row at the source, or leave it out by where, and run again; or write deletes: ignore.',
    stream,
    ...(first && { place: first.place }),
  })
}

/** For destinations: a sweep would empty a target, which is more likely a fault at the source than what was meant. */
export function nothingLeft(target: string): NebulaError {
  return new NebulaError('deletes_refused', {
    message: `No row of ${target} was deleted: the source has none of its keys, so the target would be empty.`,
  })
}
