import type { Checkpoint, Recalled, Run, StreamPlan, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Collection, Document, Filter } from 'mongodb'
import type { Link } from './connection.ts'
import { DURABLE, write } from './connection.ts'

/** Raised when what is stored changes its form: newer reads older, older refuses newer. */
const VERSION = 1
export const CHECKPOINTS = 'nebula_checkpoints'

/** A run as it is stored; without its checkpoints, which have documents of their own. */
export interface StoredRun {
  readonly run: Run
  readonly finished: readonly string[]
  readonly ended: boolean
  /** Streams whose staging is about to be renamed, or was: where it is gone, they are in their targets. */
  readonly moving: readonly string[]
}

/** What is stored of a partition; sequence 0: nothing was committed yet. */
interface PartDocument {
  readonly _id: string
  readonly pipeline: string
  readonly part: string
  readonly run: string
  readonly epoch: number
  readonly sequence: number
  readonly stream?: string
  readonly generation?: number
  /** JSON, so that no name of it has to be a name of a field. */
  readonly content?: string
}

/**
 * The collection beside the targets in which runs and checkpoints are kept: one document for the run (part ''), and one
 * for each partition, which `raise` makes before any row is written. All of them carry the run's epoch, and each change is
 * one update on condition of it: without a transaction, too, an overtaken run changes nothing. Pipeline '' are the
 * collections that Nebula wrote: their name in `part`, their UUID in `run`.
 */
export class CheckpointCollection {
  readonly database: string

  constructor(database: string) {
    this.database = database
  }

  /** The run of a pipeline, with its checkpoints. */
  async recall(link: Link, pipeline: string): Promise<(Recalled & StoredRun) | undefined> {
    const stored = await this.#load(link, pipeline)
    if (!stored) return undefined
    const parts = await this.#find(link, { pipeline, part: { $ne: '' }, run: stored.run.id, sequence: { $gt: 0 } })
    return { ...stored, checkpoints: parts.map(({ content = '' }) => JSON.parse(content) as Checkpoint) }
  }

  /** The run of the pipeline, unless a newer one has taken over: throws `fenced`. */
  async current(link: Link, { pipeline, id, epoch }: Run): Promise<StoredRun | undefined> {
    const stored = await this.#load(link, pipeline)
    const newer = stored && (stored.run.epoch > epoch || (stored.run.epoch === epoch && stored.run.id !== id))
    if (newer) throw fenced()
    return stored
  }

  /** Throws `fenced` when a newer run has taken over. No member that lags behind can hide it, for it is written. */
  async confirm(link: Link, { pipeline, id: run, epoch }: Run): Promise<void> {
    const { n } = await this.#update(link, { _id: idOf(pipeline, ''), run, epoch }, { epoch })
    if (n !== 1) throw fenced()
  }

  /** Stores a run in place of the one that was there. Throws `fenced` when that is there no longer. */
  async store(link: Link, stored: StoredRun, before: StoredRun | undefined): Promise<void> {
    const { pipeline, id: run, epoch } = stored.run
    const _id = idOf(pipeline, '')
    const content = JSON.stringify({ version: VERSION, ...stored })
    const document = { pipeline, part: '', run, epoch, sequence: 0, content }
    const { n, writeErrors } = before
      ? await this.#update(link, { _id, run: before.run.id, epoch: before.run.epoch }, document)
      : await write(link, this.database, { insert: CHECKPOINTS, documents: [{ _id, ...document }] })
    if (n !== 1 || writeErrors) throw fenced()
  }

  /** Gives every partition of the run its epoch, and makes those that are new; forgets those of other generations. */
  async raise(link: Link, { pipeline, id: run, epoch, plan, streams }: Run): Promise<void> {
    const parts = { pipeline, part: { $ne: '' } }
    const generations = new Map(streams.map(({ request, generation }) => [request.stream, generation]))
    const stale = [...generations].map(([stream, generation]) => ({ stream, generation: { $ne: generation } }))
    await this.#delete(link, { ...parts, $or: [{ run: { $ne: run } }, ...stale] })
    await this.#update(link, parts, { epoch }, { multi: true })
    const there = new Set((await this.#find(link, parts)).map(({ part }) => part))
    const documents = plan.partitions.flatMap(({ id: part, stream }): PartDocument[] => {
      if (there.has(part)) return []
      const generation = generations.get(stream) ?? 0
      return [{ _id: idOf(pipeline, part), pipeline, part, run, epoch, sequence: 0, stream, generation }]
    })
    if (documents.length > 0) await this.#collection(link).insertMany(documents, { writeConcern: DURABLE })
  }

  /** The last commit of a task's partition. Throws `fenced`. */
  async sequence(link: Link, { run, partition }: WriteTask): Promise<number> {
    const [found] = await this.#find(link, { _id: idOf(run.pipeline, partition.id), run: run.id, epoch: run.epoch })
    if (!found) throw fenced()
    return found.sequence
  }

  /** Throws `fenced` or `already_committed`. */
  async commit(link: Link, task: WriteTask, checkpoint: Checkpoint): Promise<void> {
    const { run, partition } = task
    const { sequence } = checkpoint
    const q = { _id: idOf(run.pipeline, partition.id), run: run.id, epoch: run.epoch, sequence: { $lt: sequence } }
    const { n } = await this.#update(link, q, { sequence, content: JSON.stringify(checkpoint) })
    if (n === 1) return
    await this.sequence(link, task)
    throw new NebulaError('already_committed', { message: `Partition ${partition.id} was already committed.` })
  }

  /** The partitions of a stream begin again: their rows are gone. */
  async reset(link: Link, pipeline: string, { request }: StreamPlan): Promise<void> {
    await this.#update(link, { pipeline, part: { $ne: '' }, stream: request.stream }, { sequence: 0 }, { multi: true })
  }

  /** Forgets the partitions of streams; without any, the whole run. */
  async forget(link: Link, pipeline: string, streams?: readonly StreamPlan[]): Promise<void> {
    const names = streams?.map(({ request }) => request.stream)
    await this.#delete(link, { pipeline, ...(names ? { part: { $ne: '' }, stream: { $in: names } } : {}) })
  }

  /** Remembers that every document of a collection is Nebula's. */
  async own(link: Link, name: string, uuid: string): Promise<void> {
    await this.#update(link, { _id: idOf('', name) }, { pipeline: '', part: name, run: uuid }, { upsert: true })
  }

  /** The UUIDs of collections that Nebula wrote, by their names. */
  async owned(link: Link): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.#find(link, { pipeline: '' })).map(({ part, run }) => [part, run]))
  }

  #collection({ client }: Link): Collection<PartDocument> {
    return client.db(this.database).collection(CHECKPOINTS)
  }

  async #load(link: Link, pipeline: string): Promise<StoredRun | undefined> {
    const [found] = await this.#find(link, { _id: idOf(pipeline, '') })
    if (!found) return undefined
    const { version, ...stored } = JSON.parse(found.content ?? '') as StoredRun & { readonly version: number }
    if (version <= VERSION) return stored
    const message = `${CHECKPOINTS} has version ${version}; this Nebula reads up to ${VERSION}.`
    throw new NebulaError('state_newer', { message, place: CHECKPOINTS })
  }

  #find(link: Link, filter: Filter<PartDocument>): Promise<PartDocument[]> {
    return this.#collection(link).find(filter, { signal: link.signal }).toArray()
  }

  #update(link: Link, q: Document, set: Document, options: Document = {}): Promise<Document> {
    return write(link, this.database, { update: CHECKPOINTS, updates: [{ q, u: { $set: set }, ...options }] })
  }

  async #delete(link: Link, q: Document): Promise<void> {
    await write(link, this.database, { delete: CHECKPOINTS, deletes: [{ q, limit: 0 }] })
  }
}

function idOf(pipeline: string, part: string): string {
  return JSON.stringify([pipeline, part])
}

function fenced(): NebulaError {
  return new NebulaError('fenced', { message: 'A newer run of this pipeline has taken over.' })
}
