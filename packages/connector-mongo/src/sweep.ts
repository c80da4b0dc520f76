import { nothingLeft } from '@nebula/base'
import type { Context, RecordBatch, Run, StreamPlan } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { DocumentEncoding, DocumentRange, DocumentSection, SectionLimits } from '@nebula/formats'
import { cutDocuments, DocumentEncoder, removeDocuments } from '@nebula/formats'
import type { AggregationCursor, Document } from 'mongodb'
import type { CollectionInfo } from './catalog.ts'
import type { CheckpointCollection } from './checkpoint-collection.ts'
import type { Link, Namespace } from './connection.ts'
import { write } from './connection.ts'
import { mongoError } from './errors.ts'
import { DUPLICATE_KEY } from './insert-documents.ts'
import type { WriteError } from './raw-write.ts'
import { writeRaw } from './raw-write.ts'
import { drop, findNamed, keysName } from './staging.ts'

export interface KeySweepInput {
  readonly run: Run
  /** With its key alone. */
  readonly stream: StreamPlan
  readonly target: Namespace
  readonly checkpoints: CheckpointCollection
  readonly limits: SectionLimits
  /** Undefined: keys come as documents. */
  readonly encoding: DocumentEncoding | undefined
  readonly context: Context
}

/** Documents that are deleted by one command. */
const AT_ONCE = 1000
/** Each document of the target with those of the keys that are equal to its `_id` to the server: none, or one. */
const KEYS = 'key'

/**
 * Deletes the documents of a target whose `_id` is none of the keys. These are put into a collection of their own; whoever
 * takes the run over drops it behind raising the epoch, so what is found missing counts only while neither has changed.
 */
export class KeySweep {
  readonly #input: KeySweepInput
  readonly #keys: Namespace

  constructor(input: KeySweepInput) {
    this.#input = input
    this.#keys = { database: input.target.database, collection: keysName(input.run, input.stream) }
  }

  /** Returns how many were deleted. Throws `fenced`, and `deletes_refused` where none would be left. */
  async run(link: Link, keys: AsyncIterable<RecordBatch>): Promise<number> {
    const { stream, target } = this.#input
    await this.#drop(link)
    try {
      const [standing] = await findNamed(link, [target])
      const own = await this.#create(link, standing)
      await this.#load(link, keys)
      const [kept] = await this.#compare(link, { $ne: [] }, 1).toArray()
      let deleted = 0
      let gone: Uint8Array[] = []
      const remove = async (): Promise<void> => {
        await this.#confirm(link, own)
        if (!kept) throw nothingLeft(stream.target)
        deleted += await this.#remove(link, gone)
        gone = []
      }
      for await (const document of this.#compare(link, { $eq: [] })) {
        gone.push(document as Uint8Array)
        if (gone.length === AT_ONCE) await remove()
      }
      if (gone.length > 0) await remove()
      return deleted
    } finally {
      // What is left over is dropped when the next run is prepared.
      await this.#drop(link).catch(() => {})
    }
  }

  async #drop(link: Link): Promise<void> {
    const [left] = await findNamed(link, [this.#keys])
    if (left) await drop(link, left)
  }

  /** Equal to the target in what makes values equal. */
  async #create(link: Link, standing: CollectionInfo | undefined): Promise<CollectionInfo> {
    const { collation } = standing?.options ?? {}
    const { database, collection } = this.#keys
    await write(link, database, { create: collection, ...(collation === undefined ? {} : { collation }) })
    const [own] = await findNamed(link, [this.#keys])
    if (own) return own
    throw this.#dropped()
  }

  async #load(link: Link, keys: AsyncIterable<RecordBatch>): Promise<void> {
    const { encoding, limits, context } = this.#input
    const encoder = encoding && new DocumentEncoder({ ...encoding, generateId: generateNone, pool: context.pool })
    try {
      for await (const batch of keys)
        for (const section of cutDocuments(documentsOf(batch, encoder), limits, context.pool))
          await this.#insert(link, section)
    } finally {
      encoder?.free()
    }
  }

  async #insert(link: Link, { bytes, memory }: DocumentSection): Promise<void> {
    try {
      const { errors } = await writeRaw(link, this.#keys, 'insert', bytes)
      refuse(errors.find(({ code }) => code !== DUPLICATE_KEY))
    } finally {
      if (memory) this.#input.context.pool.give(memory)
    }
  }

  /** Documents of the target, with nothing but their `_id`, for whose keys this is true. From the primary, which has all keys. */
  #compare({ client, signal }: Link, condition: Document, limit?: number): AggregationCursor {
    const { database, collection } = this.#input.target
    const stages = [
      { $project: { _id: 1 } },
      { $lookup: { from: this.#keys.collection, localField: '_id', foreignField: '_id', as: KEYS } },
      { $match: { [KEYS]: condition } },
      ...(limit === undefined ? [] : [{ $limit: limit }]),
      { $project: { _id: 1 } },
    ]
    const options = { raw: true, batchSize: AT_ONCE, readPreference: 'primary', signal } as const
    return client.db(database).collection(collection).aggregate(stages, options)
  }

  /** What was compared with was all keys: the run is this one, and its collection the one that they were put into. */
  async #confirm(link: Link, own: CollectionInfo): Promise<void> {
    const { checkpoints, run } = this.#input
    await checkpoints.confirm(link, run)
    const [now] = await findNamed(link, [this.#keys])
    if (now?.uuid !== own.uuid) throw this.#dropped()
  }

  async #remove(link: Link, documents: readonly Uint8Array[]): Promise<number> {
    const { errors, count } = await writeRaw(link, this.#input.target, 'delete', removeDocuments(documents).bytes)
    refuse(errors[0])
    return count
  }

  #dropped(): NebulaError {
    const message = `Somebody dropped the keys of ${this.#input.stream.target} while deleted rows were looked for.`
    return new NebulaError('conflict', { message })
  }
}

function refuse(error: WriteError | undefined): void {
  if (error) throw mongoError(Object.assign(new Error(error.errmsg), { code: error.code }))
}

/** Where a row has no `_id`, its document got a new one that nobody could find again. */
function generateNone(): never {
  throw new NebulaError('deletes_refused', {
    message: 'A row of the source has no _id, so its document at the target would be taken for one that is gone.',
    fix: 'Leave rows without a key out by where, or write deletes: ignore.',
  })
}

/** Throws `deletes_refused` for a key that no document has, and nobody knows for which it stands. */
function documentsOf(batch: RecordBatch, encoder: DocumentEncoder | undefined): DocumentRange {
  const { wire, rows } = batch
  if (!encoder && wire)
    return { data: wire.data, offsets: wire.offsets.subarray(0, rows + 1), rows: undefined, from: 0 }
  const { rejected, ...documents } = (encoder as DocumentEncoder).encode(batch, 0, rows)
  const [first] = rejected
  if (!first) return { ...documents, from: 0 }
  throw new NebulaError('deletes_refused', { message: `${first.place}: ${first.reason}`, stream: batch.stream })
}
