import { typeName } from '@nebula/core'
import { BSON, type Document, Int32, Long, ObjectId } from 'mongodb'
import { describe, expect, inject, test } from 'vitest'
import { Database, failure, Reader } from './harness.ts'

const server = inject('mongo')

describe.skipIf(server.kind === 'none')('streams', () => {
  test('are collections with the fields of a sample, their types and shares', async () => {
    await using database = new Database(server.url)
    const documents = Array.from({ length: 100 }, (_, i) => ({
      name: i < 97 ? `name ${i}` : new Int32(i),
      ...(i % 2 === 0 ? { total: Long.fromNumber(i) } : {}),
      nested: { a: 1 },
    }))
    await database.db.collection('people').insertMany(documents as Document[])
    await database.db.collection('nebula_staging').insertOne({ a: 1 })
    await using reader = new Reader(database.url)
    const { streams, denied } = await reader.source.discover(reader.context)
    expect(denied).toEqual([])
    expect(streams).toMatchObject([
      { name: 'people', key: ['_id'], rows: 100, wire: ['mongodb/bson'], filters: ['native'] },
    ])
    expect(streams[0]?.bytes).toBeGreaterThan(1000)
    expect(streams[0]?.schema.fields).toMatchObject([
      { name: '_id', declared: 'objectId', nullable: false },
      { name: 'name', declared: 'string', comment: 'in 100 % of 100 documents; 97 % string, 3 % int' },
      { name: 'total', declared: 'long', comment: 'in 50 % of 100 documents; 50 % long' },
      { name: 'nested', declared: 'object' },
      { name: '_overflow', declared: 'overflow' },
    ])
  })

  test('without a database in the url are those of all databases, by both names', async () => {
    await using database = new Database(server.url)
    await database.db.collection('a.b').insertOne({ x: 1 })
    const url = new URL(database.url)
    url.pathname = '/'
    await using reader = new Reader(url.href)
    const name = `${database.db.databaseName}.a.b`
    const stream = await reader.request(name)
    const { partitions } = await reader.plan(stream, 1e6)
    expect(await reader.all(stream, partitions)).toMatchObject([{ x: new Int32(1) }])
    const { streams } = await reader.source.discover(reader.context)
    expect(streams.filter((one) => /^(admin|config|local)\./.test(one.name))).toEqual([])
  })

  test('are the same whenever they are looked at, though the sample is drawn by chance', async () => {
    await using database = new Database(server.url)
    // Rare fields lie behind the documents that are always looked at.
    const rows = Array.from({ length: 3000 }, (_, i) => ({
      a: i,
      ...(i > 1000 && i % 700 === 0 ? { [`rare${i}`]: 1 } : {}),
    }))
    await database.db.collection('chance').insertMany(rows)
    await using reader = new Reader(database.url)
    const names = async (): Promise<string[]> => (await reader.stream('chance')).schema.fields.map(({ name }) => name)
    for (let i = 0; i < 3; i++) expect(await names()).toEqual(['_id', 'a', '_overflow'])
  })

  test('_id of several types is text; so it is when only the ends of the index say so', async () => {
    await using database = new Database(server.url)
    const many = Array.from({ length: 3000 }, (_, i) => ({ _id: i }))
    await database.db.collection<Document>('ends').insertMany([...many, { _id: new ObjectId() }] as never[])
    await database.db.collection<Document>('uuids').insertMany([{ _id: new BSON.UUID() }] as never[])
    await using reader = new Reader(database.url, { sample: 20 })
    const id = async (name: string): Promise<unknown> => (await reader.stream(name)).schema.fields[0]
    expect(await id('ends')).toMatchObject({ name: '_id', type: { kind: 'utf8' }, declared: 'extended' })
    expect(await id('uuids')).toMatchObject({ name: '_id', type: { kind: 'uuid' } })
  })

  test('have columns of nested documents where they are flattened, with types and shares as others have', async () => {
    await using database = new Database(server.url)
    const documents = Array.from({ length: 3000 }, (_, i) => ({
      a: { b: new Int32(i), ...(i % 2 === 0 ? { c: { d: 'x' } } : {}), ...(i % 900 === 0 && i > 0 ? { rare: 1 } : {}) },
      tags: i % 3 === 0 ? [] : ['x', 'y'],
    }))
    await database.db.collection('people').insertMany(documents as Document[])
    const columns = async (options: object): Promise<string[]> => {
      await using reader = new Reader(database.url, options)
      const { schema } = await reader.stream('people')
      return schema.fields.slice(1, -1).map(({ name, type, comment }) => `${name} ${typeName(type)}: ${comment}`)
    }
    const flat = await columns({ objects: 'flatten', sample: 500 })
    expect(flat).toEqual([
      'a.b int32: in 100 % of 500 documents; 100 % int',
      expect.stringMatching(/^a\.c json: in \d\d % of 500 documents; \d\d % object$/),
      'tags json: in 100 % of 500 documents; 100 % array',
    ])
    const deep = await columns({ objects: 'flatten', flattenDepth: 2, arrays: 'list' })
    expect(deep.map((text) => text.split(':')[0])).toEqual(['a.b int32', 'a.c.d utf8', 'tags list<utf8>'])
    const struct = await columns({ objects: 'struct' })
    expect(struct.map((text) => text.split(': in ')[0])).toEqual([
      'a struct<b: int32, c: struct<d: utf8>>',
      'tags json',
    ])
  })

  test('of whole documents have two columns', async () => {
    await using database = new Database(server.url)
    await database.db.collection('whole').insertOne({ a: 1, _overflow: 2 })
    await using reader = new Reader(database.url, { documents: true })
    const { schema } = await reader.stream('whole')
    expect(schema.fields).toMatchObject([
      { name: '_id' },
      { name: 'document', type: { kind: 'json' }, nullable: false },
    ])
  })

  test('a field named as the overflow column is refused, and another name is taken', async () => {
    await using database = new Database(server.url)
    await database.db.collection('taken').insertOne({ _overflow: 1 })
    await using reader = new Reader(database.url)
    const refused = await failure(reader.source.discover(reader.context))
    expect(refused).toMatchObject({ code: 'config_invalid', stream: 'taken' })
    expect(refused.fix).toContain('overflow')
    await database.db.collection('flat').insertOne({ a: { b: 1 } })
    await using flattening = new Reader(database.url, { objects: 'flatten', overflow: 'a.b' })
    expect(await failure(flattening.source.discover(flattening.context))).toMatchObject({ stream: 'flat' })
    await using other = new Reader(database.url, { overflow: 'rest' })
    expect((await other.stream('taken')).schema.fields.map(({ name }) => name)).toEqual(['_id', '_overflow', 'rest'])
  })

  test('large documents are sampled by bytes', async () => {
    await using database = new Database(server.url)
    const large = Array.from({ length: 30 }, (_, i) => ({ _id: i, text: 'x'.repeat(1_000_000) }))
    for (const document of large) await database.db.collection<Document>('large').insertOne(document as never)
    await using reader = new Reader(database.url)
    const { schema } = await reader.stream('large')
    expect(schema.fields[1]?.comment).toBe('in 100 % of 20 documents; 100 % string')
  })

  test.runIf(server.kind === 'real')('real server: fields of a validator that no document has', async () => {
    await using database = new Database(server.url)
    const properties = { a: { bsonType: 'int' }, b: { bsonType: ['int', 'null'] }, c: { bsonType: 'number' } }
    await database.db.createCollection('ruled', { validator: { $jsonSchema: { properties } } })
    await using reader = new Reader(database.url)
    const { schema } = await reader.stream('ruled')
    expect(schema.fields).toMatchObject([
      { name: '_id', declared: 'objectId' },
      { name: 'a', declared: 'int', type: { kind: 'int32' } },
      { name: '_overflow' },
    ])
  })
})
