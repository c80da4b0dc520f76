import type {
  Acceptance,
  Context,
  DestinationDriver,
  Recalled,
  RecordBatch,
  Run,
  Schema,
  StreamPlan,
  StreamRequest,
  TargetCheck,
  TargetInfo,
  TargetRequest,
  Writer,
  WriteTask,
} from '@nebula/core'
import { MODES, NebulaError } from '@nebula/core'
import type { SectionLimits } from '@nebula/formats'
import { acceptDocuments, encodingOf } from '@nebula/formats'
import type { Document } from 'mongodb'
import { checkTargets } from './check-targets.ts'
import type { StoredRun } from './checkpoint-collection.ts'
import { CheckpointCollection } from './checkpoint-collection.ts'
import type { MongoConfig } from './config.ts'
import type { Link, Namespace } from './connection.ts'
import { MongoEnd } from './connection.ts'
import { appendToTarget, mergeIntoTarget } from './finish.ts'
import { KeySweep } from './sweep.ts'
import type { CollectionInfo } from './catalog.ts'
import {
  copyIndexes,
  createStaging,
  drop,
  findCollections,
  findNamed,
  latestStaging,
  pipelinePrefix,
  rename,
  spell,
  stagingPrefix,
} from './staging.ts'
import { MongoWriter } from './writer.ts'

/** Where runs are kept when the url names no database. */
const OWN_DATABASE = 'nebula'

/** What a message holds beside its documents, at most. */
const COMMAND_BYTES = 16_384

/** What the deployment can do. */
interface Deployment {
  readonly limits: SectionLimits
  readonly transactional: boolean
}

/**
 * Writes every stream into a staging collection, which then becomes the target, or is copied into it. Run and checkpoints
 * are kept in a collection beside the targets.
 */
export class MongoDestination extends MongoEnd implements DestinationDriver {
  readonly modes = MODES
  readonly #checkpoints: CheckpointCollection
  #deployment: Deployment | undefined
  /** Staging collections that hold rows of the checkpoints that were recalled. */
  readonly #reliedOn = new Set<string>()

  constructor(config: MongoConfig) {
    super(config)
    this.#checkpoints = new CheckpointCollection(this.database ?? OWN_DATABASE)
  }

  override async open(context: Context): Promise<void> {
    const hello = await this.command({ hello: 1 }, context)
    this.#deployment = {
      limits: {
        documentBytes: Number(hello['maxBsonObjectSize']),
        sectionBytes: Number(hello['maxMessageSizeBytes']) - COMMAND_BYTES,
        documents: Number(hello['maxWriteBatchSize']),
      },
      transactional: hello['setName'] !== undefined || hello['msg'] === 'isdbgrid',
    }
  }

  async check(requests: readonly TargetRequest[], context: Context): Promise<TargetCheck[]> {
    const targets = requests.map((request) => ({ ...request, ...this.locate(request.target) }))
    return this.use(context, 'Looking at the targets', (link) =>
      checkTargets(link, targets, this.#checkpoints.database),
    )
  }

  async describe(targets: readonly string[], context: Context): Promise<(TargetInfo | undefined)[]> {
    const namespaces = targets.map((target) => this.locate(target))
    return this.use(context, 'Looking at the targets', async (link) => {
      const owned = await this.#checkpoints.owned(link)
      const standing = await findNamed(link, namespaces)
      const infos: (TargetInfo | undefined)[] = []
      for (const [i, { database, collection }] of namespaces.entries()) {
        const found = standing[i]
        const ours = found === undefined || owned.get(spell(found)) === found.uuid
        const options = { projection: { _id: 1 }, signal: link.signal }
        const first = ours ? null : await link.client.db(database).collection(collection).findOne({}, options)
        infos.push(found && { schema: { fields: [] }, foreignRows: first !== null })
      }
      return infos
    })
  }

  accept(request: StreamRequest, schema: Schema, wire: readonly string[], target?: TargetInfo): Acceptance {
    const { transactional } = this.#capability
    return acceptDocuments(this.config, { request, schema, wire, transactional, stands: target !== undefined })
  }

  async recall(pipeline: string, context: Context): Promise<Recalled | undefined> {
    return this.use(context, 'Looking for the last run', async (link) => {
      const recalled = await this.#checkpoints.recall(link, pipeline)
      return recalled && this.#withoutLost(link, recalled)
    })
  }

  async prepare(run: Run, context: Context): Promise<void> {
    await this.use(context, 'Preparing', async (link) => {
      const before = await this.#checkpoints.current(link, run)
      const staged = await this.#staged(link, run, before?.run)
      const finished = before?.run.id === run.id ? this.#arrived(before, staged) : []
      await this.#checkpoints.store(link, { run, finished, ended: false, moving: [] }, before)
      await this.#checkpoints.raise(link, run)
      const kept = new Set<string>()
      for (const stream of run.streams) {
        if (finished.includes(stream.request.stream)) continue
        kept.add(spell(await this.#stage(link, run, stream, this.#latest(staged, run, stream))))
      }
      const left = await this.#staged(link, run, before?.run)
      for (const collection of left) if (!kept.has(spell(collection))) await drop(link, collection)
    })
  }

  async writer(task: WriteTask, context: Context): Promise<Writer> {
    const { limits, transactional } = this.#capability
    return new MongoWriter(task, {
      checkpoints: this.#checkpoints,
      context,
      staging: this.#staging(task.run, task.stream),
      limits,
      transactional,
      encoding: encodingOf(this.config, task.stream.schema),
      lend: () => context.call(() => this.lend(context)),
    })
  }

  async finish(run: Run, streams: readonly string[], context: Context): Promise<void> {
    const finish = async (link: Link): Promise<void> => {
      const before = await this.#checkpoints.current(link, run)
      const finished = before ? this.#arrived(before, await this.#staged(link, run)) : []
      let stored: StoredRun = { run, finished, ended: false, moving: [] }
      await this.#checkpoints.store(link, stored, before)
      const wanted = run.streams.filter(({ request }) => streams.includes(request.stream))
      for (const stream of wanted) {
        if (finished.includes(stream.request.stream)) continue
        await this.#move(link, stored, stream)
        stored = { ...stored, finished: [...stored.finished, stream.request.stream] }
        await this.#checkpoints.store(link, stored, stored)
      }
      await this.#checkpoints.forget(link, run.pipeline, wanted)
      await this.#dropStaging(link, run, wanted)
    }
    await this.use(context, 'Moving rows into their targets', finish, { unbounded: true })
  }

  async sweep(run: Run, stream: StreamPlan, keys: AsyncIterable<RecordBatch>, context: Context): Promise<number> {
    const { limits } = this.#capability
    const { schema, accepted } = stream
    const encoding = accepted.wire === undefined ? encodingOf(this.config, schema) : undefined
    const target = this.locate(stream.target)
    const sweep = new KeySweep({ run, stream, target, checkpoints: this.#checkpoints, limits, encoding, context })
    const doing = `Looking for deleted rows of ${stream.target}`
    return this.use(context, doing, (link) => sweep.run(link, keys), { unbounded: true, idempotent: false })
  }

  async end(run: Run, context: Context): Promise<void> {
    await this.use(context, 'Ending the run', async (link) => {
      const before = await this.#checkpoints.current(link, run)
      if (before) await this.#checkpoints.store(link, { ...before, ended: true }, before)
      await this.#dropStaging(link, run, run.streams)
    })
  }

  async discard(run: Run, streams: readonly string[], context: Context): Promise<void> {
    await this.use(context, 'Giving rows up', async (link) => {
      const before = await this.#checkpoints.current(link, run)
      const dropped = run.streams.filter(({ request }) => streams.includes(request.stream))
      await this.#dropStaging(link, run, dropped)
      if (before?.run.id !== run.id) return
      await this.#checkpoints.forget(link, run.pipeline, dropped)
      // Streams that are in their targets keep the run: going on with it does not load them again.
      if (dropped.length === run.streams.length) await this.#checkpoints.forget(link, run.pipeline)
    })
  }

  get #capability(): Deployment {
    if (!this.#deployment) throw new NebulaError('lifecycle', { message: 'The destination was not opened.' })
    return this.#deployment
  }

  /** Without checkpoints whose rows are gone, because somebody dropped their staging collection. */
  async #withoutLost(link: Link, { moving, ...recalled }: Recalled & StoredRun): Promise<Recalled> {
    this.#reliedOn.clear()
    const { run, checkpoints } = recalled
    const staged = await this.#staged(link, run)
    const finished = this.#arrived({ ...recalled, moving }, staged)
    const kept = new Set<string>()
    for (const stream of run.streams) {
      const found = this.#latest(staged, run, stream)
      if (found) kept.add(stream.request.stream)
      if (found) this.#reliedOn.add(stagingPrefix(run, stream))
    }
    const lost = new Set(run.plan.partitions.filter(({ stream }) => !kept.has(stream)).map(({ id }) => id))
    return { ...recalled, finished, checkpoints: checkpoints.filter(({ partition }) => !lost.has(partition)) }
  }

  /** Streams that are in their targets: those of which it is stored, and those that were moved before it could be. */
  #arrived({ run, finished, moving }: StoredRun, staged: readonly CollectionInfo[]): string[] {
    const moved = run.streams.filter((stream) => {
      const { stream: name } = stream.request
      return moving.includes(name) && !finished.includes(name) && !this.#latest(staged, run, stream)
    })
    return [...finished, ...moved.map(({ request }) => request.stream)]
  }

  #staging(run: Run, stream: StreamPlan): Namespace {
    const epoch = this.#capability.transactional ? 0 : run.epoch
    return { ...this.locate(stream.target), collection: `${stagingPrefix(run, stream)}${epoch}` }
  }

  /** All staging collections of a pipeline, where any of these runs may have them. */
  #staged(link: Link, run: Run, before: Run = run): Promise<CollectionInfo[]> {
    const databases = new Set([...run.streams, ...before.streams].map(({ target }) => this.locate(target).database))
    const prefix = pipelinePrefix(run.pipeline)
    return findCollections(link, databases, (name) => name.startsWith(prefix))
  }

  #latest(staged: readonly CollectionInfo[], run: Run, stream: StreamPlan): CollectionInfo | undefined {
    return latestStaging(staged, this.locate(stream.target).database, stagingPrefix(run, stream))
  }

  async #dropStaging(link: Link, run: Run, streams: readonly StreamPlan[]): Promise<void> {
    const prefixes = streams.map((stream) => stagingPrefix(run, stream))
    for (const staging of await this.#staged(link, run))
      if (prefixes.some((prefix) => staging.collection.startsWith(prefix))) await drop(link, staging)
  }

  /** Puts the staging collection of a stream in the place where this process writes; `found` is where it was. */
  async #stage(link: Link, run: Run, stream: StreamPlan, found: CollectionInfo | undefined): Promise<Namespace> {
    const staging = this.#staging(run, stream)
    const [target] = await findNamed(link, [this.locate(stream.target)])
    if (!found) {
      if (this.#reliedOn.has(stagingPrefix(run, stream))) throw lostStaging(stream.target)
      await this.#checkpoints.reset(link, run.pipeline, stream)
      await createStaging(link, staging, target)
    } else if (found.collection !== staging.collection) await rename(link, found, staging)
    const isChecked = ({ unique, expireAfterSeconds }: Document): boolean =>
      unique === true && expireAfterSeconds === undefined
    if (target) await copyIndexes(link, target, staging, isChecked)
    return staging
  }

  /** Makes the staged rows of a stream those of its target, or some of them. */
  async #move(link: Link, stored: StoredRun, stream: StreamPlan): Promise<void> {
    const target = this.locate(stream.target)
    const [standing, staging] = await findNamed(link, [target, this.#staging(stored.run, stream)])
    if (!staging) throw lostStaging(stream.target)
    const { mode } = stream.request
    if (standing && mode !== 'overwrite')
      return mode === 'append' ? appendToTarget(link, staging, standing) : mergeIntoTarget(link, staging, standing)
    await this.#checkpoints.own(link, spell(target), staging.uuid)
    await this.#checkpoints.store(link, { ...stored, moving: [stream.request.stream] }, stored)
    if (standing) await copyIndexes(link, standing, staging, () => true)
    await rename(link, staging, target)
  }
}

function lostStaging(target: string): NebulaError {
  return new NebulaError('conflict', {
    message: `Somebody dropped the staging collection of ${target} while the run was about to go on.`,
  })
}
