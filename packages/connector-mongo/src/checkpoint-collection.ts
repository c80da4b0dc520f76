import type { CheckpointRecord, CheckpointRecords, Where } from '@nebula/base'
import { CHECKPOINTS } from '@nebula/base'
import type { Document } from 'mongodb'
import type { Link } from './connection.ts'
import { write } from './connection.ts'
import { throwOther } from './raw-write.ts'

type Stored = Omit<CheckpointRecord, 'content'> & { readonly content?: string }

/** The collection of the records of runs and checkpoints; their contents are text, so that no name in one is a field. */
export class CheckpointCollection implements CheckpointRecords<Link> {
  readonly database: string

  constructor(database: string) {
    this.database = database
  }

  async find({ client, signal }: Link, where: Where): Promise<CheckpointRecord[]> {
    // Others may lag behind.
    const options = { signal, readPreference: 'primary' } as const
    const collection = client.db(this.database).collection<Stored>(CHECKPOINTS)
    const found = await collection.find(filterOf(where), options).toArray()
    return found.map(({ content, ...record }) => ({ ...record, content: content && JSON.parse(content) }))
  }

  async insert(link: Link, records: readonly CheckpointRecord[]): Promise<boolean> {
    const documents = records.map((record) => ({ _id: idOf(record.pipeline, record.part), ...stored(record) }))
    const { n, writeErrors } = await write(link, this.database, { insert: CHECKPOINTS, ordered: false, documents })
    throwOther(writeErrors)
    return n === records.length
  }

  async update(link: Link, where: Where, set: Partial<CheckpointRecord>): Promise<number> {
    const update = { q: filterOf(where), u: { $set: stored(set) }, multi: true }
    const { n, writeErrors } = await write(link, this.database, { update: CHECKPOINTS, updates: [update] })
    throwOther(writeErrors)
    return Number(n)
  }

  async delete(link: Link, where: Where): Promise<void> {
    await write(link, this.database, { delete: CHECKPOINTS, deletes: [{ q: filterOf(where), limit: 0 }] })
  }
}

/** By the one index that there is, where a record is named. */
function filterOf({ pipeline, part, ...others }: Where): Document {
  const named = part === undefined ? { pipeline } : { _id: idOf(pipeline, part) }
  const conditions = Object.entries(others).map(([field, value]) => [
    field,
    typeof value === 'object' ? { $lte: value.atMost } : value,
  ])
  return { ...named, ...Object.fromEntries(conditions) }
}

function stored(record: Partial<CheckpointRecord>): Partial<Stored> {
  const { content, ...fields } = record
  return content === undefined ? fields : { ...fields, content: JSON.stringify(content) }
}

function idOf(pipeline: string, part: string): string {
  return JSON.stringify([pipeline, part])
}
