import assert from 'node:assert/strict'
import type { Db, Document } from 'mongodb'
import type { TextRow } from './compare-rows.ts'
import type { SceneEnd, ScenePlace } from './scene-end.ts'
import { TABLE } from './scene-end.ts'
import { PLAIN } from './scene-table.ts'

/** Every value as a class of its type. */
const TYPED = { promoteValues: false, promoteBuffers: false } as const

/** A database of documents. */
export class MongoEnd implements SceneEnd {
  readonly stream = TABLE
  readonly keys: object
  readonly #place: ScenePlace

  constructor(place: ScenePlace) {
    this.keys = { connector: 'mongo', url: `\${${place.role.toUpperCase()}_URL}` }
    this.#place = place
  }

  async clear(): Promise<void> {
    await ask(this.#place.url, (db) => db.dropDatabase())
  }

  drop(): Promise<void> {
    return this.clear()
  }

  async put(rows: readonly TextRow[]): Promise<void> {
    const documents = await documentsOf(rows, this.#place.keyed)
    await ask(this.#place.url, (db) => db.collection(TABLE).insertMany(documents))
  }

  async rows(): Promise<TextRow[]> {
    const { BSON } = await import('mongodb')
    const find = (db: Db): Promise<Document[]> => db.collection(TABLE).find({}, { raw: true }).toArray()
    const found = (await ask(this.#place.url, find)) as Uint8Array[]
    const isText = this.#place.shape === PLAIN
    return found.map((bytes) => {
      const document = BSON.deserialize(bytes, TYPED)
      return isText ? textsOf(document, BSON.Decimal128) : bytesOf(document, bytes)
    })
  }

  /** Documents that come from documents are compared byte by byte. */
  async asRead(rows: readonly TextRow[]): Promise<TextRow[]> {
    if (this.#place.shape === PLAIN) return [...rows]
    const { BSON } = await import('mongodb')
    return (await documentsOf(rows)).map((document) => bytesOf(document, BSON.serialize(document)))
  }

  async expectNothingLeft(): Promise<void> {
    const list = (db: Db): Promise<Document[]> => db.listCollections({}, { nameOnly: true }).toArray()
    const names = (await ask(this.#place.url, list)).map(({ name }) => String(name)).toSorted()
    assert.deepEqual(names, this.#place.role === 'source' ? [TABLE] : ['nebula_checkpoints', TABLE])
  }
}

/** A database that is not there yet, at the server of a URL. */
export function newMongoDatabase(server: string): string {
  const url = new URL(server)
  url.pathname = `/nebula_scene_${crypto.randomUUID().slice(0, 12)}`
  if (url.username !== '' && !url.searchParams.has('authSource')) url.searchParams.set('authSource', 'admin')
  return url.href
}

/** Over a connection of its own: a server may have been killed since the last one. */
async function ask<T>(url: string, question: (db: Db) => Promise<T>): Promise<T> {
  const { MongoClient } = await import('mongodb')
  await using client = new MongoClient(url)
  return await question(client.db())
}

/** `keyed`: the first column of a row is the `_id` of its document. */
async function documentsOf(rows: readonly TextRow[], keyed = false): Promise<Document[]> {
  const { BSON } = await import('mongodb')
  return rows.map((row) => {
    const texts = row.length === PLAIN.names.length ? [null, ...row] : row
    const [key = null, id = null, note = null, amount = null, day = null, overflow = null] = texts
    const number = BSON.Long.fromString(id ?? '')
    const ids = key === null ? { [keyed ? '_id' : 'id']: number } : { _id: new BSON.ObjectId(key), id: number }
    const columns: Document = {
      ...ids,
      ...(note === null ? {} : { note }),
      ...(amount === null ? {} : { amount: BSON.Decimal128.fromString(amount) }),
      ...(day === null ? {} : { day: new Date(day) }),
    }
    return { ...columns, ...(overflow === null ? {} : (BSON.EJSON.parse(overflow, { relaxed: false }) as Document)) }
  })
}

function bytesOf({ _id }: Document, bytes: Uint8Array): TextRow {
  return [String(_id), Buffer.from(bytes).toString('hex')]
}

/** Of a document that was a row of a table; what none of its columns is makes it another row. */
function textsOf(document: Document, decimal: typeof import('mongodb').Decimal128): TextRow {
  const { _id, id = _id, note = null, amount = null, day = null, ...rest } = document
  const texts = [
    id?._bsontype === 'Long' ? String(id) : null,
    typeof note === 'string' ? note : null,
    amount instanceof decimal ? amount.toString() : null,
    day instanceof Date ? day.toISOString().replace('T00:00:00.000Z', '') : null,
  ]
  const misfits = [note, amount, day].filter((value, i) => value !== null && texts[i + 1] === null)
  return [...texts, ...misfits.map(String), ...Object.keys(rest)]
}
