import type { Policies, StreamMeter, TaskLimits, TimedBatches, Trace } from '@nebula/base'
import {
  addCounts as add,
  ByteQueue,
  monotonicMs,
  NO_COUNTS as NOTHING,
  throwIfAborted,
  WatchedEnds,
  writeIsolated,
} from '@nebula/base'
import type {
  BatchLimits,
  Checkpoint,
  Context,
  Counts,
  DestinationDriver,
  Partition,
  ReadStream,
  RecordBatch,
  Rejection,
  Run,
  SourceDriver,
  StreamPlan,
  Writer,
} from '@nebula/core'
import { HighestValue, isNebulaError, NebulaError, toNebulaError } from '@nebula/core'
import type { StreamTransform } from '@nebula/transforms'
import { changesNothing, loadTransform, Transformer } from '@nebula/transforms'
import type { DeadLetter, DeadLetters } from './dead-letters.ts'
import { deadLetter } from './dead-letters.ts'
import type { LocalState } from './state.ts'

/** A partition as a task. JSON: a task may run anywhere. */
export interface Task {
  readonly run: Run
  readonly partition: Partition
  readonly read: ReadStream
  readonly write: StreamPlan
  readonly transform: StreamTransform
  readonly order: number
  readonly partitions: number
  readonly batch: BatchLimits
  readonly maxErrors: number
  /** Behind a position, a partition that cannot be cut is committed every so many bytes. */
  readonly commitBytes: number
  /** ... or milliseconds. */
  readonly commitMs: number
  /** Bytes that may wait for the writer before reading stops; 0: nothing is read ahead of it. */
  readonly bufferBytes: number
  readonly limits: TaskLimits
}

/** What a task works with, where it runs. */
export interface TaskPorts {
  readonly source: SourceDriver
  readonly destination: DestinationDriver
  /** Only for destinations that do not keep the run themselves. */
  readonly state: LocalState | undefined
  readonly deadLetters: DeadLetters
  readonly meter: StreamMeter
  readonly policies: Policies
  readonly trace: Trace
  /** Fires: the task ends at its next commit, and throws `aborted` behind it where the partition is not done. */
  readonly drain?: AbortSignal | undefined
}

/** Both fire together; memory is the task's own. */
export interface TaskContexts {
  readonly source: Context
  readonly destination: Context
}

/**
 * Moves one partition, and commits it; goes on behind `last`. When the destination refuses a row too late to say which,
 * everything since the last commit runs again in isolating mode; when a system fails with what may pass, it runs again
 * after a wait. Returns the last checkpoint of the partition.
 */
export async function runTask(
  task: Task,
  last: Checkpoint | undefined,
  ports: TaskPorts,
  contexts: TaskContexts,
): Promise<Checkpoint | undefined> {
  const attempt = new Attempt(task, ports, last)
  const { clock, logger, signal } = contexts.destination
  let isolate = false
  for (let retries = 0; ;) {
    const before = attempt.last
    try {
      await attempt.run(contexts, isolate)
      return attempt.last
    } catch (error) {
      if (await attempt.settle(error, contexts.destination)) {
        if (attempt.last?.done === true) return attempt.last
        continue
      }
      if (isNebulaError(error, 'row_rejected') && !attempt.overBudget && !isolate) {
        isolate = true
        continue
      }
      if (attempt.last !== before) retries = 0
      const delayMs = ports.policies[attempt.failed].retry.delayMs(error, retries++)
      if (delayMs === undefined) throw error
      const { code } = toNebulaError(error)
      ports.meter.retried(attempt.failed, code)
      logger.warn('a task is tried again', { partition: task.partition.id, code, delayMs: Math.round(delayMs) })
      await clock.sleep(delayMs, signal)
    }
  }
}

interface Held {
  readonly batch: RecordBatch
  readonly bytes: number
}

/** What a batch passes on its way. */
interface Path {
  readonly writer: Writer
  readonly transformer: Transformer | undefined
  readonly isolate: boolean
  /** Of the destination. */
  readonly context: Context
}

class Attempt {
  readonly #task: Task
  readonly #ports: TaskPorts
  /** The last commit that is known to have taken place. */
  last: Checkpoint | undefined
  /** The commit whose answer is awaited. */
  #pending: Checkpoint | undefined
  #committedAt = 0
  /** The end that failed last. */
  failed: 'source' | 'destination' = 'source'
  /** Since the last commit. */
  #counts: Counts = NOTHING
  #letters: DeadLetter[] = []
  #highest: HighestValue | undefined
  /** The stream has more rejected rows than it may: running again cannot help. */
  overBudget = false

  constructor(task: Task, ports: TaskPorts, last: Checkpoint | undefined) {
    this.#task = task
    this.#ports = ports
    this.last = last
    this.#highest = HighestValue.of(task.read)
  }

  async run(contexts: TaskContexts, isolate: boolean): Promise<void> {
    const { run, partition, write: stream, order, partitions, limits, bufferBytes } = this.#task
    throwIfAborted(contexts.source.signal)
    const ends = new WatchedEnds(contexts, limits)
    const { source, destination } = ends
    const transformer = await this.#transformer(source)
    const task = { run, partition, stream, order, partitions, isolate }
    this.failed = 'destination'
    this.#committedAt = source.clock.now()
    const writer = ends.writer(await this.#ports.destination.writer(task, destination))
    const batches = this.#batches(ends)
    const queue = bufferBytes > 0 ? new ByteQueue<Held>(bufferBytes, (held) => held.bytes) : undefined
    const read = (): Promise<Held | undefined> => this.#read(batches, source)
    const reading = queue && fill(queue, read, batches)
    const path = { writer, transformer, isolate, context: destination }
    try {
      await this.#moveAll(queue ? () => this.#take(queue) : read, path)
      await reading
      await this.#commit(writer, undefined)
    } catch (error) {
      if (!queue) await batches.leave()
      ends.stopReading()
      this.#ports.meter.undone(this.#counts)
      this.#forget()
      for (const { batch } of queue?.drain() ?? []) batch.release()
      await Promise.all([reading, abortWriter(writer, error, destination)])
      if (ends.late) this.failed = ends.late.end
      throw ends.late?.error ?? error
    } finally {
      ends.close()
      transformer?.free()
    }
  }

  /**
   * After a commit that failed with what says nothing of its outcome: asks the destination, and goes on behind it when it
   * took place, or behind a later one of a runner that was overtaken. False when it did not, or when there is nobody to ask.
   */
  async settle(error: unknown, context: Context): Promise<boolean> {
    const { run, partition } = this.#task
    const { destination, meter } = this.#ports
    const pending = this.#pending
    this.#pending = undefined
    if (!pending || !destination.recall || context.signal.aborted) return false
    if (!isNebulaError(error) || !(error.retryable || error.code === 'already_committed')) return false
    const recalled = await destination.recall(run.pipeline, context)
    if (recalled?.run.id !== run.id || recalled.run.epoch !== run.epoch) return false
    const found = recalled.checkpoints.find((checkpoint) => checkpoint.partition === partition.id)
    if (!found || found.sequence < pending.sequence) return false
    meter.settled(add(found.counts, this.last?.counts ?? NOTHING, -1))
    this.last = found
    return true
  }

  async #transformer({ pool }: Context): Promise<Transformer | undefined> {
    const { transform, read, write, run, partition } = this.#task
    if (changesNothing(transform, read.schema.fields.length)) return undefined
    const code = transform.function && (await loadTransform(transform.function))
    const facts = {
      '@extracted_at': new Date(run.startedAt ?? 0).toISOString(),
      '@run_id': run.id,
      '@stream': partition.stream,
      '@partition': partition.id,
    }
    return new Transformer({ transform, readSchema: read.schema, writeSchema: write.schema, facts, code, pool })
  }

  /** What the source gives behind the last commit. */
  #batches(ends: WatchedEnds): TimedBatches {
    const { partition, read: stream, run, batch } = this.#task
    const snapshot = run.plan.snapshot === undefined ? {} : { snapshot: run.plan.snapshot }
    const from = this.last?.position === undefined ? {} : { from: this.last.position }
    const task = { partition, stream, batch, ...snapshot, ...from }
    return ends.batches(() => this.#ports.source.read(task, ends.source))
  }

  /** The source's next batch, no sooner than it may give it; undefined behind the last. */
  async #read(batches: TimedBatches, { signal }: Context): Promise<Held | undefined> {
    let batch: RecordBatch | undefined
    try {
      batch = await batches.next()
      if (!batch) return undefined
      const bytes = batch.byteLength
      const paced = this.#ports.policies.source.rate.take(batch.rows, bytes, signal)
      if (paced) await paced
      return { batch, bytes }
    } catch (error) {
      batch?.release()
      if (!signal.aborted) this.failed = 'source'
      throw error
    }
  }

  async #take(queue: ByteQueue<Held>): Promise<Held | undefined> {
    const held = await queue.next()
    const { partition, batch } = this.#task
    this.#ports.meter.recorder.buffered(partition.stream, queue.bytes / batch.bytes)
    return held
  }

  /** Moves what there is; the time spent waiting for it counts for the source. */
  async #moveAll(next: () => Promise<Held | undefined>, path: Path): Promise<void> {
    for (;;) {
      const began = monotonicMs()
      const held = await next()
      if (!held) return
      this.#ports.meter.waited('source', monotonicMs() - began)
      await this.#move(held, path)
    }
  }

  async #move({ batch, bytes }: Held, { writer, transformer, isolate, context }: Path): Promise<void> {
    const { meter, policies } = this.#ports
    const began = monotonicMs()
    try {
      throwIfAborted(context.signal)
      const paced = policies.destination.rate.take(batch.rows, bytes, context.signal)
      if (paced) await paced
      this.#highest?.observeRows(batch)
      const ready = transformer ? transformer.apply(batch) : batch
      const refused = isolate
        ? await writeIsolated(writer, ready, 0, ready.rows)
        : await writer.write(ready, 0, ready.rows)
      const rejected = [...ready.rejected, ...refused]
      const filtered = transformer?.filtered ?? 0
      this.#count({
        read: ready.rows + ready.rejected.length + filtered,
        written: ready.rows - refused.length,
        filtered,
        rejected: rejected.length,
        bytes,
        ...(batch.overflowed ? { overflowed: batch.overflowed } : {}),
      })
      await this.#keep(ready, rejected)
      if (transformer) ready.release()
    } finally {
      meter.waited('destination', monotonicMs() - began)
      batch.release()
    }
    if (batch.position === undefined) return
    const { commitBytes, commitMs } = this.#task
    const now = context.clock.now()
    const ending = this.#ports.drain?.aborted === true
    if (!ending && this.#counts.bytes < commitBytes && now - this.#committedAt < commitMs) return
    await this.#commit(writer, batch)
    this.#committedAt = now
    if (ending) throw new NebulaError('aborted', { message: 'The run ends behind this commit.' })
  }

  #count(delta: Counts): void {
    this.#counts = add(this.#counts, delta, 1)
    this.#ports.meter.moved(delta)
  }

  /** Keeps rejected rows for the commit; throws when the stream has more than it may. */
  async #keep(batch: RecordBatch, rejected: readonly Rejection[]): Promise<void> {
    const [first] = rejected
    if (!first) return
    const { maxErrors, partition, write } = this.#task
    const total = this.#ports.meter.rejected
    if (total > maxErrors) {
      this.overBudget = true
      const more = maxErrors === 0 ? '' : ` ${total} rows are rejected; max_errors allows ${maxErrors}.`
      throw new NebulaError('row_rejected', {
        message: `${first.place}: ${first.reason.replace(/\.$/, '')}.${more}`,
        stream: write.request.stream,
        partition: partition.id,
        place: first.place,
      })
    }
    for (const rejection of rejected) this.#letters.push(await deadLetter(batch, rejection))
  }

  /** Dead letters first, then the rows with their checkpoint, then the local state. */
  async #commit(writer: Writer, behind: RecordBatch | undefined): Promise<void> {
    const { partition } = this.#task
    const { deadLetters, meter, state, trace } = this.#ports
    const began = monotonicMs()
    const sequence = (this.last?.sequence ?? 0) + 1
    await deadLetters.store(this.#task.write, partition.id, sequence, this.#letters)
    const counts = add(this.last?.counts ?? NOTHING, this.#counts, 1)
    const position = behind?.position
    const done = behind === undefined
    this.#highest?.observeText(this.last?.highest)
    const highest = this.#highest?.text
    const checkpoint: Checkpoint = {
      partition: partition.id,
      sequence,
      done,
      counts,
      ...(position === undefined ? {} : { position }),
      ...(highest === undefined ? {} : { highest }),
    }
    this.#pending = checkpoint
    await trace('commit', { stream: partition.stream, rows: this.#counts.read }, () => writer.commit(checkpoint))
    this.#pending = undefined
    await state?.commit(checkpoint)
    meter.committed(this.#counts)
    meter.waited('destination', monotonicMs() - began)
    this.last = checkpoint
    this.#forget()
  }

  /** What was gathered since the last commit is in it, or undone. */
  #forget(): void {
    this.#counts = NOTHING
    this.#letters = []
    this.#highest = HighestValue.of(this.#task.read)
  }
}

/** The reason of the abort is the one to tell, whatever comes of it. */
async function abortWriter(writer: Writer, reason: unknown, { logger }: Context): Promise<void> {
  try {
    await writer.abort(reason)
  } catch (error) {
    logger.warn('a writer could not be aborted', { error: toNebulaError(error).message })
  }
}

/** Reads ahead of the writer. Never rejects: an error travels through the queue. */
async function fill(
  queue: ByteQueue<Held>,
  read: () => Promise<Held | undefined>,
  batches: TimedBatches,
): Promise<void> {
  try {
    for (let held = await read(); held; held = await read()) {
      const { batch } = held
      await queue.push(held).catch((error: unknown) => {
        batch.release()
        throw error
      })
    }
    queue.end()
  } catch (error) {
    await batches.leave()
    queue.fail(error)
  }
}
