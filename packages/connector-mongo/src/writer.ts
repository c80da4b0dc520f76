import { createHash } from 'node:crypto'
import { unlessAborted } from '@nebula/base'
import type { Checkpoint, Context, RecordBatch, Rejection, Writer, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { DocumentEncoding, DocumentRange, DocumentSection, SectionLimits } from '@nebula/formats'
import { cutDocuments, DocumentEncoder, generatedId, keepDocuments, largeDocuments } from '@nebula/formats'
import type { ClientSession } from 'mongodb'
import type { CheckpointCollection } from './checkpoint-collection.ts'
import type { Lease, Link, Namespace } from './connection.ts'
import { DURABLE, write } from './connection.ts'
import { taskError } from './errors.ts'
import type { Refused } from './insert-documents.ts'
import { insertDocuments } from './insert-documents.ts'

export interface WriterPorts {
  readonly checkpoints: CheckpointCollection
  readonly context: Context
  readonly staging: Namespace
  readonly limits: SectionLimits
  /** Rows and checkpoint are one transaction; else a repeated row that is there with the same bytes counts as written. */
  readonly transactional: boolean
  readonly encoding: DocumentEncoding
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
  #encoder: DocumentEncoder | undefined
  /** The section under way. */
  #flight = LANDED
  /** Of the run, the partition and its last commit; with the number of a row since then it makes an `_id`. */
  #seed: Uint8Array | undefined
  #rows = 0
  /** Of the row 0 of a batch. */
  #numberOfFirst = 0
  /** What is in the transaction, when isolating: a refused row ends it, and then it is begun again. */
  #taken: DocumentSection[] = []

  constructor(task: WriteTask, ports: WriterPorts) {
    this.#task = task
    this.#ports = ports
  }

  async write(batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]> {
    const { isolate } = this.#task
    const { limits, context } = this.#ports
    try {
      await this.#begin()
      const documents = this.#documents(batch, from, to)
      const rejected = [...documents.rejected, ...tooLarge(documents, batch, limits)]
      if (!isolate && rejected[0]) throw rowRejected(rejected[0])
      for (const section of cutDocuments(documents, limits, context.pool)) {
        const before = this.#flight
        this.#flight = this.#send(section, before)
        this.#flight.catch(() => {})
        const refused = await (isolate ? this.#flight : before)
        rejected.push(...refused.map((one) => ({ ...one, place: batch.place(one.row) })))
      }
      this.#rows += to - from
      // What it keeps for the next batch must not keep that one from being read.
      if (context.pool.statistics.used >= context.pool.limit) this.#encoder?.free()
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
    this.#seed = this.#seedBehind(checkpoint.sequence)
    await this.#release()
  }

  async abort(): Promise<void> {
    // Broken off it would still arrive, and perhaps make the staging collection anew, which is dropped by then.
    await this.#flight.catch(() => {})
    await this.#release()
  }

  /** Once for every commit; the first time, looks whether the run is still this one. */
  async #begin(): Promise<Link> {
    const { lend, transactional, checkpoints } = this.#ports
    const link = (this.#lease ??= await lend())
    if (!this.#seed) {
      this.#seed = this.#seedBehind(await checkpoints.sequence(link, this.#task))
      if (!transactional) await this.#removeRemains(link, this.#seed)
    }
    if (transactional && !this.#session) {
      this.#session = link.client.startSession()
      this.#session.startTransaction(TRANSACTION)
    }
    return { ...link, session: this.#session }
  }

  async #release(): Promise<void> {
    this.#encoder?.free()
    this.#flight = LANDED
    this.#taken = []
    this.#rows = 0
    const [session, lease] = [this.#session, this.#lease]
    this.#session = undefined
    this.#lease = undefined
    // A transaction that is open is undone by it.
    if (session && lease) await unlessAborted(session.endSession(), lease.signal).catch(() => {})
    lease?.release()
  }

  #documents(
    batch: RecordBatch,
    from: number,
    to: number,
  ): DocumentRange & { readonly rejected: readonly Rejection[] } {
    const wire = this.#task.stream.accepted.wire === undefined ? undefined : batch.wire
    if (wire)
      return { data: wire.data, offsets: wire.offsets.subarray(from, to + 1), rows: undefined, from, rejected: [] }
    const { encoding, context } = this.#ports
    this.#numberOfFirst = this.#rows - from
    const generateId = (row: number, bytes: Uint8Array, at: number): void =>
      generatedId(this.#seed as Uint8Array, this.#numberOfFirst + row, bytes, at)
    this.#encoder ??= new DocumentEncoder({ ...encoding, generateId, pool: context.pool })
    return { ...this.#encoder.encode(batch, from, to), from }
  }

  /** Behind the section before it. When not isolating, nothing is refused. */
  async #send(section: DocumentSection, before: Promise<unknown>): Promise<readonly Refused[]> {
    const { context, transactional } = this.#ports
    const { isolate } = this.#task
    try {
      await before
      const refused = isolate && transactional ? await this.#insertAgain(section) : await this.#insert(section)
      if (isolate || !refused[0]) return refused
      throw rowRejected(refused[0])
    } finally {
      if (section.memory) context.pool.give(section.memory)
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

function tooLarge(documents: DocumentRange, batch: RecordBatch, limits: SectionLimits): Rejection[] {
  return largeDocuments(documents, limits).map(({ row, bytes }) => {
    const reason = `The document has ${bytes} bytes; MongoDB takes ${limits.documentBytes}.`
    return { row, code: 'row_rejected', reason, place: batch.place(row) }
  })
}

/** Found too late to say which row it is; whoever isolates it says so. */
function rowRejected({ reason }: Pick<Rejection, 'reason'>): NebulaError {
  return new NebulaError('row_rejected', { message: reason })
}
