import type { Health, Recorder, Side, Stopping, StreamProgress } from '@nebula/base'
import { createContext, HealthMonitor, Managed, maxMemoryOf, memoryLimits } from '@nebula/base'
import { stopping, takeLock, taskMemory, writeDurably } from '@nebula/base'
import type { Clock, Context, Logger } from '@nebula/core'
import { BufferPool, toNebulaError } from '@nebula/core'
import { DeadLetters } from './dead-letters.ts'
import { destinationDriver, sourceDriver } from './drivers.ts'
import type { Observer } from './observer.ts'
import { createObserver } from './observer.ts'
import type { Endpoint, Pipeline } from './pipeline.ts'
import type { Drivers, PreparedRun } from './prepare-run.ts'
import { prepareRun } from './prepare-run.ts'
import type { Report } from './report.ts'
import { createReport } from './report.ts'
import { Scheduler } from './scheduler.ts'
import { recordSchemas } from './schema-record.ts'
import { LocalState, stateFile } from './state.ts'

export interface RunOptions {
  /** Stops the run: what is committed stays, and the same pipeline goes on from there. */
  readonly signal?: AbortSignal
  /**
   * Ends the run gently: nothing new begins, and tasks under way have ten seconds to reach their next commit. The report
   * says `interrupted`, unless nothing was left to do.
   */
  readonly drain?: AbortSignal
  /** Called when the run is planned, and then whenever `progress` should be looked at again. */
  readonly onEvent?: (event: RunEvent) => void
  readonly logger?: Logger
  readonly clock?: Clock
}

export type RunEvent =
  | { readonly kind: 'planned'; readonly prepared: PreparedRun; readonly progress: () => StreamProgress[] }
  | { readonly kind: 'stream'; readonly progress: StreamProgress; readonly status: 'done' | 'failed' | 'interrupted' }
  /** Where `reliability.healthCheck` is enabled: after every check of an end. */
  | { readonly kind: 'health'; readonly end: 'source' | 'destination'; readonly health: Health }
  /** Told before the run is marked as ended: killed before this was shown, it is an interrupted run and not a new one. */
  | { readonly kind: 'report'; readonly report: Report }

/**
 * Runs a pipeline to its end, or goes on with an interrupted run of it. Throws what stops it before the first row;
 * later failures are in the report.
 */
export async function runPipeline(pipeline: Pipeline, options: RunOptions = {}): Promise<Report> {
  const startedAt = Date.now()
  const cpu = process.cpuUsage()
  const release = await takeLock(stateFile(pipeline, 'lock'))
  using stop = stopping(options)
  try {
    const observer = await createObserver(pipeline, options)
    try {
      const report = await observer.trace('run', { pipeline: pipeline.name }, async () => {
        const { signal } = stop
        const open = await openPipeline(pipeline, { ...options, signal, recorder: observer.recorder })
        const monitors = (['source', 'destination'] as const).map((end) => {
          return monitor(end, pipeline, open, observer.onEvent)
        })
        try {
          return await runOpen(pipeline, { startedAt, cpu, observer, stop, drain: options.drain }, open)
        } finally {
          await Promise.all(monitors.map((health) => health.stop()))
          await open.close()
        }
      })
      await observer.progress.end(report.status)
      return report
    } catch (error) {
      await observer.failed(error)
      throw error
    }
  } finally {
    await release()
  }
}

/** Both ends of a pipeline, connected. */
export interface OpenPipeline {
  readonly drivers: Drivers
  readonly contexts: { readonly source: Context; readonly destination: Context }
  close(): Promise<void>
}

/** Asks one end during the run whether it answers, where that is configured. */
function monitor(
  end: 'source' | 'destination',
  pipeline: Pipeline,
  { drivers, contexts }: OpenPipeline,
  onEvent: RunOptions['onEvent'],
): HealthMonitor {
  const health = new HealthMonitor({
    driver: drivers[end],
    config: pipeline[end].config.reliability.healthCheck,
    context: contexts[end],
    onCheck: (found) => onEvent?.({ kind: 'health', end, health: found }),
  })
  health.start()
  return health
}

/** Constructs and opens both drivers; closes both when one cannot be opened. The caller closes what it was given. */
export async function openPipeline(
  pipeline: Pipeline,
  options: RunOptions & { readonly recorder?: Recorder },
): Promise<OpenPipeline> {
  const { source, destination } = pipeline
  const signal = options.signal ?? new AbortController().signal
  const { logger, clock, recorder } = options
  const limit = maxMemoryOf(pipeline)
  // Tasks have pools of their own; this is for what comes before them.
  const pool = limit === undefined ? {} : { pool: new BufferPool(limit / 16) }
  const shared = { signal, ...pool, ...(logger ? { logger } : {}), ...(clock ? { clock } : {}) }
  const contextOf = (side: Side, { connector, config }: Endpoint): Context =>
    createContext({
      ...shared,
      config,
      name: connector.name,
      onRetry: ({ code }) => recorder?.retried(side, code),
      onBreaker: (state) => recorder?.breaker(side, state),
    })
  const contexts = { source: contextOf('source', source), destination: contextOf('destination', destination) }
  const managed = {
    source: new Managed(source.connector.name, sourceDriver(source)),
    destination: new Managed(destination.connector.name, destinationDriver(destination)),
  }
  const close = async (): Promise<void> => {
    const closed = await Promise.allSettled([managed.source.close(), managed.destination.close()])
    for (const result of closed) {
      if (result.status === 'rejected') {
        contexts.source.logger.warn('a connector could not be closed', { error: toNebulaError(result.reason).message })
      }
    }
  }
  const opened = await Promise.allSettled([
    managed.source.open(contexts.source).catch((error: unknown) => {
      throw toNebulaError(error).at({ connector: source.connector.name })
    }),
    managed.destination.open(contexts.destination).catch((error: unknown) => {
      throw toNebulaError(error).at({ connector: destination.connector.name })
    }),
  ])
  const failed = opened.find((result) => result.status === 'rejected')
  if (failed) {
    await close()
    throw failed.reason
  }
  return { drivers: { source: managed.source.driver, destination: managed.destination.driver }, contexts, close }
}

/** What a run has before its ends are open. */
interface Begun {
  readonly startedAt: number
  readonly cpu: NodeJS.CpuUsage
  readonly observer: Observer
  readonly stop: Stopping
  readonly drain: AbortSignal | undefined
}

async function runOpen(pipeline: Pipeline, began: Begun, { drivers, contexts }: OpenPipeline): Promise<Report> {
  const state = drivers.destination.recall ? undefined : new LocalState(pipeline.stateFolder, pipeline.name)
  const recalled = await (state ? state.recall() : drivers.destination.recall?.(pipeline.name, contexts.destination))
  const { observer, drain } = began
  const prepared = await observer.trace('plan', {}, () => prepareRun(pipeline, drivers, recalled, contexts))
  for (const { pool } of [contexts.source, contexts.destination]) pool.trim()
  // Whether there is room for it is asked before anything is written.
  const memory = taskMemory(memoryLimits(pipeline))
  const { run } = prepared
  await state?.prepare(run)
  await drivers.destination.prepare(run, contexts.destination)
  await recordSchemas(pipeline, prepared)
  const deadLetters = await resumedLetters(pipeline, prepared)
  const scheduler = new Scheduler({
    pipeline,
    prepared,
    drivers,
    contexts,
    state,
    deadLetters,
    memory,
    drain,
    onEvent: observer.onEvent,
    observer,
  })
  began.stop.begin()
  const outcomes = await scheduler.run()
  const report = createReport(
    {
      pipeline: pipeline.name,
      run: run.id,
      resumed: prepared.resumed,
      restarted: prepared.restarted,
      startedAt: began.startedAt,
      endedAt: Date.now(),
      cpu: process.cpuUsage(began.cpu),
      history: await observer.progress.finalHistory(),
      deadLetters: (await deadLetters.any()) ? deadLetters.folder : undefined,
    },
    outcomes,
  )
  await writeDurably(stateFile(pipeline, 'report.json'), JSON.stringify(report, null, 2))
  observer.onEvent({ kind: 'report', report })
  if (outcomes.every(({ over }) => over)) {
    await state?.end()
    await drivers.destination.end?.(run, contexts.destination)
  }
  return report
}

/** The dead letters of the run, without those of commits that never came or that are undone. */
async function resumedLetters(pipeline: Pipeline, prepared: PreparedRun): Promise<DeadLetters> {
  const { run, checkpoints, finished } = prepared
  const deadLetters = new DeadLetters(pipeline.stateFolder, pipeline.name, run.id)
  if (!prepared.resumed) return deadLetters
  const kept = Map.groupBy(run.plan.partitions, ({ stream }) => stream)
  for (const { request } of run.streams) {
    if (finished.has(request.stream)) continue
    const partitions = kept.get(request.stream) ?? []
    await deadLetters.keepOnly(
      request.stream,
      partitions.flatMap(({ id }) => checkpoints.get(id) ?? []),
    )
  }
  return deadLetters
}
