import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock, Logger } from '@nebula/core'
import { toNebulaError } from '@nebula/core'
import type { RunHistory, RunProgress, RunState, StreamProgress, StreamState } from './progress.ts'
import { History, writeProgress } from './progress.ts'

export interface ProgressOptions {
  /** The progress file. */
  readonly path: string
  readonly pipeline: string
  readonly intervalMs: number
  readonly clock: Clock
  readonly logger: Logger
}

/** What there is to follow once a run is planned. */
export interface PlannedProgress {
  readonly run: string
  /** In the order in which `look` tells of them. */
  readonly streams: readonly string[]
  readonly finishedBefore: Iterable<string>
  readonly look: () => readonly StreamProgress[]
}

/** Samples a run at every interval and writes its progress file, from its begin to its end. */
export class ProgressKeeper {
  readonly #options: ProgressOptions
  readonly #stop = new AbortController()
  readonly #ended = new Map<string, StreamState>()
  #progress: RunProgress
  #history = new History([])
  #look: PlannedProgress['look'] = () => []
  #sampling = Promise.resolve()
  #warned = false

  constructor(options: ProgressOptions) {
    const { pipeline, intervalMs, clock } = options
    this.#options = options
    const [startedAt, history] = [clock.now(), this.#history.total]
    const run: Partial<RunProgress> = { pipeline, run: undefined, status: 'planning', startedAt, intervalMs }
    this.#progress = { version: 1, pid: process.pid, updatedAt: startedAt, streams: [], history, ...run } as RunProgress
  }

  /** Writes that there is a run, in the place of what is known of the last one; makes the folder of the file. */
  async begin(): Promise<void> {
    await mkdir(dirname(this.#options.path), { recursive: true }).catch(() => {})
    await this.#write()
  }

  /** From now on there are rows to count. */
  follow({ run, streams, finishedBefore, look }: PlannedProgress): void {
    for (const stream of finishedBefore) this.#ended.set(stream, 'finished_before')
    this.#look = look
    this.#history = new History(streams)
    this.#progress = { ...this.#progress, run, status: 'running' }
    this.#sampling = this.#keepSampling()
  }

  streamEnded(stream: string, status: StreamState): void {
    this.#ended.set(stream, status)
  }

  /** The samples of the whole run, the last one taken now; nothing is sampled afterwards. */
  async finalHistory(): Promise<RunHistory> {
    this.#stop.abort()
    await this.#sampling
    this.#sample(true)
    return this.#history.byStream
  }

  /** Marks the run as ended; `thrown` is what stopped it before its report. */
  async end(status: RunState, thrown?: unknown): Promise<void> {
    if (!this.#stop.signal.aborted) await this.finalHistory()
    const error = thrown === undefined ? undefined : toNebulaError(thrown)
    this.#update()
    const why = error && { error: { code: error.code, message: error.message, fix: error.fix } }
    this.#progress = { ...this.#progress, status, ...why }
    await this.#write()
  }

  async #keepSampling(): Promise<void> {
    const { clock, intervalMs } = this.#options
    while (!this.#stop.signal.aborted) {
      this.#sample(false)
      await this.#write()
      await clock.sleep(intervalMs, this.#stop.signal).catch(() => {})
    }
  }

  #sample(last: boolean): void {
    this.#history.sample(this.#options.clock.now() - this.#progress.startedAt, this.#look(), last)
    this.#update()
  }

  #update(): void {
    const updatedAt = this.#options.clock.now()
    const streams = this.#look().map((s) => ({ ...s, status: this.#ended.get(s.stream) ?? ('running' as const) }))
    this.#progress = { ...this.#progress, updatedAt, streams, history: this.#history.total }
  }

  /** News that cannot be written does not stop the run that it is about. */
  async #write(): Promise<void> {
    try {
      await writeProgress(this.#options.path, this.#progress)
    } catch (error) {
      const { logger } = this.#options
      if (!this.#warned) logger.warn('the progress cannot be written', { error: toNebulaError(error).message })
      this.#warned = true
    }
  }
}
