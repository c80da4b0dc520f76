import type {
  CallOptions,
  Context,
  DestinationDriver,
  Lifecycle,
  Recalled,
  RecordBatch,
  Run,
  StreamPlan,
  TargetInfo,
  Writer,
  WriteTask,
} from '@nebula/core'
import { MODES, NebulaError } from '@nebula/core'
import type { CheckpointRecords, StoredRun } from './checkpoint-store.ts'
import { CheckpointStore, fenced } from './checkpoint-store.ts'
import type { StagedStream } from './staging-names.ts'
import { keysName, latestName, pipelinePrefix, stagingPrefix } from './staging-names.ts'

/** What stands at a target. */
export interface StandingTarget {
  readonly name: string
  /** Of this one and no later one of its name, as far as the server can help it. */
  readonly id: string
  readonly info: Omit<TargetInfo, 'foreignRows'>
  hasRows(): Promise<boolean>
}

/** Where staging stands, by its names. */
export type Places<Place> = ReadonlyMap<string, Place>

/** A stream, with its key columns alone, whose target may have rows that its source has no longer. */
export interface Sweep extends StagedStream {
  /** For staging that the keys may be in. */
  readonly name: string
  readonly keys: AsyncIterable<RecordBatch>
  readonly context: Context
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
  readonly #records: CheckpointRecords<Session>
  readonly #place: string
  /** Staging that holds rows of the checkpoints that were recalled. */
  readonly #reliedOn = new Set<string>()
  readonly #end: Required<Lifecycle>
  /** Its life is that of its end. */
  readonly open: (context: Context) => Promise<void> = (context) => this.#end.open(context)
  readonly ping = (context: Context): Promise<void> => this.#end.ping(context)
  readonly version = (context: Context): Promise<string> => this.#end.version(context)
  readonly close = (): Promise<void> => this.#end.close()

  /** `place` is that of the records. */
  constructor(end: Required<Lifecycle>, records: CheckpointRecords<Session>, place: string) {
    this.#end = end
    this.#records = records
    this.checkpoints = new CheckpointStore(records)
    this.#place = place
  }

  /**
   * Runs one unit of work by `context.call`, in a transaction where there are any, unless it only `looks`: in one nothing
   * goes on behind an error. `doing` begins the message of errors.
   */
  protected abstract readonly work: <T>(
    context: Context,
    doing: string,
    work: (session: Session) => Promise<T>,
    options?: CallOptions & { readonly looks?: true },
  ) => Promise<T>
  /** What stands at each target; undefined where nothing does. */
  protected abstract standing(session: Session, targets: readonly string[]): Promise<(StandingTarget | undefined)[]>
  /** What stands under names that begin with `prefix`, by them, where streams of these runs are staged. */
  protected abstract staged(session: Session, prefix: string, runs: readonly Run[]): Promise<Places<Place>>
  /** Makes the staging of a stream stand under its `stagingName`, empty or as `found`; no overtaken process adds to it. */
  protected abstract stage(session: Session, staged: StagedStream, found: Place | undefined): Promise<void>
  protected abstract drop(session: Session, place: Place): Promise<void>
  /**
   * Makes the staged rows those of the target, and tells `checkpoints` when all of its rows are Nebula's. `moving` comes
   * before a step that cannot be done twice. Otherwise it can be, without transactions, from its beginning.
   */
  protected abstract move(session: Session, staged: StagedStream, moving: () => Promise<void>): Promise<void>
  /** Deletes the rows of a target that have none of the keys, as `DestinationDriver.sweep`. */
  protected abstract sweepTarget(session: Session, sweep: Sweep): Promise<number>

  abstract writer(task: WriteTask, context: Context): Promise<Writer>

  /** The number behind the names of staging where this process writes. */
  protected stagingEpoch(_run: Run): number {
    return 0
  }

  protected stagingName(staged: StagedStream): string {
    return `${stagingPrefix(this.#place, staged)}${this.stagingEpoch(staged.run)}`
  }

  async describe(targets: readonly string[], context: Context): Promise<(TargetInfo | undefined)[]> {
    const look = async (session: Session): Promise<(TargetInfo | undefined)[]> => {
      const owned = await this.checkpoints.owned(session)
      const infos: (TargetInfo | undefined)[] = []
      for (const target of await this.standing(session, targets)) {
        const isOurs = target && owned.get(target.id) === target.name
        infos.push(target && { ...target.info, foreignRows: !isOurs && (await target.hasRows()) })
      }
      return infos
    }
    return this.work(context, 'Looking at the targets', look, { looks: true })
  }

  async recall(pipeline: string, context: Context): Promise<Recalled | undefined> {
    const look = async (session: Session): Promise<Recalled | undefined> => {
      const recalled = await this.checkpoints.recall(session, pipeline)
      return recalled && this.#withoutLost(session, recalled)
    }
    return this.work(context, 'Looking for the last run', look, { looks: true })
  }

  async prepare(run: Run, context: Context): Promise<void> {
    await this.work(context, 'Preparing', async (session) => {
      const { checkpoints } = this
      await this.#records.create?.(session)
      const before = await checkpoints.current(session, run)
      const isNew = before?.run.id !== run.id
      const staged = await this.#staged(session, run, before?.run)
      const finished = isNew ? [] : this.#arrived(before, staged)
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
      const finished = this.#arrived(before, await this.#staged(session, run))
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
    await this.work(context, 'Moving rows into their targets', finish, { unbounded: true })
  }

  async sweep(run: Run, stream: StreamPlan, keys: AsyncIterable<RecordBatch>, context: Context): Promise<number> {
    const sweep = { run, stream, name: keysName(this.#place, { run, stream }), keys, context }
    const work = (session: Session): Promise<number> => this.sweepTarget(session, sweep)
    const options = { unbounded: true, idempotent: false }
    return this.work(context, `Looking for deleted rows of ${stream.target}`, work, options)
  }

  async end(run: Run, context: Context): Promise<void> {
    await this.work(context, 'Ending the run', async (session) => {
      const before = await this.checkpoints.current(session, run)
      await this.#dropStaging(session, run, run.streams)
      await this.checkpoints.forget(session, run)
      if (before) await this.checkpoints.store(session, { ...before, ended: true }, before)
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
    await this.work(context, 'Giving rows up', discard, { unbounded: true })
  }

  /** Without checkpoints whose rows are gone, because somebody dropped their staging. */
  async #withoutLost(session: Session, { moving = [], ...recalled }: Recalled & StoredRun): Promise<Recalled> {
    this.#reliedOn.clear()
    const { run, checkpoints } = recalled
    const standing = await this.#staged(session, run)
    const kept = new Set<string>()
    for (const stream of run.streams) {
      const prefix = stagingPrefix(this.#place, { run, stream })
      if (latestName(standing.keys(), prefix) === undefined) continue
      this.#reliedOn.add(prefix)
      kept.add(stream.request.stream)
    }
    const lost = new Set(run.plan.partitions.filter(({ stream }) => !kept.has(stream)).map(({ id }) => id))
    const finished = this.#arrived({ ...recalled, moving }, standing)
    return { ...recalled, finished, checkpoints: checkpoints.filter(({ partition }) => !lost.has(partition)) }
  }

  /** Streams that are in their targets: those of which it is stored, and those that were moved before it could be. */
  #arrived({ run, finished, moving = [] }: StoredRun, standing: Places<Place>): string[] {
    const moved = run.streams.filter((stream) => {
      const isMoving = moving.includes(stream.request.stream) && !finished.includes(stream.request.stream)
      return isMoving && latestName(standing.keys(), stagingPrefix(this.#place, { run, stream })) === undefined
    })
    return [...finished, ...moved.map(({ request }) => request.stream)]
  }

  /** Returns the name of the staging that a stream has from now on. */
  async #stage(session: Session, staged: StagedStream, standing: Places<Place>): Promise<string> {
    const prefix = stagingPrefix(this.#place, staged)
    const found = latestName(standing.keys(), prefix)
    if (found === undefined) {
      if (this.#reliedOn.has(prefix)) throw lostStaging(staged)
      await this.checkpoints.reset(session, staged.run, staged.stream)
    }
    await this.stage(session, staged, found === undefined ? undefined : standing.get(found))
    return this.stagingName(staged)
  }

  async #dropStaging(session: Session, run: Run, streams: readonly StreamPlan[]): Promise<void> {
    const prefixes = streams.map((stream) => stagingPrefix(this.#place, { run, stream }))
    for (const [name, place] of await this.#staged(session, run))
      if (prefixes.some((prefix) => name.startsWith(prefix))) await this.drop(session, place)
  }

  /** All staging of a pipeline, where any of these runs may have it. */
  #staged(session: Session, run: Run, before: Run = run): Promise<Places<Place>> {
    return this.staged(session, pipelinePrefix(this.#place, run.pipeline), [run, before])
  }
}

/** Somebody else dropped what rows were in. */
export function lostStaging({ stream }: StagedStream): NebulaError {
  const message = `Somebody dropped the staging of ${stream.target} while the run was about to go on.`
  return new NebulaError('conflict', { message })
}
