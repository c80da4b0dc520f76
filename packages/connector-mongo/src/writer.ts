import { createHash } from 'node:crypto'
import type { CheckpointStore } from '@nebula/base'
import { unlessAborted } from '@nebula/base'
import type { Checkpoint, Context, RecordBatch, Rejection, Writer, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { DocumentSection, SectionEncoder } from '@nebula/formats'
import { keepDocuments } from '@nebula/formats'
import type { ClientSession } from 'mongodb'
import type { Lease, Link, Namespace } from './connection.ts'
import { DURABLE, write } from './connection.ts'
import { taskError } from './errors.ts'
import type { Refused } from './insert-documents.ts'
import { insertDocuments } from './insert-documents.ts'

export interface WriterPorts {
  readonly checkpoints: CheckpointStore<Link>
  readonly context: Context
  readonly staging: Namespace
  /** Rows and checkpoint are one transaction; else a repeated row that is there with the same bytes counts as written. */
  readonly transactional: boolean
  readonly encoder: SectionEncoder
  readonly lend: () => Promise<Lease>
}

const TRANSACTION = { readConcern: { level: 'local' }, writeConcern: DURABLE } as const
const LANDED: Promise<readonly Refused[]> = Promise.resolve([])
/** Of an ObjectId, before the number of the row. */
const SEED_BYTES = 8

/** Writes one partition into the staging collection of its stream; a section is on its way while the next is encoded. */
export class MongoWriter implements Writer {
  readonly #task: WriteTask
  readonly #ports: WriterPorts
  #lease: Lease | undefined
  #session: ClientSession | undefined
  /** The section under way. */
  #flight = LANDED
  /** The run was this one, and the encoder has the seed of the last commit. */
  #hasBegun = false
  /** What is in the transaction, when isolating: a refused row ends it, and then it is begun again. */
  #taken: DocumentSection[] = []

  constructor(task: WriteTask, ports: WriterPorts) {
    this.#task = task
    this.#ports = ports
  }

  async write(batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]> {
    const { isolate } = this.#task
    const { encoder, context } = this.#ports
    try {
      await this.#begin()
      const { sections, rejected } = encoder.encode(batch, from, to)
      if (!isolate && rejected[0]) throw rowRejected(rejected[0])
      for (const section of sections) {
        const before = this.#flight
        this.#flight = this.#send(section, before)
        this.#flight.catch(() => {})
        const refused = await (isolate ? this.#flight : before)
        rejected.push(...refused.map((one) => ({ ...one, place: batch.place(one.row) })))
      }
      encoder.taken(to - from)
      if (context.pool.isFull) encoder.free()
      return rejected.sort((a, b) => (a.row ?? 0) - (b.row ?? 0))
    } catch (error) {
      // Whoever isolates tries fewer rows; else nothing is written behind what failed.
      if (isolate) this.#flight = LANDED
      throw this.#failure(error)
    }
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const { checkpoints } = this.#ports
    try {
      const link = await this.#begin()
      await this.#flight
      await checkpoints.commit(link, this.#task, checkpoint)
      if (this.#session) await unlessAborted(this.#session.commitTransaction(), link.signal)
    } catch (error) {
      throw this.#failure(error)
    }
    this.#ports.encoder.begin(this.#seedBehind(checkpoint.sequence))
    await this.#release()
  }

  async abort(): Promise<void> {
    // Broken off it would still arrive, and perhaps make the staging collection anew, which is dropped by then.
    await this.#flight.catch(() => {})
    await this.#release()
  }

  /** Once for every commit; the first time, looks whether the run is still this one. */
  async #begin(): Promise<Link> {
    const { lend, transactional, checkpoints, encoder } = this.#ports
    const link = (this.#lease ??= await lend())
    if (!this.#hasBegun) {
      const seed = this.#seedBehind(await checkpoints.sequence(link, this.#task))
      if (!transactional) await this.#removeRemains(link, seed)
      encoder.begin(seed)
      this.#hasBegun = true
    }
    if (transactional && !this.#session) {
      this.#session = link.client.startSession()
      this.#session.startTransaction(TRANSACTION)
    }
    return { ...link, session: this.#session }
  }

  async #release(): Promise<void> {
    this.#ports.encoder.free()
    this.#flight = LANDED
    this.#taken = []
    const [session, lease] = [this.#session, this.#lease]
    this.#session = undefined
    this.#lease = undefined
    // A transaction that is open is undone by it.
    if (session && lease) await unlessAborted(session.endSession(), lease.signal).catch(() => {})
    lease?.release()
  }

  /** Behind the section before it. When not isolating, nothing is refused. */
  async #send(section: DocumentSection, before: Promise<unknown>): Promise<readonly Refused[]> {
    const { isolate } = this.#task
    try {
      await before
      const refused =
        isolate && this.#ports.transactional ? await this.#insertAgain(section) : await this.#insert(section)
      if (isolate || !refused[0]) return refused
      throw rowRejected(refused[0])
    } finally {
      section.free()
    }
  }

  async #insert(section: DocumentSection): Promise<Refused[]> {
    return insertDocuments(await this.#begin(), this.#ports.staging, section)
  }

  /** Inserts what can be inserted into a transaction that any refused document ends, and returns what cannot. */
  async #insertAgain(section: DocumentSection): Promise<readonly Refused[]> {
    const refused: Refused[] = []
    for (;;) {
      const gone = new Set(refused.map(({ row }) => row))
      const left = keepDocuments(section, (row) => !gone.has(row))
      if (left.count === 0) return refused
      const found = await this.#insert(left).catch(async (error: unknown) => {
        await this.#repeatTransaction()
        throw error
      })
      if (found.length === 0) {
        this.#taken.push(left)
        return refused
      }
      refused.push(...found)
      await this.#repeatTransaction()
    }
  }

  async #repeatTransaction(): Promise<void> {
    await this.#session?.abortTransaction().catch(() => {})
    this.#session?.startTransaction(TRANSACTION)
    for (const section of this.#taken) {
      const [refused] = await this.#insert(section)
      if (refused) throw new NebulaError('conflict', { message: `A row that was taken is refused. ${refused.reason}` })
    }
  }

  /** Of the run, the partition and a commit; with the number of a row since then it makes an `_id`. */
  #seedBehind(sequence: number): Uint8Array {
    const { run, stream, partition } = this.#task
    const parts = [run.id, stream.request.stream, stream.generation, partition.id, sequence]
    return createHash('sha256').update(JSON.stringify(parts)).digest().subarray(0, SEED_BYTES)
  }

  /** Rows of an attempt that did not commit, as far as their `_id`s are ours. */
  async #removeRemains(link: Link, seed: Uint8Array): Promise<void> {
    const { database, collection } = this.#ports.staging
    const { ObjectId } = await import('mongodb')
    const [first, last] = [0, 0xff].map((byte) => new ObjectId(Buffer.concat([seed, Buffer.alloc(4, byte)])))
    const deletes = [{ q: { _id: { $gte: first, $lte: last } }, limit: 0 }]
    await write(link, database, { delete: collection, deletes })
  }

  #failure(error: unknown): NebulaError {
    const { stream, partition } = this.#task
    return taskError(error, this.#ports.context, partition, `Writing ${stream.target}`)
  }
}

/** Found too late to say which row it is; whoever isolates it says so. */
function rowRejected({ reason }: Pick<Rejection, 'reason'>): NebulaError {
  return new NebulaError('row_rejected', { message: reason })
}
