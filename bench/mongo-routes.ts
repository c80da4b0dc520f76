import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { MongoServer } from '@nebula/testkit'
import { mongo } from '@nebula/testkit'
import { MongoClient } from 'mongodb'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import {
  collectionChecksum,
  DOCUMENT_COLUMNS,
  DOCUMENT_NAMES,
  DOCUMENT_TYPES,
  documentChunks,
  writeDocumentsCsv,
} from './documents.ts'
import type { Command } from './measure.ts'
import { benchFile } from './measure.ts'
import type { Ground, MongoGround, Route } from './routes.ts'
import { compareFiles, nebula, resetTarget, withClient } from './routes.ts'
import { tableChecksum } from './tables.ts'

const DOCUMENTS = { real: 1_000_000, 'stand-in': 200_000 } as const
const COLLECTION = 'documents'

export const MONGO_ROUTES: readonly Route[] = [
  {
    name: 'mongo-csv',
    title: 'MongoDB -> CSV',
    bar: 0.7,
    goal: 1,
    rows: (ground) => documentsOf(ground).documents.count,
    reset,
    limit: (ground) => drain(ground),
    nebula: (ground) =>
      run(ground, { connector: 'mongo', url: '${MONGO_SOURCE}' }, csvTarget(ground), { [COLLECTION]: {} }),
    check: (ground) => compareFiles(documentsOf(ground).written, join(ground.folder, 'out', `${COLLECTION}.csv`)),
  },
  {
    name: 'mongo-mongo',
    title: 'MongoDB -> MongoDB',
    bar: 0.8,
    goal: 1,
    rows: (ground) => documentsOf(ground).documents.count,
    reset,
    limit: (ground) => [drain(ground), insert(ground)],
    nebula: (ground) =>
      run(
        ground,
        { connector: 'mongo', url: '${MONGO_SOURCE}' },
        { connector: 'mongo', url: '${MONGO_TARGET}' },
        { [COLLECTION]: {} },
      ),
    check: compareCollections,
  },
  {
    name: 'mongo-pg',
    title: 'MongoDB -> PostgreSQL, 16 typed columns',
    bar: 0.7,
    goal: 1,
    rows: (ground) => documentsOf(ground).documents.count,
    reset,
    limit: (ground) => [drain(ground), copy(ground)],
    sharesCores: true,
    nebula: (ground) =>
      run(
        ground,
        { connector: 'mongo', url: '${MONGO_SOURCE}' },
        { connector: 'postgres', url: '${TARGET_URL}' },
        { [COLLECTION]: {} },
      ),
    check: compareTable,
  },
  {
    name: 'csv-mongo',
    title: 'CSV -> MongoDB, typed',
    bar: 0.8,
    goal: 1,
    rows: (ground) => documentsOf(ground).documents.count,
    reset,
    limit: (ground) => insert(ground),
    nebula: (ground) =>
      run(
        ground,
        { connector: 'csv', path: documentsOf(ground).csv },
        { connector: 'mongo', url: '${MONGO_TARGET}', object_ids: ['_id'] },
        { [COLLECTION]: { types: DOCUMENT_TYPES, allow_loss: ['shipped', 'committed', 'received'] } },
      ),
    check: compareCollections,
  },
]

/** Starts a MongoDB; a stand-in with the optimizing compiler, and without what tests need it to remember. */
export async function startMongo(): Promise<MongoServer> {
  process.env['_JAVA_OPTIONS'] ??= '-XX:TieredStopAtLevel=4 -Dstandin.nooplog=true'
  return mongo({ heap: '2g' })
}

/** Fills a MongoDB; documents that nobody counts are as many as it takes in a reasonable time. */
export async function prepareMongo(
  ground: Ground,
  server: MongoServer,
  count: number | undefined,
  bytes: number,
): Promise<MongoGround> {
  const documents = { count: count ?? DOCUMENTS[server.kind], bytes }
  const prepared = {
    server,
    documents,
    sourceUrl: databaseUrl(server, 'bench_source'),
    targetUrl: databaseUrl(server, 'bench_target'),
    csv: join(ground.folder, `${COLLECTION}.csv`),
    written: join(ground.folder, 'written.csv'),
    copy: join(ground.folder, `${COLLECTION}.copy`),
  }
  await using client = new MongoClient(prepared.sourceUrl)
  await client.db().dropDatabase()
  for (const chunk of documentChunks(documents)) await client.db().collection(COLLECTION).insertMany(chunk)
  await writeDocumentsCsv(prepared.csv, documents)
  await writeDocumentsCsv(prepared.written, documents, { head: ',_overflow', suffix: ',' })
  await writeCopy(ground, prepared)
  return prepared
}

/** The lines as a table, of which binary COPY makes what the limit sends. */
async function writeCopy({ sourceUrl }: Ground, { csv, copy: file }: MongoGround): Promise<void> {
  await withClient(sourceUrl, async (client) => {
    await client.query(`CREATE TABLE ${COLLECTION} (${DOCUMENT_COLUMNS})`)
    await pipeline(createReadStream(csv), client.query(copyFrom(`COPY ${COLLECTION} FROM STDIN (FORMAT csv, HEADER)`)))
    await pipeline(client.query(copyTo(`COPY ${COLLECTION} TO STDOUT (FORMAT binary)`)), createWriteStream(file))
  })
}

function databaseUrl({ url }: MongoServer, name: string): string {
  const found = new URL(url)
  found.pathname = `/${name}`
  if (!found.searchParams.has('authSource') && found.username !== '') found.searchParams.set('authSource', 'admin')
  return found.href
}

function documentsOf({ mongo: found }: Ground): MongoGround {
  if (!found) throw new Error('There is no MongoDB.')
  return found
}

async function reset(ground: Ground): Promise<void> {
  const { targetUrl } = documentsOf(ground)
  await resetTarget(ground)
  await using client = new MongoClient(targetUrl)
  await client.db().dropDatabase()
}

function drain(ground: Ground): Command {
  return { args: [benchFile('mongo-limit.ts'), 'drain', documentsOf(ground).sourceUrl, COLLECTION] }
}

function insert(ground: Ground): Command {
  const { targetUrl, documents } = documentsOf(ground)
  const { count, bytes } = documents
  return { args: [benchFile('mongo-limit.ts'), 'insert', targetUrl, COLLECTION, `${count}`, `${bytes}`] }
}

function copy(ground: Ground): Command {
  const { copy: file } = documentsOf(ground)
  return { args: [benchFile('limit.ts'), 'copy-pg', file, ground.targetUrl, COLLECTION, DOCUMENT_COLUMNS] }
}

function csvTarget({ folder }: Ground): object {
  return { connector: 'csv', path: join(folder, 'out') }
}

async function run(ground: Ground, source: object, destination: object, streams: object): Promise<Command> {
  const { sourceUrl, targetUrl } = documentsOf(ground)
  const command = await nebula(ground, source, destination, streams)
  return { ...command, env: { ...command.env, MONGO_SOURCE: sourceUrl, MONGO_TARGET: targetUrl } }
}

/** Byte by byte: documents of CSV have the same fields in the same order. */
async function compareCollections(ground: Ground): Promise<void> {
  const { sourceUrl, targetUrl } = documentsOf(ground)
  const expected = await collectionChecksum(sourceUrl, COLLECTION)
  const actual = await collectionChecksum(targetUrl, COLLECTION)
  if (expected !== actual) throw new Error(`the target differs: ${actual} where there were ${expected}`)
}

async function compareTable({ sourceUrl, targetUrl }: Ground): Promise<void> {
  const expected = await withClient(sourceUrl, (client) => tableChecksum(client, COLLECTION, DOCUMENT_NAMES))
  const actual = await withClient(targetUrl, (client) => tableChecksum(client, COLLECTION, DOCUMENT_NAMES))
  if (expected.rows !== actual.rows || expected.sum !== actual.sum)
    throw new Error(`the target differs: ${JSON.stringify({ expected, actual })}`)
}
