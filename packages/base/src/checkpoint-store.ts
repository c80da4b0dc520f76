import type { Checkpoint, Recalled, Run, StreamPlan, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** Raised when what is stored changes its form or its meaning: newer reads older, older refuses newer. */
const VERSION = 2

/** The name of the table or collection of records. */
export const CHECKPOINTS = 'nebula_checkpoints'

/**
 * One of three. A run: part '', its id in `stream`. A partition of a run: `pipeline` is that of `partitionsOf`; sequence 0:
 * nothing of it was committed yet. Something that Nebula wrote: pipeline '', its id in `part`, its name in `stream`.
 */
export interface CheckpointRecord {
  readonly pipeline: string
  readonly part: string
  readonly epoch: number
  readonly sequence: number
  readonly stream: string
  readonly generation: number
  /** JSON. */
  readonly content?: unknown
}

/** What is true of a record. */
export type Condition = {
  [Field in Exclude<keyof CheckpointRecord, 'content'>]: readonly [Field, '=' | '<' | '<=', CheckpointRecord[Field]]
}[Exclude<keyof CheckpointRecord, 'content'>]

/**
 * Where records are kept, by pipeline and part: what a destination gives. `session` is the unit of work: what is updated
 * in a transaction stays locked until it ends, and an update that waited for another looks again at its conditions.
 */
export interface CheckpointRecords<Session> {
  /** False: there are none. Left out: true. */
  exists?(session: Session): Promise<boolean>
  /** Makes the place for records; who else does waits for the end of the transaction. Left out: it makes itself. */
  create?(session: Session): Promise<void>
  /** The records of which all is true, as everybody sees them. */
  find(session: Session, where: readonly Condition[]): Promise<CheckpointRecord[]>
  /** Inserts those that are not there; false when some were. */
  insert(session: Session, records: readonly CheckpointRecord[]): Promise<boolean>
  /** Returns how many it changed. */
  update(session: Session, where: readonly Condition[], set: Partial<CheckpointRecord>): Promise<number>
  delete(session: Session, where: readonly Condition[]): Promise<void>
}

/** A run as it is stored; without its checkpoints, which have records of their own. */
export interface StoredRun {
  readonly run: Run
  readonly finished: readonly string[]
  readonly ended: boolean
  /** Streams whose staging is about to be renamed, or was: where it is gone, they are in their targets. */
  readonly moving?: readonly string[]
}

/** Records that are inserted at once, at most. */
const AT_ONCE = 1000

/**
 * Runs and checkpoints beside the targets. `raise` gives all partitions of a run its epoch before any row is written, and
 * each change is one update on condition of it: without a transaction, too, an overtaken process changes nothing. The
 * epoch names the process, for two that chose the same one meet at `store`.
 */
export class CheckpointStore<Session> {
  readonly #records: CheckpointRecords<Session>

  constructor(records: CheckpointRecords<Session>) {
    this.#records = records
  }

  async create(session: Session): Promise<void> {
    await this.#records.create?.(session)
  }

  /** The run of a pipeline, with its checkpoints. */
  async recall(session: Session, pipeline: string): Promise<(Recalled & StoredRun) | undefined> {
    const stored = (await this.#exists(session)) ? await this.#load(session, pipeline) : undefined
    if (!stored) return undefined
    const parts = await this.#records.find(session, [partitionsOf(stored.run)])
    const committed = parts.filter(({ sequence }) => sequence > 0)
    return { ...stored, checkpoints: committed.map(({ content }) => content as Checkpoint) }
  }

  /** The run of the pipeline, which stays as it is to the end of a transaction. Throws `fenced` when it is a newer one. */
  async current(session: Session, { pipeline, id, epoch }: Run): Promise<StoredRun | undefined> {
    if (!(await this.#exists(session))) return undefined
    await this.#records.update(session, [...runOf(pipeline), ['epoch', '<=', epoch]], { sequence: 0 })
    const stored = await this.#load(session, pipeline)
    const newer = stored && (stored.run.epoch > epoch || (stored.run.epoch === epoch && stored.run.id !== id))
    if (newer) throw fenced()
    return stored
  }

  /** Throws `fenced` when the run is not stored as this one, to the end of a transaction. */
  async confirm(session: Session, run: Run): Promise<void> {
    if ((await this.#records.update(session, thisRun(run), { epoch: run.epoch })) !== 1) throw fenced()
  }

  /** Stores a run in place of the one that was there. Throws `fenced` when that is there no longer. */
  async store(session: Session, stored: StoredRun, before: StoredRun | undefined): Promise<void> {
    const { pipeline, id: stream, epoch } = stored.run
    const content = { version: VERSION, ...stored }
    const isStored = before
      ? (await this.#records.update(session, thisRun(before.run), { epoch, stream, content })) === 1
      : await this.#records.insert(session, [
          { pipeline, part: '', epoch, sequence: 0, stream, generation: 0, content },
        ])
    if (!isStored) throw fenced()
  }

  /** Gives every partition of the run its epoch, makes those that are new, and forgets those of other generations. */
  async raise(session: Session, run: Run): Promise<void> {
    const { epoch, plan, streams } = run
    const mine = [partitionsOf(run), ['epoch', '<=', epoch]] as const
    const parts = await this.#records.find(session, [partitionsOf(run)])
    const generations = new Map(streams.map(({ request, generation }) => [request.stream, generation]))
    for (const [stream, generation] of generations)
      if (parts.some((part) => part.stream === stream && part.generation < generation))
        await this.#records.delete(session, [...mine, ['stream', '=', stream], ['generation', '<', generation]])
    await this.#records.update(session, mine, { epoch })
    const kept = parts.filter(({ stream, generation }) => generation >= (generations.get(stream) ?? 0))
    const there = new Set(kept.map(({ part }) => part))
    const [, , pipeline] = partitionsOf(run)
    const missing = plan.partitions
      .filter(({ id }) => !there.has(id))
      .map(({ id: part, stream }): CheckpointRecord => {
        return { pipeline, part, epoch, sequence: 0, stream, generation: generations.get(stream) ?? 0 }
      })
    // Where some are there, another process that has the run by now made them: this one is told as soon as it commits.
    for (let at = 0; at < missing.length; at += AT_ONCE)
      await this.#records.insert(session, missing.slice(at, at + AT_ONCE))
  }

  /** The last commit of a task's partition. Throws `fenced`. */
  async sequence(session: Session, task: WriteTask): Promise<number> {
    const [found] = await this.#records.find(session, thisPartition(task))
    if (!found) throw fenced()
    return found.sequence
  }

  /** Throws `fenced` or `already_committed`. */
  async commit(session: Session, task: WriteTask, content: Checkpoint): Promise<void> {
    const { sequence } = content
    const where = [...thisPartition(task), ['sequence', '<', sequence]] as const
    if ((await this.#records.update(session, where, { sequence, content })) === 1) return
    await this.sequence(session, task)
    throw new NebulaError('already_committed', { message: `Partition ${task.partition.id} was already committed.` })
  }

  /** The partitions of a stream begin again: their rows are gone. */
  async reset(session: Session, run: Run, { request }: StreamPlan): Promise<void> {
    const where = [partitionsOf(run), ['stream', '=', request.stream], ['epoch', '=', run.epoch]] as const
    await this.#records.update(session, where, { sequence: 0 })
  }

  /** Forgets the partitions of streams, or all. */
  async forget(session: Session, run: Run, streams?: readonly StreamPlan[]): Promise<void> {
    const mine: readonly Condition[] = [partitionsOf(run), ['epoch', '<=', run.epoch]]
    if (!streams) return this.#records.delete(session, mine)
    for (const { request } of streams) await this.#records.delete(session, [...mine, ['stream', '=', request.stream]])
  }

  /** Forgets a run as it is stored, with its partitions. */
  async forgetRun(session: Session, run: Run): Promise<void> {
    await this.forget(session, run)
    await this.#records.delete(session, thisRun(run))
  }

  /**
   * Remembers that every row of what has a name is Nebula's, while that has this id. What is remembered of `standing`,
   * which has the name until then, stays.
   */
  async own(session: Session, name: string, id: string, standing = id): Promise<void> {
    const named = await this.#records.find(session, [
      ['pipeline', '=', ''],
      ['stream', '=', name],
    ])
    const gone = named.map(({ part }) => part).filter((part) => part !== standing)
    for (const part of new Set([...gone, id]))
      await this.#records.delete(session, [
        ['pipeline', '=', ''],
        ['part', '=', part],
      ])
    await this.#records.insert(session, [
      { pipeline: '', part: id, epoch: 0, sequence: 0, stream: name, generation: 0 },
    ])
  }

  /** The names of what Nebula wrote, by ids. */
  async owned(session: Session): Promise<ReadonlyMap<string, string>> {
    const found = (await this.#exists(session)) ? await this.#records.find(session, [['pipeline', '=', '']]) : []
    return new Map(found.map(({ part, stream }) => [part, stream]))
  }

  async #exists(session: Session): Promise<boolean> {
    return (await this.#records.exists?.(session)) ?? true
  }

  async #load(session: Session, pipeline: string): Promise<StoredRun | undefined> {
    const [found] = await this.#records.find(session, runOf(pipeline))
    if (!found) return undefined
    const { version, ...stored } = found.content as StoredRun & { readonly version: number }
    if (version <= VERSION) return stored
    const message = `${CHECKPOINTS} has version ${version}; this Nebula reads up to ${VERSION}.`
    throw new NebulaError('state_newer', { message, place: CHECKPOINTS })
  }
}

function runOf(pipeline: string): readonly Condition[] {
  return [
    ['pipeline', '=', pipeline],
    ['part', '=', ''],
  ]
}

function thisRun({ pipeline, id, epoch }: Run): readonly Condition[] {
  return [...runOf(pipeline), ['epoch', '=', epoch], ['stream', '=', id]]
}

/** The id keeps runs apart: epochs begin again behind one that was given up as a whole. */
function partitionsOf({ pipeline, id }: Run): readonly ['pipeline', '=', string] {
  return ['pipeline', '=', `${pipeline}/${id}`]
}

function thisPartition({ run, partition }: WriteTask): readonly Condition[] {
  return [partitionsOf(run), ['part', '=', partition.id], ['epoch', '=', run.epoch]]
}

export function fenced(): NebulaError {
  return new NebulaError('fenced', { message: 'A newer run of this pipeline has taken over.' })
}
