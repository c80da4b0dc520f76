import type { Recorder, RunState, Trace } from '@nebula/base'
import { createRecorder, createTrace, ProgressKeeper, silentLogger } from '@nebula/base'
import { silentRecorder, systemClock, untraced } from '@nebula/base'
import { toNebulaError } from '@nebula/core'
import type { Pipeline } from './pipeline.ts'
import type { RunEvent, RunOptions } from './run.ts'
import { stateFile } from './state.ts'

/** What watches a run: metrics, spans, samples, and the progress file that others read. */
export interface Observer {
  readonly recorder: Recorder
  readonly trace: Trace
  readonly progress: ProgressKeeper
  /** Sees every event of the run before the program that runs it. */
  readonly onEvent: (event: RunEvent) => void
  /** Ends the progress of a run that could not begin, or broke off. */
  failed(thrown: unknown): Promise<void>
}

/** Begins to watch, as `observability` of the source asks for. */
export async function createObserver(pipeline: Pipeline, options: RunOptions): Promise<Observer> {
  const { metrics, tracing, metricsInterval: intervalMs } = pipeline.source.config.observability
  const recorder = metrics ? await createRecorder(pipeline.name) : silentRecorder
  const { logger = silentLogger, clock = systemClock } = options
  const path = stateFile(pipeline, 'progress.json')
  const progress = new ProgressKeeper({ path, pipeline: pipeline.name, intervalMs, clock, logger })
  await progress.begin()
  return {
    recorder,
    progress,
    trace: tracing ? await createTrace() : untraced,
    onEvent(event) {
      if (event.kind === 'planned') {
        const { run, agreed, finished } = event.prepared
        const streams = agreed.map(({ request }) => request.stream)
        progress.follow({ run: run.id, streams, finishedBefore: finished, look: event.progress })
      }
      if (event.kind === 'stream') progress.streamEnded(event.progress.stream, event.status)
      options.onEvent?.(event)
    },
    async failed(thrown) {
      const { code } = toNebulaError(thrown)
      const status: RunState = code === 'aborted' ? 'interrupted' : 'failed'
      recorder.failed(code)
      await progress.end(status, thrown)
    },
  }
}
