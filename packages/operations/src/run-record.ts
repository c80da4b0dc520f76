import { createContext, Managed, lockHolder, takeLock } from '@nebula/base'
import type { Context, DestinationDriver, Recalled } from '@nebula/core'
import type { Pipeline } from '@nebula/runtime'
import { DeadLetters, destinationDriver, discardStreams, LocalState, stateFile } from '@nebula/runtime'

/** The last run of a pipeline, as its destination or the state folder keeps it, while no run is under way. */
export class RunRecord implements AsyncDisposable {
  readonly #pipeline: Pipeline
  readonly #managed: Managed<DestinationDriver>
  readonly #context: Context

  private constructor(pipeline: Pipeline, managed: Managed<DestinationDriver>, context: Context) {
    this.#pipeline = pipeline
    this.#managed = managed
    this.#context = context
  }

  /** Opens the destination of a pipeline; its source is not needed. Close it, or let `await using` do so. */
  static async open(pipeline: Pipeline, stop?: AbortSignal): Promise<RunRecord> {
    const { connector, config } = pipeline.destination
    const signal = stop ?? new AbortController().signal
    const managed = new Managed(connector.name, destinationDriver(pipeline.destination))
    const context = createContext({ signal, config, name: connector.name })
    await managed.open(context)
    return new RunRecord(pipeline, managed, context)
  }

  /** What a stream reached can be taken away. */
  get discards(): boolean {
    return this.#managed.driver.discard !== undefined
  }

  /** The last run; of another name than the pipeline's where its last run was a replay. */
  async recall(name = this.#pipeline.name): Promise<Recalled | undefined> {
    const { driver } = this.#managed
    return driver.recall ? driver.recall(name, this.#context) : this.#state(name)?.recall()
  }

  /**
   * Takes away what streams of a run reached and did not bring into their targets, which stay as they are; with `end`
   * the run is over, and the next one is new.
   */
  async discard({ run }: Recalled, streams: readonly string[], end: boolean): Promise<void> {
    const { driver } = this.#managed
    const state = this.#state(run.pipeline)
    await state?.recall()
    const deadLetters = new DeadLetters(this.#pipeline.stateFolder, run.pipeline, run.id)
    await discardStreams({ drivers: { destination: driver }, state, deadLetters }, run, streams, this.#context)
    if (!end) return
    await state?.end()
    await driver.end?.(run, this.#context)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#managed.close()
  }

  #state(name: string): LocalState | undefined {
    return this.#managed.driver.recall ? undefined : new LocalState(this.#pipeline.stateFolder, name)
  }
}

/** Holds the lock of a pipeline, so that no run of it is under way. Returns the release. Throws `run_locked`. */
export function lockPipeline(pipeline: Pipeline): Promise<() => Promise<void>> {
  return takeLock(stateFile(pipeline, 'lock'))
}

/** The process that runs a pipeline now; undefined when none does. */
export function runningProcess(pipeline: Pipeline): Promise<number | undefined> {
  return lockHolder(stateFile(pipeline, 'lock'))
}
