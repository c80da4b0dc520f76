import { createHash } from 'node:crypto'
import type { Checkpoint, Plan, Recalled, Run, StreamPlan } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Store } from './store.ts'

/** Raised when a file changes its form: newer reads older, older refuses newer. */
const VERSION = 1
const FOLDER = '.nebula'

/** A stream on its way into its target: written before it is moved, so that a crash in between is recognised. */
interface Move {
  readonly stream: string
  /** The file name of the target. */
  readonly target: string
  /** Of the staged file; moving keeps it. */
  readonly etag: string
}

/** `PIPELINE.json` in the folder of staging. */
interface StoredRun {
  readonly version: number
  readonly run: Run
  readonly finished: readonly string[]
  readonly ended: boolean
  readonly moves: readonly Move[]
  /** Etags of the files that this pipeline wrote, by name. */
  readonly published: Readonly<Record<string, string>>
}

type Change = (before: StoredRun | undefined) => StoredRun | Promise<StoredRun>

/** What a stream reached: lies beside its staged file, and is replaced at each commit. */
export interface Progress {
  readonly version: number
  readonly epoch: number
  /** Bytes of the staged file that are committed. */
  readonly length: number
  /** One per partition, in the order of the commits. */
  readonly checkpoints: readonly Checkpoint[]
}

/**
 * The files that a run keeps beside its targets, in `.nebula`: `PIPELINE.json` with the run, and until it ended a folder
 * `PIPELINE.run` with a staged file and its progress per stream.
 */
export class RunFiles {
  readonly #store: Store
  /** Of the targets. */
  readonly #folder: string
  readonly #pipeline: string
  /** Of target files: `.csv`. In the names of staged files too: what another compression left is not gone on with. */
  readonly #extension: string
  /** Of the state file as this process wrote or read it. */
  #etag: string | undefined
  /** Changes of the state come one after the other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(store: Store, folder: string, pipeline: string, extension: string) {
    this.#store = store
    this.#folder = folder
    this.#pipeline = plainName(pipeline)
    this.#extension = extension
  }

  /** The last run, and what is left of it. Changes nothing. Throws `state_newer`. */
  async recall(): Promise<Recalled | undefined> {
    const stored = await this.#read()
    if (!stored) return undefined
    const { run } = stored
    const finished = [...stored.finished, ...(await this.#moved(stored)).map(({ stream }) => stream)]
    const checkpoints: Checkpoint[] = []
    for (const plan of run.streams) {
      if (!finished.includes(plan.request.stream)) checkpoints.push(...(await this.progress(run, plan)).checkpoints)
    }
    return { run, checkpoints, finished, ended: stored.ended }
  }

  /** Makes `run` the current one and clears away what belongs to no stream of it. Throws `fenced` for an older epoch. */
  async prepare(run: Run): Promise<void> {
    await this.#store.makeFolder(this.#path())
    const { finished } = await this.#change(async (before) => {
      if (before && before.run.epoch > run.epoch) throw fenced(run)
      const moved = before ? await this.#moved(before) : []
      const published = { ...before?.published, ...Object.fromEntries(moved.map(({ target, etag }) => [target, etag])) }
      const same = before?.run.id === run.id ? before : undefined
      const done = same ? [...new Set([...same.finished, ...moved.map(({ stream }) => stream)])] : []
      return { version: VERSION, run, finished: done, ended: false, moves: [], published }
    })
    const open = run.streams.filter(({ request }) => !finished.includes(request.stream))
    const kept = new Set(open.flatMap((plan) => [this.#stagedName(run, plan), this.#progressName(run, plan)]))
    for (const name of await this.#store.names(this.#path()))
      if (!kept.has(name)) await this.#store.remove(this.#path(name))
    if (open.length === 0) await this.#store.removeFolder(this.#path())
  }

  /** Throws `fenced` when another process has taken the run over. */
  async check(run: Run): Promise<void> {
    const now = await this.#store.stat(this.#statePath)
    if (now !== undefined && now.etag === this.#etag) return
    await this.#last
    const stored = await this.#read()
    if (stored?.run.id !== run.id || stored.run.epoch !== run.epoch) throw fenced(run)
  }

  stagedPath(run: Run, plan: StreamPlan): string {
    return this.#path(this.#stagedName(run, plan))
  }

  /** What a stream reached; from the beginning when its staged file does not hold what was committed. */
  async progress(run: Run, plan: StreamPlan): Promise<Progress> {
    const nothing: Progress = { version: VERSION, epoch: run.epoch, length: 0, checkpoints: [] }
    const found = (await this.#store.readJson(this.#path(this.#progressName(run, plan)))) as Progress | undefined
    if (!found) return nothing
    const staged = await this.#store.stat(this.stagedPath(run, plan))
    return staged && staged.size >= found.length ? found : nothing
  }

  async keepProgress(run: Run, plan: StreamPlan, length: number, checkpoints: readonly Checkpoint[]): Promise<void> {
    const progress: Progress = { version: VERSION, epoch: run.epoch, length, checkpoints }
    await this.#store.writeJson(this.#path(this.#progressName(run, plan)), progress)
  }

  /** Streams that are in their targets. */
  async finished(): Promise<readonly string[]> {
    await this.#last
    return (await this.#read())?.finished ?? []
  }

  /** Moves complete staged files into their targets, and records it. */
  async publish(run: Run, plans: readonly StreamPlan[]): Promise<void> {
    const moves: Move[] = []
    for (const plan of plans) {
      const staged = await this.#store.stat(this.stagedPath(run, plan))
      if (!staged) throw new NebulaError('internal', { message: `Nothing is staged for ${plan.target}.` })
      moves.push({ stream: plan.request.stream, target: this.#targetName(run, plan), etag: staged.etag })
    }
    await this.#update(run, (before) => ({ ...before, moves: [...before.moves, ...moves] }))
    await this.#store.publish(
      plans.map((plan) => ({ from: this.stagedPath(run, plan), to: this.targetPath(this.#targetName(run, plan)) })),
    )
    const after = await this.#update(run, (before) => {
      const finished = [...new Set([...before.finished, ...moves.map(({ stream }) => stream)])]
      const published = { ...before.published, ...Object.fromEntries(moves.map(({ target, etag }) => [target, etag])) }
      const left = before.moves.filter(({ stream }) => !finished.includes(stream))
      const kept = isEnded(before.run, finished) ? { ...before.run, plan: NO_PLAN } : before.run
      return { ...before, run: kept, finished, moves: left, published }
    })
    for (const plan of plans) await this.#store.remove(this.#path(this.#progressName(run, plan)))
    if (isEnded(run, after.finished)) await this.#store.removeFolder(this.#path())
  }

  /** The run is over: what comes next is a new one. */
  async end(run: Run): Promise<void> {
    await this.#update(run, (before) => ({ ...before, ended: true }))
  }

  /** Removes what is staged for streams, and forgets what they reached. */
  async discard(run: Run, plans: readonly StreamPlan[]): Promise<void> {
    const stored = await this.#read()
    if (stored && stored.run.epoch > run.epoch) return
    for (const plan of plans) {
      await this.#store.remove(this.#path(this.#progressName(run, plan)))
      await this.#store.remove(this.stagedPath(run, plan))
    }
    const gone = [...(stored?.finished ?? []), ...plans.map(({ request }) => request.stream)]
    if (isEnded(run, gone)) await this.#store.removeFolder(this.#path())
  }

  /** Append adds a file of its own. */
  #targetName(run: Run, { target, request }: StreamPlan): string {
    return request.mode === 'append' ? `${target}.${run.id}${this.#extension}` : `${target}${this.#extension}`
  }

  #stagedName(run: Run, { request, generation }: StreamPlan): string {
    return `${run.id}.${digest(request.stream)}.${generation}${this.#extension}.staged`
  }

  #progressName(run: Run, { request, generation }: StreamPlan): string {
    return `${run.id}.${digest(request.stream)}.${generation}${this.#extension}.json`
  }

  targetPath(name: string): string {
    return this.#store.join(this.#folder, name)
  }

  /** Moves that happened without being recorded: nothing is staged any more, and the target is what was staged. */
  async #moved({ run, moves, finished }: StoredRun): Promise<Move[]> {
    const done: Move[] = []
    for (const move of moves) {
      const plan = run.streams.find(({ request }) => request.stream === move.stream)
      if (!plan || finished.includes(move.stream) || (await this.#store.stat(this.stagedPath(run, plan)))) continue
      const target = await this.#store.stat(this.targetPath(move.target))
      if (target?.etag === move.etag) done.push(move)
    }
    return done
  }

  #update(run: Run, change: (before: StoredRun) => StoredRun): Promise<StoredRun> {
    return this.#change((before) => {
      if (before?.run.id !== run.id || before.run.epoch !== run.epoch) throw fenced(run)
      return change(before)
    })
  }

  /** Reads the state, and replaces it by what `change` makes of it; one after the other. */
  #change(change: Change): Promise<StoredRun> {
    const changing = this.#changeAfter(this.#last, change)
    this.#last = changing.catch(() => {})
    return changing
  }

  async #changeAfter(last: Promise<unknown>, change: Change): Promise<StoredRun> {
    await last
    const stored = await change(await this.#read())
    await this.#store.writeJson(this.#statePath, stored)
    this.#etag = (await this.#store.stat(this.#statePath))?.etag
    return stored
  }

  async #read(): Promise<StoredRun | undefined> {
    const stored = (await this.#store.readJson(this.#statePath)) as StoredRun | undefined
    if (stored && stored.version > VERSION) {
      throw new NebulaError('state_newer', {
        message: `${this.#statePath} has version ${stored.version}; this Nebula reads up to ${VERSION}.`,
        place: this.#statePath,
      })
    }
    return stored
  }

  get #statePath(): string {
    return this.#store.join(this.#folder, FOLDER, `${this.#pipeline}.json`)
  }

  #path(...names: string[]): string {
    return this.#store.join(this.#folder, FOLDER, `${this.#pipeline}.run`, ...names)
  }
}

/** Etags of the files in `folder` that any pipeline of Nebula wrote, by name. */
export async function publishedFiles(store: Store, folder: string): Promise<Map<string, string>> {
  const published = new Map<string, string>()
  const states = store.join(folder, FOLDER)
  for (const name of await store.names(states)) {
    if (!name.endsWith('.json')) continue
    const stored = (await store.readJson(store.join(states, name))) as Partial<StoredRun> | undefined
    for (const [file, etag] of Object.entries(stored?.published ?? {})) published.set(file, etag)
  }
  return published
}

const NO_PLAN: Plan = { partitions: [], restart: [] }

/** Nothing of the run is left to do: its folder goes. */
function isEnded({ streams }: Run, ended: readonly string[]): boolean {
  return streams.every(({ request }) => ended.includes(request.stream))
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** A name as part of a file name; unique also when characters had to go. */
function plainName(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\./, '_')
  return plain === name && plain.length <= 100 ? plain : `${plain.slice(0, 100)}-${digest(name).slice(0, 8)}`
}

function fenced(run: Run): NebulaError {
  return new NebulaError('fenced', { message: `Another process has taken the run of ${run.pipeline} over.` })
}
