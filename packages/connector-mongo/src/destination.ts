import type { Places, StagedStream, StandingTarget, Sweep } from '@nebula/base'
import { lostStaging, StagedDestination } from '@nebula/base'
import type {
  Acceptance,
  Context,
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
import { NebulaError } from '@nebula/core'
import type { SectionLimits } from '@nebula/formats'
import { acceptDocuments, encodingOf, SectionEncoder } from '@nebula/formats'
import type { Document } from 'mongodb'
import type { CollectionInfo } from './catalog.ts'
import { checkTargets } from './check-targets.ts'
import { CheckpointCollection } from './checkpoint-collection.ts'
import type { MongoConfig } from './config.ts'
import type { Link, Namespace } from './connection.ts'
import { isReplicated, MongoEnd, write } from './connection.ts'
import { appendToTarget, mergeIntoTarget } from './finish.ts'
import { parseFilter } from './queries.ts'
import { copyIndexes, findCollections, findNamed, rename, spell } from './staging.ts'
import { KeySweep } from './sweep.ts'
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

/** Writes every stream into a staging collection, which then becomes the target, or is copied into it. */
export class MongoDestination extends StagedDestination<Link, CollectionInfo> {
  readonly #end: MongoEnd
  #deployment: Deployment | undefined

  constructor(config: MongoConfig) {
    const end = new MongoEnd(config)
    const own = end.database ?? OWN_DATABASE
    super(end, new CheckpointCollection(own), own)
    this.#end = end
  }

  override readonly open = async (context: Context): Promise<void> => {
    await this.#end.open(context)
    const { hello } = this.#end
    this.#deployment = {
      limits: {
        documentBytes: Number(hello['maxBsonObjectSize']),
        sectionBytes: Number(hello['maxMessageSizeBytes']) - COMMAND_BYTES,
        documents: Number(hello['maxWriteBatchSize']),
      },
      transactional: isReplicated(hello),
    }
  }

  async check(requests: readonly TargetRequest[], context: Context): Promise<TargetCheck[]> {
    const targets = requests.map((request) => ({ ...request, ...this.#end.locate(request.target) }))
    return this.#end.use(context, 'Looking at the targets', (link) =>
      checkTargets(link, targets, this.#end.database ?? OWN_DATABASE),
    )
  }

  accept(request: StreamRequest, schema: Schema, wire: readonly string[], target?: TargetInfo): Acceptance {
    const { transactional } = this.#capability
    return acceptDocuments(this.#end.config, { request, schema, wire, transactional, stands: target !== undefined })
  }

  async writer(task: WriteTask, context: Context): Promise<Writer> {
    return new MongoWriter(task, {
      checkpoints: this.checkpoints,
      context,
      staging: this.#staging(task),
      transactional: this.#capability.transactional,
      encoder: this.#encoder(task.stream, context),
      lend: () => context.call(() => this.#end.lend(context)),
    })
  }

  protected readonly work: MongoEnd['use'] = (...work) => this.#end.use(...work)

  protected async standing(link: Link, targets: readonly string[]): Promise<(StandingTarget | undefined)[]> {
    const names = targets.map((target) => this.#end.locate(target))
    return (await findNamed(link, names)).map((one) => {
      if (!one) return undefined
      const { database, collection } = one
      const hasRows = async (): Promise<boolean> => {
        const options = { projection: { _id: 1 }, signal: link.signal }
        return (await link.client.db(database).collection(collection).findOne({}, options)) !== null
      }
      return { name: spell(one), id: idOf(one, one), info: { schema: { fields: [] } }, hasRows }
    })
  }

  protected async staged(link: Link, prefix: string, runs: readonly Run[]): Promise<Places<CollectionInfo>> {
    const streams = runs.flatMap((run) => run.streams)
    const databases = new Set(streams.map(({ target }) => this.#end.locate(target).database))
    const found = (await findCollections(link, databases)).filter(({ collection }) => collection.startsWith(prefix))
    return new Map(found.map((one) => [one.collection, one]))
  }

  protected async stage(link: Link, staged: StagedStream, found: CollectionInfo | undefined): Promise<void> {
    const staging = this.#staging(staged)
    const [target] = await findNamed(link, [this.#end.locate(staged.stream.target)])
    // A collection of limited size would forget rows before they are moved.
    const { capped: _capped, size: _size, max: _max, ...options } = target?.options ?? this.#rules(staged.stream)
    if (!found) await write(link, staging.database, { create: staging.collection, ...options })
    else if (found.collection !== staging.collection) await rename(link, found, staging)
    const isChecked = ({ unique, expireAfterSeconds }: Document): boolean =>
      unique === true && expireAfterSeconds === undefined
    if (target) await copyIndexes(link, target, staging, isChecked)
  }

  protected async drop(link: Link, { database, collection }: CollectionInfo): Promise<void> {
    await write(link, database, { drop: collection })
  }

  protected async move(link: Link, staged: StagedStream, moving: () => Promise<void>): Promise<void> {
    const { stream } = staged
    const target = this.#end.locate(stream.target)
    const [standing, staging] = await findNamed(link, [target, this.#staging(staged)])
    if (!staging) throw lostStaging(staged)
    const { mode } = stream.request
    if (standing && mode !== 'overwrite')
      return mode === 'append' ? appendToTarget(link, staging, standing) : mergeIntoTarget(link, staging, standing)
    await this.checkpoints.own(link, spell(target), idOf(staging, target), standing && idOf(standing, target))
    await moving()
    if (standing) await copyIndexes(link, standing, staging, () => true)
    await rename(link, staging, target)
  }

  protected sweepTarget(link: Link, sweep: Sweep): Promise<number> {
    const { stream, context } = sweep
    const target = this.#end.locate(stream.target)
    const encoder = this.#encoder(stream, context)
    return new KeySweep({ ...sweep, target, encoder, checkpoints: this.checkpoints }).run(link)
  }

  /** Where rows are written in transactions all processes share one: a rename would wait for those of an overtaken one. */
  protected override stagingEpoch({ epoch }: Run): number {
    return this.#capability.transactional ? 0 : epoch
  }

  get #capability(): Deployment {
    if (!this.#deployment) throw new NebulaError('lifecycle', { message: 'The destination was not opened.' })
    return this.#deployment
  }

  /** Of a new collection, where it takes those of its source. */
  #rules({ request: { rules }, accepted: { wire } }: StreamPlan): Document {
    return this.#end.config.validators && rules !== undefined && wire !== undefined ? parseFilter(rules) : {}
  }

  #staging(staged: StagedStream): Namespace {
    return { ...this.#end.locate(staged.stream.target), collection: this.stagingName(staged) }
  }

  #encoder({ schema, accepted: { wire } }: StreamPlan, { pool }: Context): SectionEncoder {
    const { limits } = this.#capability
    return new SectionEncoder({ ...encodingOf(this.#end.config, schema), takesWire: wire !== undefined, limits, pool })
  }
}

/** The UUID of a collection; where the server does not tell them, the name that it has or will have. */
function idOf({ uuid }: CollectionInfo, name: Namespace): string {
  return uuid === '' ? spell(name) : uuid
}
