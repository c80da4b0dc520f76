import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, readJsonFile, writeDurably } from '@nebula/base'
import type { Checkpoint, CursorMarks, Recalled, Run } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Pipeline } from './pipeline.ts'

/** Raised when the file changes its form: newer reads older, older refuses newer. */
const VERSION = 1

interface Stored {
  readonly version: number
  readonly run: Run
  readonly checkpoints: readonly Checkpoint[]
  readonly finished: readonly string[]
  readonly ended: boolean
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
  /** A write that has not begun: it will write whatever is newest then. */
  #queued: Promise<void> | undefined

  constructor(folder: string, pipeline: string) {
    this.#folder = folder
    this.#path = stateFile({ stateFolder: folder, name: pipeline }, 'state.json')
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
    const { version: _, ...recalled } = stored
    return recalled
  }

  /** Begins or takes over a run; keeps the checkpoints that it still has. */
  async prepare(run: Run): Promise<void> {
    const same = this.#stored?.run.id === run.id ? this.#stored : undefined
    const again = run.streams.filter(
      ({ request, generation }) => generationOf(same?.run, request.stream) !== generation,
    )
    const streams = new Set(again.map(({ request }) => request.stream))
    const kept = new Set(run.plan.partitions.filter(({ stream }) => !streams.has(stream)).map(({ id }) => id))
    const checkpoints = same?.checkpoints.filter(({ partition }) => kept.has(partition)) ?? []
    await this.#store({ version: VERSION, run, checkpoints, finished: same?.finished ?? [], ended: false })
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const stored = this.#require()
    const others = stored.checkpoints.filter((other) => other.partition !== checkpoint.partition)
    await this.#store({ ...stored, checkpoints: [...others, checkpoint] })
  }

  async finish(streams: readonly string[], next?: CursorMarks): Promise<void> {
    const stored = this.#require()
    const finished = [...new Set([...stored.finished, ...streams])]
    const run = next ? { ...stored.run, next } : stored.run
    await this.#store({ ...stored, run, checkpoints: without(stored, streams), finished })
  }

  /** Forgets what the streams reached. They begin again under a higher generation, whatever is left of their staging. */
  async discard(streams: readonly string[]): Promise<void> {
    const stored = this.#require()
    const raised = stored.run.streams.map((plan) =>
      streams.includes(plan.request.stream) ? { ...plan, generation: plan.generation + 1 } : plan,
    )
    const run = { ...stored.run, streams: raised }
    await this.#store({ ...stored, run, checkpoints: without(stored, streams) })
  }

  /** The run is over: what comes next is a new one. */
  async end(): Promise<void> {
    await this.#store({ ...this.#require(), ended: true })
  }

  #require(): Stored {
    if (!this.#stored) throw new NebulaError('internal', { message: 'The local state was used before prepare.' })
    return this.#stored
  }

  /** One write at a time; the newest content is written. Resolves when a write that has `next` is durable. */
  #store(next: Stored): Promise<void> {
    this.#stored = next
    this.#queued ??= this.#write(this.#writing)
    return this.#queued
  }

  #write(before: Promise<void>): Promise<void> {
    const writing = (async () => {
      await before.catch(() => {})
      this.#queued = undefined
      await mkdir(this.#folder, { recursive: true }).catch((error: unknown) => {
        throw fileError(error, this.#folder)
      })
      await writeDurably(this.#path, JSON.stringify(this.#stored))
    })()
    this.#writing = writing
    return writing
  }
}

function generationOf(run: Run | undefined, stream: string): number {
  return run?.streams.find((plan) => plan.request.stream === stream)?.generation ?? 0
}

/** The checkpoints of the other streams. */
function without({ run, checkpoints }: Stored, streams: readonly string[]): Checkpoint[] {
  const gone = new Set(run.plan.partitions.filter(({ stream }) => streams.includes(stream)).map(({ id }) => id))
  return checkpoints.filter(({ partition }) => !gone.has(partition))
}

/** A file of the pipeline in its state folder, such as `report.json`, or `progress.json` for `readProgress`. */
export function stateFile({ stateFolder, name }: Pick<Pipeline, 'stateFolder' | 'name'>, suffix: string): string {
  return join(stateFolder, `${fileName(name)}.${suffix}`)
}

/** A name as part of a file name: readable, and unique also when characters had to go or the system ignores case. */
export function fileName(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 80)
  if (plain === name && /^[a-z0-9_-][a-z0-9._-]*$/.test(plain)) return plain
  return `${plain.replace(/^\.+/, '')}-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`
}
