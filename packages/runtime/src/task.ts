import { ByteQueue, throwIfAborted, withSignal } from '@nebula/base'
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
import { isNebulaError, NebulaError, toNebulaError } from '@nebula/core'
import type { DeadLetter, DeadLetters } from './dead-letters.ts'
import { deadLetter } from './dead-letters.ts'
import type { StreamMeter } from './meter.ts'
import { add, NOTHING } from './meter.ts'
import { writeIsolated } from './isolate.ts'
import type { LocalState } from './state.ts'
import type { ColumnSteps } from './transform.ts'
import { Transformer } from './transform.ts'

/** A partition as a task. JSON: a task may run anywhere. */
export interface Task {
  readonly run: Run
  readonly partition: Partition
  readonly read: ReadStream
  readonly write: StreamPlan
  /** One list per column. */
  readonly steps: readonly ColumnSteps[]
  readonly order: number
  readonly partitions: number
  readonly batch: BatchLimits
  readonly maxErrors: number
  /** Behind a position, a partition that cannot be cut is committed every so many bytes. */
  readonly commitBytes: number
}

/** What a task works with, where it runs. */
export interface TaskPorts {
  readonly source: SourceDriver
  readonly destination: DestinationDriver
  /** Only for destinations that do not keep the run themselves. */
  readonly state: LocalState | undefined
  readonly deadLetters: DeadLetters
  readonly meter: StreamMeter
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
 * everything since the last commit runs again in isolating mode.
 */
export async function runTask(
  task: Task,
  last: Checkpoint | undefined,
  ports: TaskPorts,
  contexts: TaskContexts,
): Promise<void> {
  const attempt = new Attempt(task, ports, last)
  try {
    await attempt.run(contexts, false)
  } catch (error) {
    if (!isNebulaError(error, 'row_rejected') || attempt.overBudget) throw error
    await attempt.run(contexts, true)
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
  readonly signal: AbortSignal
}

class Attempt {
  readonly #task: Task
  readonly #ports: TaskPorts
  #last: Checkpoint | undefined
  /** Since the last commit. */
  #counts: Counts = NOTHING
  #letters: DeadLetter[] = []
  /** The stream has more rejected rows than it may: running again cannot help. */
  overBudget = false

  constructor(task: Task, ports: TaskPorts, last: Checkpoint | undefined) {
    this.#task = task
    this.#ports = ports
    this.#last = last
  }

  async run({ source, destination }: TaskContexts, isolate: boolean): Promise<void> {
    const { run, partition, write: stream, order, partitions } = this.#task
    throwIfAborted(source.signal)
    const transformer = this.#transformer(source)
    const task = { run, partition, stream, order, partitions, isolate }
    const writer = await this.#ports.destination.writer(task, destination)
    const queue = new ByteQueue<Held>(this.#task.batch.bytes, (held) => held.bytes)
    const stop = new AbortController()
    const reading = this.#read(queue, withSignal(source, AbortSignal.any([source.signal, stop.signal])))
    try {
      for await (const held of this.#timed(queue)) {
        await this.#move(held, { writer, transformer, isolate, signal: source.signal })
      }
      await reading
      await this.#commit(writer, undefined)
    } catch (error) {
      stop.abort()
      this.#ports.meter.undone(this.#counts)
      this.#counts = NOTHING
      this.#letters = []
      for (const { batch } of queue.drain()) batch.release()
      await Promise.all([reading, abortWriter(writer, error, destination)])
      throw error
    } finally {
      transformer?.free()
    }
  }

  #transformer(context: Context): Transformer | undefined {
    const { steps, write } = this.#task
    return steps.some((list) => list.length > 0) ? new Transformer(write.schema, steps, context.pool) : undefined
  }

  /** Reads one batch ahead of the writer. Never rejects: an error travels through the queue. */
  async #read(queue: ByteQueue<Held>, context: Context): Promise<void> {
    const { partition, read: stream, run, batch: limits } = this.#task
    const snapshot = run.plan.snapshot === undefined ? {} : { snapshot: run.plan.snapshot }
    const from = this.#last?.position === undefined ? {} : { from: this.#last.position }
    try {
      const batches = this.#ports.source.read({ partition, stream, batch: limits, ...snapshot, ...from }, context)
      for await (const batch of batches) await pushOrRelease(queue, batch)
      queue.end()
    } catch (error) {
      queue.fail(error)
    }
  }

  /** The queue's batches, with the time spent waiting for each counted for the source. */
  async *#timed(queue: ByteQueue<Held>): AsyncIterable<Held> {
    let began = performance.now()
    for await (const held of queue) {
      this.#ports.meter.sourceMs += performance.now() - began
      yield held
      began = performance.now()
    }
  }

  async #move({ batch, bytes }: Held, { writer, transformer, isolate, signal }: Path): Promise<void> {
    const { meter } = this.#ports
    const began = performance.now()
    try {
      throwIfAborted(signal)
      const ready = transformer ? transformer.apply(batch) : batch
      const refused = isolate
        ? await writeIsolated(writer, ready, 0, ready.rows)
        : await writer.write(ready, 0, ready.rows)
      const rejected = [...ready.rejected, ...refused]
      this.#count({
        read: ready.rows + ready.rejected.length,
        written: ready.rows - refused.length,
        filtered: 0,
        rejected: rejected.length,
        bytes,
      })
      await this.#keep(ready, rejected)
      if (transformer) ready.release()
    } finally {
      meter.destinationMs += performance.now() - began
      batch.release()
    }
    const ending = this.#ports.drain?.aborted === true
    if (batch.position !== undefined && (ending || this.#counts.bytes >= this.#task.commitBytes)) {
      await this.#commit(writer, batch)
      if (ending) throw new NebulaError('aborted', { message: 'The run ends behind this commit.' })
    }
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
    const { deadLetters, meter, state } = this.#ports
    const began = performance.now()
    const sequence = (this.#last?.sequence ?? 0) + 1
    await deadLetters.store(this.#task.write, partition.id, sequence, this.#letters)
    const counts = add(this.#last?.counts ?? NOTHING, this.#counts, 1)
    const position = behind?.position
    const done = behind === undefined
    const checkpoint: Checkpoint = {
      partition: partition.id,
      sequence,
      done,
      counts,
      ...(position === undefined ? {} : { position }),
    }
    await writer.commit(checkpoint)
    await state?.commit(checkpoint)
    meter.committed(this.#counts)
    meter.destinationMs += performance.now() - began
    this.#last = checkpoint
    this.#counts = NOTHING
    this.#letters = []
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

async function pushOrRelease(queue: ByteQueue<Held>, batch: RecordBatch): Promise<void> {
  try {
    await queue.push({ batch, bytes: batch.byteLength })
  } catch (error) {
    batch.release()
    throw error
  }
}
