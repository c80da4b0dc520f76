import type { Policies, TaskMemory } from '@nebula/base'
import { createPolicies, StreamMeter, sweepTarget, taskLimits, withSignal } from '@nebula/base'
import type { Checkpoint, Context, CursorMarks, NebulaError, Partition, Run, StreamPlan } from '@nebula/core'
import { BufferPool, HighestValue, isNebulaError, toNebulaError } from '@nebula/core'
import { createShaper } from '@nebula/transforms'
import type { DeadLetters } from './dead-letters.ts'
import type { Observer } from './observer.ts'
import type { Pipeline } from './pipeline.ts'
import type { AgreedStream } from './plan-stream.ts'
import type { Drivers, PreparedRun } from './prepare-run.ts'
import { discardStreams } from './discard.ts'
import { sourceDriver } from './drivers.ts'
import { readStream } from './prepare-run.ts'
import type { StreamOutcome, StreamStatus } from './report.ts'
import type { RunEvent } from './run.ts'
import type { LocalState } from './state.ts'
import type { Task, TaskContexts } from './task.ts'
import { runTask } from './task.ts'

export interface SchedulerInput {
  readonly pipeline: Pipeline
  readonly prepared: PreparedRun
  readonly drivers: Drivers
  readonly contexts: { readonly source: Context; readonly destination: Context }
  readonly state: LocalState | undefined
  readonly deadLetters: DeadLetters
  readonly memory: TaskMemory
  /** Fires: no task begins any more, and those under way end at their next commit. */
  readonly drain?: AbortSignal | undefined
  readonly onEvent: ((event: RunEvent) => void) | undefined
  readonly observer: Observer
}

/** One stream while it runs. */
interface Lane {
  readonly agreed: AgreedStream
  readonly plan: StreamPlan
  readonly meter: StreamMeter
  readonly resumed: number
  /** Stops the tasks of this stream, whose contexts it is in. */
  readonly stop: AbortController
  readonly contexts: TaskContexts
  readonly partitions: readonly Partition[]
  /** Of its cursor, where it has one. */
  readonly highest: HighestValue | undefined
  left: number
  /** Its rows are in the target. */
  arrived: boolean
  /** Rows that were deleted there. */
  deleted: number | undefined
  status: StreamStatus | undefined
  error: NebulaError | undefined
}

/** Bytes behind which a partition that cannot be cut is committed, where the destination asks for nothing else. */
const COMMIT_BYTES = 16_000_000
/** Batches, columns and output of a task that exist at once, in batches. */
const BATCHES_PER_TASK = 8

/** Runs partition tasks, N at once and in order, and moves each stream into its target when its last one is in. */
export class Scheduler {
  readonly #input: SchedulerInput
  readonly #lanes: Lane[]
  readonly #policies: Policies
  /** How far the streams are that are about to be finished, or are. */
  #next: CursorMarks = {}
  readonly #queue: { lane: Lane; partition: Partition; order: number }[]

  constructor(input: SchedulerInput) {
    this.#input = input
    const { run, agreed } = input.prepared
    const { source, destination } = input.pipeline
    const { clock } = input.contexts.source
    this.#policies = createPolicies(source.config, destination.config, clock)
    this.#lanes = agreed.map((stream, i) => createLane(input, stream, run.streams[i] as StreamPlan))
    this.#queue = this.#lanes.flatMap((lane) =>
      lane.partitions
        .map((partition, order) => ({ lane, partition, order }))
        .filter(({ partition }) => input.prepared.checkpoints.get(partition.id)?.done !== true),
    )
  }

  async run(): Promise<StreamOutcome[]> {
    const { onEvent, prepared } = this.#input
    onEvent?.({ kind: 'planned', prepared, progress: () => this.#lanes.map((lane) => lane.meter.progress) })
    const { tasks, poolBytes } = this.#input.memory
    const atOnce = Math.min(tasks, prepared.run.plan.tasks ?? tasks)
    for (const lane of this.#lanes)
      if (lane.left === 0 && !lane.status) await this.#finish(lane, new BufferPool(poolBytes))
    await Promise.all(Array.from({ length: atOnce }, () => this.#work(poolBytes)))
    for (const lane of this.#lanes)
      if (lane.status === 'failed' && isOver(lane) && !lane.arrived) await this.#discard(lane)
    return this.#lanes.map((lane) => {
      const { agreed, meter, plan, status = 'interrupted', resumed, error, deleted } = lane
      const facts = { mode: plan.request.mode, lossy: lossyColumns(agreed), over: lane.arrived && isOver(lane) }
      return { meter, status, resumed, error, deleted, ...facts }
    })
  }

  async #work(poolBytes: number): Promise<void> {
    const { observer, drain } = this.#input
    const pool = new BufferPool(poolBytes)
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      const { lane, partition, order } = next
      if (drain?.aborted) break
      if (lane.status) continue
      const source = { ...lane.contexts.source, pool }
      const destination = { ...lane.contexts.destination, pool }
      try {
        const last = await this.#task(lane, partition, order, { source, destination })
        lane.highest?.observeText(last?.highest)
        lane.meter.partitionsDone++
        lane.left--
        if (lane.left === 0) await this.#finish(lane, pool)
      } catch (error) {
        if (!isDrained(error, source.signal, drain)) await this.#fail(lane, error, partition)
      }
    }
    observer.recorder.pool(pool.statistics.hits, pool.statistics.misses)
  }

  #task(lane: Lane, partition: Partition, order: number, contexts: TaskContexts): Promise<Checkpoint | undefined> {
    const { pipeline, prepared, drivers, state, deadLetters, observer } = this.#input
    const { performance, reliability } = pipeline.source.config
    const batchBytes = Math.min(performance.batchBytes, contexts.source.pool.limit / BATCHES_PER_TASK)
    const task: Task = {
      run: prepared.run,
      partition,
      read: readStream(lane.agreed),
      write: lane.plan,
      transform: lane.agreed.transform,
      order,
      partitions: lane.partitions.length,
      batch: {
        rows: performance.batchSize,
        bytes: batchBytes,
        delayMs: performance.flushInterval,
      },
      maxErrors: lane.agreed.options.maxErrors ?? reliability.maxErrors,
      commitBytes: lane.plan.accepted.partitionBytes ?? COMMIT_BYTES,
      commitMs: performance.checkpointInterval,
      bufferBytes: performance.bufferBytes,
      limits: taskLimits(pipeline.source.config, pipeline.destination.config),
    }
    const last: Checkpoint | undefined = prepared.checkpoints.get(partition.id)
    const { drain } = this.#input
    const { trace } = observer
    const ports = { ...drivers, state, deadLetters, meter: lane.meter, policies: this.#policies, trace, drain }
    const attributes = { stream: partition.stream, partition: partition.id }
    return trace('task', attributes, () => runTask(task, last, ports, contexts))
  }

  /** Of a stream that arrived before, deleted rows are looked for again: nobody knows how far that came. */
  async #finish(lane: Lane, pool: BufferPool): Promise<void> {
    const { onEvent, drain } = this.#input
    const status = lane.arrived ? 'finished_before' : 'done'
    try {
      if (!lane.arrived) await this.#move(lane)
      const { keys } = lane.agreed
      if (keys && drain?.aborted) return
      if (keys) await this.#sweep(lane, keys, pool)
      lane.status = status
      onEvent?.({ kind: 'stream', progress: lane.meter.progress, status: 'done' })
    } catch (error) {
      await this.#fail(lane, error, undefined)
    }
  }

  async #move(lane: Lane): Promise<void> {
    const { drivers, contexts, state } = this.#input
    const { stream } = lane.plan.request
    lane.meter.requireBalance()
    const run = this.#reached(lane)
    await drivers.destination.finish?.(run, [stream], contexts.destination)
    await state?.finish([stream], this.#next)
    lane.arrived = true
  }

  async #sweep(lane: Lane, keys: AgreedStream, pool: BufferPool): Promise<void> {
    const { pipeline, prepared, drivers } = this.#input
    const { config } = pipeline.source
    const { source, destination } = lane.contexts
    const request = { ...keys.request, key: keys.targetKey }
    const input = {
      run: prepared.run,
      read: readStream(keys),
      plan: { ...lane.plan, request, schema: keys.writeSchema, accepted: keys.accepted },
      shaper: await createShaper(keys),
      source: () => sourceDriver(pipeline.source),
      destination: drivers.destination,
      config,
      limits: taskLimits(config, pipeline.destination.config),
      policies: this.#policies,
      onRetry: lane.meter.retried.bind(lane.meter),
    }
    lane.deleted = await sweepTarget(input, { source: { ...source, pool }, destination: { ...destination, pool } })
  }

  /** The run, in which is noted how far an incremental stream came: it counts once the stream is finished. */
  #reached({ agreed: { request, target, basis }, highest }: Lane): Run {
    const { run } = this.#input.prepared
    const { stream, cursor: column } = request
    const value = highest?.text
    // Without a row that is new it is where it was.
    const mark = column === undefined || value === undefined ? run.from?.[stream] : { column, target, value, basis }
    if (column !== undefined && mark) this.#next = { ...this.#next, [stream]: mark }
    return { ...run, next: this.#next }
  }

  /** The first failure of a stream is the one that counts; its other tasks end because of it. */
  async #fail(lane: Lane, thrown: unknown, partition: Partition | undefined): Promise<void> {
    if (lane.status) return
    const { pipeline, contexts, onEvent } = this.#input
    const { stream } = lane.plan.request
    // Whatever a driver throws once it was told to stop is only how it stopped.
    const interrupted = contexts.source.signal.aborted || lane.stop.signal.aborted
    lane.status = interrupted ? 'interrupted' : 'failed'
    lane.error = toNebulaError(thrown).at({ stream, ...(partition ? { partition: partition.id } : {}) })
    if (!interrupted) this.#input.observer.recorder.failed(lane.error.code)
    lane.stop.abort()
    if (!interrupted && stopsOthers(pipeline)) for (const other of this.#lanes) other.stop.abort()
    onEvent?.({ kind: 'stream', progress: lane.meter.progress, status: lane.status })
  }

  /** What no rerun could use is taken away at once: the target is as it was before. */
  async #discard(lane: Lane): Promise<void> {
    const { prepared, contexts } = this.#input
    try {
      await discardStreams(this.#input, prepared.run, [lane.plan.request.stream], contexts.destination)
    } catch (error) {
      contexts.destination.logger.warn('staging could not be discarded', { error: toNebulaError(error).message })
    }
  }
}

/** Nothing is left to be done, or nothing that could be. */
function isOver({ status, error }: Lane): boolean {
  return status !== undefined && status !== 'interrupted' && !(error && resumable(error))
}

/**
 * A run that failed for its data begins again after the data is mended; every other failure goes on where it stopped.
 * What a newer run took over is not touched.
 */
function resumable(error: NebulaError): boolean {
  if (error.code === 'fenced' || error.code === 'already_committed') return true
  return error.exitCode !== 4 && error.exitCode !== 2
}

/** A task that ended at a commit because the run is to end: its stream goes on in the next run. */
function isDrained(error: unknown, signal: AbortSignal, drain: AbortSignal | undefined): boolean {
  return drain?.aborted === true && !signal.aborted && isNebulaError(error, 'aborted')
}

function stopsOthers({ onStreamError, source, destination }: Pipeline): boolean {
  return onStreamError === 'stop' || [source, destination].some(({ config }) => config.reliability.failFast)
}

/** What was lost with the pipeline's consent: without it there would be no run. */
function lossyColumns({ request, accepted }: AgreedStream): StreamOutcome['lossy'] {
  return accepted.columns.flatMap(({ fidelity, why = 'it loses something' }, i) =>
    fidelity === 'lossy' ? [{ column: request.columns[i] ?? '', why }] : [],
  )
}

function createLane(
  { pipeline, prepared, observer, contexts }: SchedulerInput,
  agreed: AgreedStream,
  plan: StreamPlan,
): Lane {
  const { stream } = plan.request
  const partitions = prepared.run.plan.partitions.filter((partition) => partition.stream === stream)
  const estimated = prepared.catalog.streams.find((info) => info.name === stream)?.rows
  const meter = new StreamMeter(stream, plan.target, partitions.length, estimated)
  meter.recorder = observer.recorder
  if (pipeline.source.config.advanced.debug) meter.logger = contexts.source.logger
  const checkpoints = partitions.flatMap(({ id }) => prepared.checkpoints.get(id) ?? [])
  for (const { counts } of checkpoints) meter.resumed(counts)
  const done = checkpoints.filter((checkpoint) => checkpoint.done).length
  meter.partitionsDone = done
  const stop = new AbortController()
  const arrived = prepared.finished.has(stream)
  const highest = HighestValue.of(readStream(agreed))
  for (const checkpoint of checkpoints) highest?.observeText(checkpoint.highest)
  return {
    agreed,
    plan,
    highest,
    meter,
    resumed: meter.counts.read,
    stop,
    contexts: {
      source: withSignal(contexts.source, stop.signal),
      destination: withSignal(contexts.destination, stop.signal),
    },
    partitions,
    left: partitions.length - done,
    arrived,
    deleted: undefined,
    status: arrived && !agreed.keys ? 'finished_before' : undefined,
    error: undefined,
  }
}
