import type { LogicalType } from '@nebula/core'
import type { Group, Keys, MongoServer, SubjectOptions, Table } from '@nebula/testkit'
import { columnTexts, mongo as startServer } from '@nebula/testkit'
import { certify } from '@nebula/testkit/certify'
import { BSON, type Collection, type Document } from 'mongodb'
import { describe, inject } from 'vitest'
import { mongo } from '../src/index.ts'
import { Database } from './harness.ts'

/** The database of the check that is under way, which is the only one. */
let current: Database | undefined

async function place(server: MongoServer): Promise<Keys> {
  await current?.[Symbol.asyncDispose]()
  current = new Database(server.url)
  return { url: current.url }
}

function collection(name: string): Collection {
  if (!current) throw new Error('There is no place.')
  return current.db.collection(name)
}

/** Values of the tables that the suite asks for. */
function valueOf({ kind }: LogicalType, text: string): unknown {
  if (kind === 'int64') return BSON.Long.fromString(text)
  return kind === 'int32' ? new BSON.Int32(text) : text
}

function documentsOf({ fields, rows }: Pick<Table, 'fields' | 'rows'>): Document[] {
  return rows.map((row) =>
    Object.fromEntries(
      fields.flatMap(({ name, type }, i) => {
        const text = row[i] ?? null
        return text === null ? [] : [[name, valueOf(type, text)]]
      }),
    ),
  )
}

async function create(_: Keys, table: Table): Promise<void> {
  const made = collection(table.name)
  await made.drop().catch(() => {})
  if (table.rows.length > 0) await made.insertMany(documentsOf(table))
}

/** Every document stays where it is, under its `_id`. */
async function update(_: Keys, table: Table): Promise<void> {
  const [key = ''] = table.fields.map(({ name }) => name)
  const changes = documentsOf(table).map((document) => ({
    updateOne: { filter: { [key]: document[key] as unknown }, update: { $set: document } },
  }))
  await collection(table.name).bulkWrite(changes)
}

async function contents(_: Keys, { name, fields }: Table): Promise<(string | null)[][]> {
  const found = collection(name).find({}, { sort: { _id: 1 }, promoteValues: false, bsonRegExp: true })
  const documents = await found.toArray()
  return documents.map((document) => fields.map((field) => textOf(field.type, document[field.name] as unknown)))
}

/** The canonical text of a value that this connector wrote for a column of some type. */
function textOf(type: LogicalType, value: unknown): string | null {
  if (value === undefined) return null
  if (type.kind === 'json') return jsonOf(value)
  if (value instanceof BSON.Double) return floatText(value)
  if (value instanceof BSON.Decimal128) return plainDecimal(value.toString())
  if (value instanceof BSON.Binary)
    return value.sub_type === 4 ? value.toUUID().toString() : `\\x${value.toString('hex')}`
  return String(value as string | number | boolean)
}

function floatText({ value }: BSON.Double): string | null {
  const values = Float64Array.of(value)
  const [text = null] = columnTexts({ layout: 'fixed', type: { kind: 'float64' }, length: 1, validity: null, values })
  return text
}

/** Without an exponent. */
function plainDecimal(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = /^(-?)(\d+)\.?(\d*)E(.*)$/.exec(text) ?? []
  if (whole === '') return text
  const digits = `${whole}${fraction}`
  const places = fraction.length - Number(exponent)
  if (places <= 0) return `${sign}${digits}${'0'.repeat(-places)}`
  const padded = digits.padStart(places + 1, '0')
  return `${sign}${padded.slice(0, -places)}.${padded.slice(-places)}`
}

function jsonOf(value: unknown): string {
  if (value instanceof BSON.Double) return String(floatText(value))
  if (value instanceof BSON.Long || value instanceof BSON.Int32) return String(value)
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const pairs = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${jsonOf(inner)}`)
  return `{${pairs.join(',')}}`
}

/** More digits than a decimal of MongoDB has: 34, and zeros behind them. */
const TOO_LONG = /[1-9]\d{33,}?[1-9]/

/**
 * Numbers in JSON with more digits than a double or a long keeps, half of a surrogate pair, and what lies deeper than the
 * server takes.
 */
function isRefusedJson(text: string): boolean {
  return /\d{18,}\.\d|1e400|\\ud[89ab]..(?!\\ud[c-f])/.test(text) || text.startsWith('['.repeat(200))
}

const yearOf = (text: string): number => Number(/^\d+/.exec(text))

function refuses({ kind }: LogicalType, text: string): boolean {
  if (kind === 'decimal' || kind === 'numeric') return TOO_LONG.test(text.replace('.', ''))
  if (kind === 'json') return isRefusedJson(text)
  if (kind === 'timestamp' && yearOf(text) > 294_247) return true
  return (kind === 'date' || kind === 'timestamp') && text.endsWith('infinity')
}

/** The stand-in breaks off at a document with a name twice, and a Date of JavaScript ends in the year 275760. */
function spares({ kind }: LogicalType, text: string): boolean {
  return (kind === 'json' && text === '{"a":1,"a":2}') || (kind === 'date' && yearOf(text) > 275_759)
}

const { kind } = inject('mongo')
const SERVER = kind === 'real' ? 'a real MongoDB' : 'a stand-in, without transactions'

/** Groups of the suite of the testkit on a server of its own, or on that of `MONGO_URL`, which has to be on the loopback interface. */
export function certifyMongo(groups: readonly Group[]): void {
  const options: SubjectOptions<MongoServer> = {
    server: () => startServer(),
    config: ({ server }) => place(server),
    through: (keys, port) => {
      const url = new URL(String(keys['url']))
      url.port = String(port)
      url.searchParams.set('directConnection', 'true')
      return { ...keys, url: url.href }
    },
    create,
    update,
    contents,
    refuses,
    spares,
    schemaless: true,
    mergeKey: '_id',
    // The key is `_id`, and what columns are told about are their values.
    lacks: ['keys', 'comments', ...(process.env['MONGO_URL'] ? (['kills'] as const) : [])],
    // With `_id` there are 1,000.
    maxColumns: 999,
  }
  // What is exactly once in transactions is at least once without them, and then the suite asks for no more.
  describe.skipIf(kind === 'none')(`the suite on ${SERVER}`, () => {
    certify(mongo, options, groups)
  })
}
