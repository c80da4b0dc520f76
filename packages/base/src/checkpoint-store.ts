import type { Checkpoint, Recalled, Run, StreamPlan, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** Raised when what is stored changes its form or its meaning: newer reads older, older refuses newer. */
const VERSION = 2

/** The name of the table or collection of records. */
export const CHECKPOINTS = 'nebula_checkpoints'

/**
 * One of three. A run: part '', its id in `stream`. A partition: its pipeline is the `scopeOf` its run; sequence 0: nothing
 * of it was committed yet. Something that Nebula wrote: pipeline '', its id in `part`, its name in `stream`.
 */
export interface CheckpointRecord {
  readonly pipeline: string
  readonly part: string
  readonly epoch: number
  readonly sequence: number
  readonly stream: string
  /** JSON. */
  readonly content?: unknown
}

/** What is true of a record: what is equal, or at most. */
export interface Where {
  readonly pipeline: string
  readonly part?: string
  readonly stream?: string
  readonly epoch?: number | { readonly atMost: number }
  readonly sequence?: { readonly atMost: number }
}

/**
 * Where records are kept, by pipeline and part: what a destination gives. `session` is the unit of work: what is updated
 * in a transaction stays locked until it ends, and an update that waited for another looks again at its conditions.
 */
export interface CheckpointRecords<Session> {
  /** Makes the place for records; who else does waits for the end of the transaction. Left out: it makes itself. */
  create?(session: Session): Promise<void>
  /** The records of which all is true, as everybody sees them; none where nothing was created. */
  find(session: Session, where: Where): Promise<CheckpointRecord[]>
  /** Inserts those that are not there; false when some were. */
  insert(session: Session, records: readonly CheckpointRecord[]): Promise<boolean>
  /** Returns how many it changed. */
  update(session: Session, where: Where, set: Partial<CheckpointRecord>): Promise<number>
  delete(session: Session, where: Where): Promise<void>
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

  /** The run of a pipeline, with its checkpoints. */
  async recall(session: Session, pipeline: string): Promise<(Recalled & StoredRun) | undefined> {
    const stored = await this.#load(session, pipeline)
    if (!stored) return undefined
    const parts = await this.#records.find(session, { pipeline: scopeOf(stored.run) })
    const checkpoints = parts.flatMap(({ sequence, content }) => (sequence > 0 ? [content as Checkpoint] : []))
    return { ...stored, checkpoints }
  }

  /** The run of the pipeline, which stays as it is to the end of a transaction. Throws `fenced` when it is a newer one. */
  async current(session: Session, { pipeline, id, epoch }: Run): Promise<StoredRun | undefined> {
    await this.#records.update(session, { pipeline, part: '', epoch: { atMost: epoch } }, { sequence: 0 })
    const stored = await this.#load(session, pipeline)
    const newer = stored && (stored.run.epoch > epoch || (stored.run.epoch === epoch && stored.run.id !== id))
    if (newer) throw fenced()
    return stored
  }

  /** Throws `fenced` when the run is stored as this one no longer. By a write, which no member that lags behind answers. */
  async confirm(session: Session, run: Run): Promise<void> {
    if ((await this.#records.update(session, recordOf(run), { epoch: run.epoch })) !== 1) throw fenced()
  }

  /** Stores a run in place of the one that was there. Throws `fenced` when that is there no longer. */
  async store(session: Session, stored: StoredRun, before: StoredRun | undefined): Promise<void> {
    const record = { ...recordOf(stored.run), sequence: 0, content: { version: VERSION, ...stored } }
    const isStored = before
      ? (await this.#records.update(session, recordOf(before.run), record)) === 1
      : await this.#records.insert(session, [record])
    if (!isStored) throw fenced()
  }

  /** Gives every partition of the run its epoch, and makes those that are new. */
  async raise(session: Session, run: Run): Promise<void> {
    const { epoch, plan } = run
    const pipeline = scopeOf(run)
    await this.#records.update(session, { pipeline, epoch: { atMost: epoch } }, { epoch })
    const there = new Set((await this.#records.find(session, { pipeline })).map(({ part }) => part))
    const missing = plan.partitions.filter(({ id }) => !there.has(id))
    const records = missing.map(({ id: part, stream }) => ({ pipeline, part, epoch, sequence: 0, stream }))
    // Where some are there by now, whoever has taken over made them: this process is told when it commits.
    for (let at = 0; at < records.length; at += AT_ONCE)
      await this.#records.insert(session, records.slice(at, at + AT_ONCE))
  }

  /** The last commit of a task's partition. Throws `fenced`. */
  async sequence(session: Session, task: WriteTask): Promise<number> {
    const [found] = await this.#records.find(session, partitionOf(task))
    if (!found) throw fenced()
    return found.sequence
  }

  /** Throws `fenced` or `already_committed`. */
  async commit(session: Session, task: WriteTask, content: Checkpoint): Promise<void> {
    const { sequence } = content
    const where = { ...partitionOf(task), sequence: { atMost: sequence - 1 } }
    if ((await this.#records.update(session, where, { sequence, content })) === 1) return
    await this.sequence(session, task)
    throw new NebulaError('already_committed', { message: `Partition ${task.partition.id} was already committed.` })
  }

  /** The partitions of a stream begin again: their rows are gone. */
  async reset(session: Session, run: Run, { request: { stream } }: StreamPlan): Promise<void> {
    await this.#records.update(session, { pipeline: scopeOf(run), stream, epoch: run.epoch }, { sequence: 0 })
  }

  /** Forgets the partitions of streams; left out: of all. */
  async forget(session: Session, run: Run, streams?: readonly StreamPlan[]): Promise<void> {
    const all = { pipeline: scopeOf(run), epoch: { atMost: run.epoch } }
    if (!streams) return this.#records.delete(session, all)
    for (const { request } of streams) await this.#records.delete(session, { ...all, stream: request.stream })
  }

  /** Forgets the run, and with it its epoch. */
  async forgetRun(session: Session, run: Run): Promise<void> {
    await this.forget(session, run)
    await this.#records.delete(session, recordOf(run))
  }

  /**
   * Remembers that every row of what has a name is Nebula's, while that has this id. What is remembered of `standing`,
   * which has the name until then, stays.
   */
  async own(session: Session, name: string, id: string, standing = id): Promise<void> {
    const named = await this.#records.find(session, { pipeline: '', stream: name })
    const gone = named.map(({ part }) => part).filter((part) => part !== standing)
    for (const part of new Set([...gone, id])) await this.#records.delete(session, { pipeline: '', part })
    await this.#records.insert(session, [{ pipeline: '', part: id, epoch: 0, sequence: 0, stream: name }])
  }

  /** The names of what Nebula wrote, by ids. */
  async owned(session: Session): Promise<ReadonlyMap<string, string>> {
    const found = await this.#records.find(session, { pipeline: '' })
    return new Map(found.map(({ part, stream }) => [part, stream]))
  }

  async #load(session: Session, pipeline: string): Promise<StoredRun | undefined> {
    const [found] = await this.#records.find(session, { pipeline, part: '' })
    if (!found) return undefined
    const { version, ...stored } = found.content as StoredRun & { readonly version: number }
    if (version <= VERSION) return stored
    const message = `${CHECKPOINTS} has version ${version}; this Nebula reads up to ${VERSION}.`
    throw new NebulaError('state_newer', { message, place: CHECKPOINTS })
  }
}

function recordOf({ pipeline, id: stream, epoch }: Run): Omit<CheckpointRecord, 'sequence'> {
  return { pipeline, part: '', epoch, stream }
}

/** The id keeps the partitions of runs apart: epochs begin again behind one that was given up as a whole. */
function scopeOf({ pipeline, id }: Run): string {
  return `${pipeline}/${id}`
}

function partitionOf({ run, partition }: WriteTask): Where {
  return { pipeline: scopeOf(run), part: partition.id, epoch: run.epoch }
}

export function fenced(): NebulaError {
  return new NebulaError('fenced', { message: 'A newer run of this pipeline has taken over.' })
}
