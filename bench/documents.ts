import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { crc32 } from 'node:zlib'
import type { Document } from 'mongodb'
import { BSON, Double, Int32, Long, MongoClient, ObjectId } from 'mongodb'

/** The fields of a document, as a pipeline file declares their columns, and as PostgreSQL does. */
const FIELDS = [
  ['_id', 'text', 'text'],
  ['orderkey', 'int64', 'bigint'],
  ['partkey', 'int32', 'integer'],
  ['suppkey', 'int32', 'integer'],
  ['linenumber', 'int32', 'integer'],
  ['quantity', 'float64', 'double precision'],
  ['price', 'numeric', 'numeric'],
  ['discount', 'float64', 'double precision'],
  ['tax', 'float64', 'double precision'],
  ['returnflag', 'text', 'text'],
  ['linestatus', 'text', 'text'],
  ['shipped', 'timestamptz', 'timestamptz'],
  ['committed', 'timestamptz', 'timestamptz'],
  ['received', 'timestamptz', 'timestamptz'],
  ['shipmode', 'text', 'text'],
  ['comment', 'text', 'text'],
] as const

/** Column types as a pipeline file declares them. */
export const DOCUMENT_TYPES = Object.fromEntries(FIELDS.map(([name, type]) => [name, type]))
export const DOCUMENT_NAMES = FIELDS.map(([name]) => name).join(', ')
/** Columns of a table that holds them. */
export const DOCUMENT_COLUMNS = FIELDS.map(([name, , type]) => `${name} ${type}`).join(', ')

/** Of the documents that are made at once. */
const CHUNK_BYTES = 4_000_000
const MODES = ['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB']
const DAY_MS = 86_400_000
/** 1992-01-01 */
const FIRST_DAY = 8035

/** Document `i` in the language's own values: text is its text. */
function valuesOf(i: number): readonly (number | string | Date)[] {
  const date = (days: number): Date => new Date((FIRST_DAY + (i % days)) * DAY_MS + (i % 1000))
  const cents = String((i * 7) % 100).padStart(2, '0')
  return [
    (0x65_00_00_00 + i).toString(16).padStart(24, '6'),
    Math.floor(i / 4) + 1,
    ((i * 7919) % 200_000) + 1,
    ((i * 104_729) % 10_000) + 1,
    (i % 7) + 1,
    ((i * 31) % 50) + 0.5,
    `${((i * 7907) % 90_000) + 900}.${cents}`,
    (i % 11) / 100,
    (i % 9) / 100,
    'ANR'[i % 3] as string,
    'OF'[i % 2] as string,
    date(2526),
    date(2466),
    date(2555),
    MODES[i % 7] as string,
    `carefully final deposits ${(i * 65_537) % 1_000_007}`,
  ]
}

/** How many documents there are, and of how many bytes. */
export interface DocumentSet {
  readonly count: number
  readonly bytes: number
}

/** A document of 16 fields: a text fills it up. */
function documentAt(i: number, bytes: number): Document {
  const document = plainDocument(i)
  const rest = bytes - BSON.calculateObjectSize(document)
  document['comment'] += ' sleep'.repeat(Math.ceil(rest / 6)).slice(0, rest)
  return document
}

function plainDocument(i: number): Document {
  const values = valuesOf(i)
  return Object.fromEntries(
    FIELDS.map(([name, type], place) => {
      const value = values[place]
      if (name === '_id') return [name, ObjectId.createFromHexString(String(value))]
      if (type === 'int64') return [name, Long.fromNumber(Number(value))]
      if (type === 'int32') return [name, new Int32(Number(value))]
      if (type === 'float64') return [name, new Double(Number(value))]
      return [name, type === 'numeric' ? BSON.Decimal128.fromString(String(value)) : value]
    }),
  )
}

/** The lines that hold documents as Nebula writes them; `head` and `suffix` end them. */
export async function writeDocumentsCsv(
  path: string,
  set: DocumentSet,
  { head = '', suffix = '' } = {},
): Promise<void> {
  function* blocks(): Iterable<string> {
    yield `${FIELDS.map(([name]) => name).join(',')}${head}\n`
    for (const chunk of documentChunks(set)) yield chunk.map((document) => `${lineOf(document)}${suffix}\n`).join('')
  }
  await pipeline(blocks(), createWriteStream(path))
}

function lineOf(document: Document): string {
  return FIELDS.map(([name]) => textOf(document[name])).join(',')
}

/** As PostgreSQL writes them. */
function textOf(value: unknown): string {
  if (!(value instanceof Date)) return String(value)
  return value
    .toISOString()
    .replace('T', ' ')
    .replace(/\.?0*Z$/, '+00')
}

/** Some documents at once, in order. */
export function* documentChunks({ count, bytes }: DocumentSet): Generator<Document[]> {
  const atOnce = Math.ceil(CHUNK_BYTES / bytes)
  for (let from = 0; from < count; from += atOnce)
    yield Array.from({ length: Math.min(atOnce, count - from) }, (_, i) => documentAt(from + i, bytes))
}

/** Equal for collections of equal documents in any order. */
export async function collectionChecksum(url: string, collection: string): Promise<string> {
  await using client = new MongoClient(url)
  let [rows, sum] = [0, 0n]
  for await (const document of client.db().collection(collection).find({}, { raw: true, batchSize: 10_000 })) {
    sum += BigInt(crc32(document as unknown as Uint8Array))
    rows++
  }
  return `${rows} documents, sum ${sum}`
}
