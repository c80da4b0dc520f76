import type {
  CallOptions,
  Context,
  DestinationDriver,
  Lifecycle,
  Recalled,
  Run,
  StreamPlan,
  TargetInfo,
  Writer,
  WriteTask,
} from '@nebula/core'
import { MODES, NebulaError } from '@nebula/core'
import type { CheckpointRecords, StoredRun } from './checkpoint-store.ts'
import { CheckpointStore, fenced } from './checkpoint-store.ts'
import { latestName, pipelinePrefix, stagingPrefix } from './staging-names.ts'

/** What stands at a target. */
export interface StandingTarget {
  readonly name: string
  /** Of this one and no later one of its name, as far as the server can help it. */
  readonly id: string
  readonly info: Omit<TargetInfo, 'foreignRows'>
  hasRows(): Promise<boolean>
}

/** A stream between its first row and its target. */
export interface StagedStream {
  readonly run: Run
  readonly stream: StreamPlan
}

/**
 * Puts every stream of a run together in staging of its own, and then moves it into its target; run and checkpoints are
 * kept beside the targets. `Session` is a unit of work, and `Place` where staging stands.
 *
 * A store without transactions stops anywhere. What it stores of a run is fenced by its epoch alone, so that it gives each
 * process staging of another name (`stagingEpoch`), for what an overtaken one still writes; and it says beforehand which
 * stream is moved in one step (`moving`).
 */
export abstract class StagedDestination<Session, Place> implements DestinationDriver {
  readonly modes = MODES
  protected readonly checkpoints: CheckpointStore<Session>
  readonly #end: Required<Lifecycle>
  /** Staging that holds rows of the checkpoints that were recalled. */
  readonly #reliedOn = new Set<string>()

  constructor(end: Required<Lifecycle>, records: CheckpointRecords<Session>) {
    this.#end = end
    this.checkpoints = new CheckpointStore(records)
  }

  /** Looks at what is there, outside of any transaction; `doing` begins the message of errors. */
  protected abstract look<T>(context: Context, doing: string, work: (session: Session) => Promise<T>): Promise<T>
  /** The same for changes: all or nothing, where there are transactions. */
  protected abstract change(
    context: Context,
    doing: string,
    work: (session: Session) => Promise<void>,
    options?: CallOptions,
  ): Promise<void>
  /** What stands at each target; undefined where nothing does. */
  protected abstract standing(session: Session, targets: readonly string[]): Promise<(StandingTarget | undefined)[]>
  /** What stands under names that begin with `prefix`, by them, where streams of these runs are staged. */
  protected abstract staged(session: Session, prefix: string, runs: readonly Run[]): Promise<ReadonlyMap<string, Place>>
  /** Makes the staging of a stream stand under its `stagingName`, empty or as it was `found`. Nobody else writes there. */
  protected abstract stage(session: Session, staged: StagedStream, found: Place | undefined): Promise<void>
  protected abstract drop(session: Session, place: Place): Promise<void>
  /**
   * Makes the staged rows those of the target, and tells `checkpoints` when all of its rows are Nebula's. `moving` comes
   * before a step that cannot be done twice. Otherwise it can be, without transactions, from its beginning.
   */
  protected abstract move(session: Session, staged: StagedStream, moving: () => Promise<void>): Promise<void>

  abstract writer(task: WriteTask, context: Context): Promise<Writer>

  /** The number behind the names of staging where this process writes. */
  protected stagingEpoch(_run: Run): number {
    return 0
  }

  protected stagingName({ run, stream }: StagedStream): string {
    return `${stagingPrefix(run, stream)}${this.stagingEpoch(run)}`
  }

  async open(context: Context): Promise<void> {
    await this.#end.open(context)
  }

  async ping(context: Context): Promise<void> {
    await this.#end.ping(context)
  }

  async version(context: Context): Promise<string> {
    return this.#end.version(context)
  }

  async close(): Promise<void> {
    await this.#end.close()
  }

  async describe(targets: readonly string[], context: Context): Promise<(TargetInfo | undefined)[]> {
    return this.look(context, 'Looking at the targets', async (session) => {
      const owned = await this.checkpoints.owned(session)
      const infos: (TargetInfo | undefined)[] = []
      for (const target of await this.standing(session, targets)) {
        const isOurs = target && owned.get(target.id) === target.name
        infos.push(target && { ...target.info, foreignRows: !isOurs && (await target.hasRows()) })
      }
      return infos
    })
  }

  async recall(pipeline: string, context: Context): Promise<Recalled | undefined> {
    return this.look(context, 'Looking for the last run', async (session) => {
      const recalled = await this.checkpoints.recall(session, pipeline)
      return recalled && this.#withoutLost(session, recalled)
    })
  }

  async prepare(run: Run, context: Context): Promise<void> {
    await this.change(context, 'Preparing', async (session) => {
      const { checkpoints } = this
      await checkpoints.create(session)
      const before = await checkpoints.current(session, run)
      const isNew = before?.run.id !== run.id
      const staged = await this.#staged(session, run, before?.run)
      const finished = isNew ? [] : arrived(before, staged.keys())
      await checkpoints.store(session, { run, finished, ended: false }, before)
      if (before && isNew) await checkpoints.forget(session, before.run)
      await checkpoints.raise(session, run)
      const kept = new Set<string>()
      for (const stream of run.streams)
        if (!finished.includes(stream.request.stream)) kept.add(await this.#stage(session, { run, stream }, staged))
      for (const [name, place] of await this.#staged(session, run, before?.run))
        if (!kept.has(name)) await this.drop(session, place)
    })
  }

  async finish(run: Run, streams: readonly string[], context: Context): Promise<void> {
    const finish = async (session: Session): Promise<void> => {
      const { checkpoints } = this
      const before = await checkpoints.current(session, run)
      if (before?.run.epoch !== run.epoch) throw fenced()
      const finished = arrived(before, (await this.#staged(session, run)).keys())
      let stored: StoredRun = { run, finished, ended: false }
      const wanted = run.streams.filter(({ request }) => streams.includes(request.stream))
      for (const stream of wanted) {
        const { stream: name } = stream.request
        if (finished.includes(name)) continue
        const moving = { ...stored, moving: [name] }
        await this.move(session, { run, stream }, () => checkpoints.store(session, moving, stored))
        stored = { ...stored, finished: [...stored.finished, name] }
        await checkpoints.store(session, stored, stored)
      }
      await checkpoints.forget(session, run, wanted)
      await this.#dropStaging(session, run, wanted)
    }
    await this.change(context, 'Moving rows into their targets', finish, { unbounded: true })
  }

  async end(run: Run, context: Context): Promise<void> {
    await this.change(context, 'Ending the run', async (session) => {
      const before = await this.checkpoints.current(session, run)
      if (before) await this.checkpoints.store(session, { ...before, ended: true }, before)
      await this.#dropStaging(session, run, run.streams)
    })
  }

  async discard(run: Run, streams: readonly string[], context: Context): Promise<void> {
    const discard = async (session: Session): Promise<void> => {
      const before = await this.checkpoints.current(session, run)
      const dropped = run.streams.filter(({ request }) => streams.includes(request.stream))
      await this.#dropStaging(session, run, dropped)
      if (before?.run.id !== run.id) return
      // Streams that are in their targets keep the run: going on with it does not load them again.
      if (dropped.length === run.streams.length) await this.checkpoints.forgetRun(session, before.run)
      else await this.checkpoints.forget(session, before.run, dropped)
    }
    await this.change(context, 'Giving rows up', discard, { unbounded: true })
  }

  /** Without checkpoints whose rows are gone, because somebody dropped their staging. */
  async #withoutLost(session: Session, { moving = [], ...recalled }: Recalled & StoredRun): Promise<Recalled> {
    this.#reliedOn.clear()
    const { run, checkpoints } = recalled
    const names = [...(await this.#staged(session, run)).keys()]
    const kept = new Set<string>()
    for (const stream of run.streams) {
      const prefix = stagingPrefix(run, stream)
      if (latestName(names, prefix) === undefined) continue
      this.#reliedOn.add(prefix)
      kept.add(stream.request.stream)
    }
    const lost = new Set(run.plan.partitions.filter(({ stream }) => !kept.has(stream)).map(({ id }) => id))
    return {
      ...recalled,
      finished: arrived({ ...recalled, moving }, names),
      checkpoints: checkpoints.filter(({ partition }) => !lost.has(partition)),
    }
  }

  /** Returns the name of the staging that a stream has from now on. */
  async #stage(session: Session, staged: StagedStream, standing: ReadonlyMap<string, Place>): Promise<string> {
    const { run, stream } = staged
    const prefix = stagingPrefix(run, stream)
    const found = latestName(standing.keys(), prefix)
    if (found === undefined) {
      if (this.#reliedOn.has(prefix)) throw lostStaging(stream)
      await this.checkpoints.reset(session, run, stream)
    }
    await this.stage(session, staged, found === undefined ? undefined : standing.get(found))
    return this.stagingName(staged)
  }

  async #dropStaging(session: Session, run: Run, streams: readonly StreamPlan[]): Promise<void> {
    const prefixes = streams.map((stream) => stagingPrefix(run, stream))
    for (const [name, place] of await this.#staged(session, run))
      if (prefixes.some((prefix) => name.startsWith(prefix))) await this.drop(session, place)
  }

  /** All staging of a pipeline, where any of these runs may have it. */
  #staged(session: Session, run: Run, before: Run = run): Promise<ReadonlyMap<string, Place>> {
    return this.staged(session, pipelinePrefix(run.pipeline), [run, before])
  }
}

/** Streams that are in their targets: those of which it is stored, and those that were moved before it could be. */
function arrived({ run, finished, moving = [] }: StoredRun, standing: Iterable<string>): string[] {
  const names = [...standing]
  const moved = run.streams.filter((stream) => {
    const { stream: name } = stream.request
    return (
      moving.includes(name) && !finished.includes(name) && latestName(names, stagingPrefix(run, stream)) === undefined
    )
  })
  return [...finished, ...moved.map(({ request }) => request.stream)]
}

/** Somebody else dropped what rows were in. */
export function lostStaging({ target }: StreamPlan): NebulaError {
  const message = `Somebody dropped the staging of ${target} while the run was about to go on.`
  return new NebulaError('conflict', { message })
}
