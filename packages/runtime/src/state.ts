import { createHash } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readJsonFile, writeDurably } from '@nebula/base'
import type { Checkpoint, Recalled, Run } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** Raised when the file changes its form: newer reads older, older refuses newer. */
const VERSION = 1

interface Stored {
  readonly version: number
  readonly run: Run
  readonly checkpoints: Checkpoint[]
  readonly finished: string[]
}

/**
 * What a run reached, in a local folder, for destinations that cannot keep it themselves. One file per pipeline,
 * replaced whole: a crash leaves the old state or the new.
 */
export class LocalState {
  readonly #folder: string
  readonly #path: string
  #stored: Stored | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(folder: string, pipeline: string) {
    this.#folder = folder
    this.#path = join(folder, `${fileName(pipeline)}.state.json`)
  }

  /** The last run, or undefined. Throws `state_newer`. */
  async recall(): Promise<Recalled | undefined> {
    const stored = (await readJsonFile(this.#path)) as Stored | undefined
    if (!stored) return undefined
    if (stored.version > VERSION) {
      throw new NebulaError('state_newer', {
        message: `${this.#path} has version ${stored.version}; this Nebula reads up to ${VERSION}.`,
        place: this.#path,
      })
    }
    this.#stored = stored
    const { run, checkpoints, finished } = stored
    return { run, checkpoints, finished }
  }

  /** Begins or takes over a run; keeps the checkpoints that it still has. */
  async prepare(run: Run): Promise<void> {
    const same = this.#stored?.run.id === run.id ? this.#stored : undefined
    const known = new Set(run.plan.partitions.map((partition) => partition.id))
    const restarted = new Set(
      run.streams
        .filter((stream) => (same ? generationOf(same.run, stream.request.stream) : 0) !== stream.generation)
        .map((stream) => stream.request.stream),
    )
    const kept = run.plan.partitions.filter((partition) => !restarted.has(partition.stream)).map(({ id }) => id)
    const checkpoints = (same?.checkpoints ?? []).filter((c) => known.has(c.partition) && kept.includes(c.partition))
    await this.#store({ version: VERSION, run, checkpoints, finished: same?.finished ?? [] })
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const stored = this.#require()
    const others = stored.checkpoints.filter((other) => other.partition !== checkpoint.partition)
    await this.#store({ ...stored, checkpoints: [...others, checkpoint] })
  }

  async finish(streams: readonly string[]): Promise<void> {
    const stored = this.#require()
    const gone = new Set(stored.run.plan.partitions.filter((p) => streams.includes(p.stream)).map((p) => p.id))
    const checkpoints = stored.checkpoints.filter((checkpoint) => !gone.has(checkpoint.partition))
    await this.#store({ ...stored, checkpoints, finished: [...new Set([...stored.finished, ...streams])] })
  }

  async discard(): Promise<void> {
    this.#stored = undefined
    await rm(this.#path, { force: true })
  }

  #require(): Stored {
    if (!this.#stored) throw new NebulaError('internal', { message: 'The local state was used before prepare.' })
    return this.#stored
  }

  /** One write at a time, in order; the newest content is written. */
  #store(next: Stored): Promise<void> {
    this.#stored = next
    this.#writing = this.#writing.then(async () => {
      await mkdir(this.#folder, { recursive: true })
      await writeDurably(this.#path, JSON.stringify(this.#stored))
    })
    return this.#writing
  }
}

function generationOf(run: Run, stream: string): number {
  return run.streams.find((plan) => plan.request.stream === stream)?.generation ?? 0
}

/** A name as part of a file name: readable, and unique also when characters had to go. */
export function fileName(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 80)
  if (plain === name && !plain.startsWith('.')) return plain
  return `${plain.replace(/^\.+/, '')}-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`
}
