import type { CheckpointStore, Sweep } from '@nebula/base'
import { nothingLeft } from '@nebula/base'
import type { Rejection } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { DocumentSection, SectionEncoder } from '@nebula/formats'
import { removeDocuments } from '@nebula/formats'
import type { AggregationCursor, Document } from 'mongodb'
import type { CollectionInfo } from './catalog.ts'
import type { Link, Namespace } from './connection.ts'
import { write } from './connection.ts'
import { throwOther, writeRaw } from './raw-write.ts'
import { findNamed } from './staging.ts'

export interface KeySweepInput extends Sweep {
  readonly target: Namespace
  readonly encoder: SectionEncoder
  readonly checkpoints: CheckpointStore<Link>
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
    this.#keys = { database: input.target.database, collection: input.name }
  }

  /** Returns how many were deleted. Throws `fenced`, and `deletes_refused` where none would be left. */
  async run(link: Link): Promise<number> {
    const { stream, target } = this.#input
    await this.#drop(link)
    try {
      const [standing] = await findNamed(link, [target])
      const uuid = await this.#create(link, standing)
      await this.#load(link)
      const [kept] = await this.#compare(link, { $ne: [] }, 1).toArray()
      let deleted = 0
      let gone: Uint8Array[] = []
      const remove = async (): Promise<void> => {
        await this.#confirm(link, uuid)
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
    if (left) await write(link, left.database, { drop: left.collection })
  }

  /** Equal to the target in what makes values equal. Returns its UUID. */
  async #create(link: Link, standing: CollectionInfo | undefined): Promise<string | undefined> {
    const { collation } = standing?.options ?? {}
    const { database, collection } = this.#keys
    await write(link, database, { create: collection, ...(collation === undefined ? {} : { collation }) })
    const [own] = await findNamed(link, [this.#keys])
    return own?.uuid
  }

  async #load(link: Link): Promise<void> {
    const { encoder, keys } = this.#input
    try {
      for await (const batch of keys) {
        const { sections, rejected } = encoder.encode(batch, 0, batch.rows)
        if (rejected[0]) throw unknownKey(rejected[0])
        for (const section of sections) await this.#insert(link, section)
      }
    } finally {
      encoder.free()
    }
  }

  async #insert(link: Link, section: DocumentSection): Promise<void> {
    try {
      throwOther((await writeRaw(link, this.#keys, 'insert', section.bytes)).errors)
    } finally {
      section.free()
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
  async #confirm(link: Link, uuid: string | undefined): Promise<void> {
    await this.#input.checkpoints.confirm(link, this.#input.run)
    const [now] = await findNamed(link, [this.#keys])
    if (now && now.uuid === uuid) return
    const message = `Somebody dropped the keys of ${this.#input.stream.target} while deleted rows were looked for.`
    throw new NebulaError('conflict', { message })
  }

  async #remove(link: Link, documents: readonly Uint8Array[]): Promise<number> {
    const { errors, count } = await writeRaw(link, this.#input.target, 'delete', removeDocuments(documents).bytes)
    throwOther(errors)
    return count
  }
}

/** A key that no document has: nobody knows for which of the target's it stands. */
function unknownKey({ place, reason }: Rejection): NebulaError {
  return new NebulaError('deletes_refused', {
    message: `${place}: ${reason}`,
    fix: 'Leave rows without a key out by where, or write deletes: ignore.',
  })
}
