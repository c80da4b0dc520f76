import { type Document, type FindCursor, MongoClient } from 'mongodb'
import { describe, expect, inject, test } from 'vitest'
import { ReplyCursor } from '../src/reply-cursor.ts'
import { Database } from './harness.ts'

const server = inject('mongo')

/** Replies as numbers of documents, and the `_id`s in them. */
async function replies(cursor: FindCursor): Promise<{ sizes: number[]; ids: number[] }> {
  const taken = new ReplyCursor(cursor, { rows: 10, bytes: 1_000_000 })
  const sizes: number[] = []
  const ids: number[] = []
  for (let reply = await taken.next(); reply; reply = await taken.next()) {
    const { data, starts, rows } = reply
    const view = new DataView(data.buffer, data.byteOffset)
    sizes.push(rows)
    for (let row = 0; row < rows; row++) {
      const start = starts[row] ?? -1
      // A length, the type int, "_id" and a NUL.
      ids.push(view.getInt32(start + 9, true))
    }
  }
  return { sizes, ids }
}

describe.skipIf(server.kind === 'none')('replies', () => {
  const expected = Array.from({ length: 35 }, (_, i) => i)

  test('are taken whole from what is internal to the cursors of the driver, which is pinned here', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('rows').insertMany(expected.map((_id) => ({ _id })) as never[])
    await using client = new MongoClient(database.url)
    const cursor = client
      .db()
      .collection('rows')
      .find({}, { raw: true, batchSize: 5, sort: { _id: 1 } })
    expect(await cursor.hasNext()).toBe(true)
    const internals = cursor as unknown as Record<string, Record<string, Record<string, unknown>>>
    expect(internals['documents']?.['batch']?.['toBytes']).toBeTypeOf('function')
    expect(internals['documents']?.['clear']).toBeTypeOf('function')
    expect(internals['cursorOptions']?.['batchSize']).toBe(5)
    const { sizes, ids } = await replies(cursor)
    expect(ids).toEqual(expected)
    // The next ones are as large as they may be.
    expect(sizes.slice(0, 3)).toEqual([5, 10, 10])
  })

  test('are taken document by document where that is no longer there', async () => {
    await using database = new Database(server.url)
    await database.db.collection<Document>('rows').insertMany(expected.map((_id) => ({ _id })) as never[])
    await using client = new MongoClient(database.url)
    const cursor = client
      .db()
      .collection('rows')
      .find({}, { raw: true, batchSize: 5, sort: { _id: 1 } })
    const hidden = new Proxy(cursor, {
      get: (target, name) => {
        if (name === 'documents' || name === 'cursorOptions') return undefined
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    expect(await replies(hidden)).toMatchObject({ ids: expected, sizes: [5, 5, 5, 5, 5, 5, 5] })
  })
})
