import type { RunProgress } from '@nebula/base'
import { readProgress } from '@nebula/base'
import type { Clock, Logger } from '@nebula/core'
import { toNebulaError } from '@nebula/core'

/** A run as it is shown; `gone`: its process died without a word. */
export type RunView = Omit<RunProgress, 'status'> & { readonly status: RunProgress['status'] | 'gone' }

export interface FeedOptions {
  /** The progress file that a run writes, in this process or another. */
  readonly path: string
  /** Only what this process wrote counts. */
  readonly ownOnly: boolean
  readonly clock: Clock
  readonly logger: Logger
}

/** How often the file is looked at. */
const POLL_MS = 500
/** Without news for so long, or five of its intervals, a run whose process is not there is dead. */
const SILENCE_MS = 5000

/** Follows the progress file of a pipeline, which may not be there yet, and tells when it changed. */
export class ProgressFeed {
  readonly #options: FeedOptions
  readonly #stop = new AbortController()
  readonly #listeners = new Set<() => void>()
  #current: RunView | undefined
  #warned = false
  #polling = Promise.resolve()

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** The newest progress; undefined while there was no run. */
  get current(): RunView | undefined {
    return this.#current
  }

  /** Looks at the file now, and from now on until `close`. */
  async start(): Promise<void> {
    await this.refresh()
    this.#polling = this.#poll()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#polling
  }

  /** Calls `listener` after every change until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async refresh(): Promise<void> {
    const { path, ownOnly, clock, logger } = this.#options
    try {
      const found = await readProgress(path)
      const next = found && (!ownOnly || found.pid === process.pid) ? viewOf(found, clock.now()) : undefined
      if (next?.updatedAt === this.#current?.updatedAt && next?.status === this.#current?.status) return
      this.#current = next
      for (const listener of this.#listeners) listener()
    } catch (error) {
      if (!this.#warned) logger.warn('the progress cannot be read', { error: toNebulaError(error).message })
      this.#warned = true
    }
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.#options.clock.sleep(POLL_MS, signal).catch(() => {})
      if (!signal.aborted) await this.refresh()
    }
  }
}

function viewOf(progress: RunProgress, now: number): RunView {
  const unfinished = progress.status === 'planning' || progress.status === 'running'
  const silent = now - progress.updatedAt > Math.max(SILENCE_MS, 5 * progress.intervalMs)
  return unfinished && silent && !isAlive(progress.pid) ? { ...progress, status: 'gone' } : progress
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: somebody else's process, which is alive.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
