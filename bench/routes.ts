import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MongoServer } from '@nebula/testkit'
import { Client } from 'pg'
import type { DocumentSet } from './documents.ts'
import type { Command } from './measure.ts'
import { benchFile } from './measure.ts'
import {
  createTypedCsv,
  fileChecksum,
  LINEITEM_COLUMNS,
  LINEITEM_TYPES,
  tableChecksum,
  TYPED_CSV_TYPES,
} from './tables.ts'

/** Where a benchmark works: two databases of one server, of which the first holds `lineitem`, and a folder. */
export interface Ground {
  readonly sourceUrl: string
  readonly targetUrl: string
  readonly folder: string
  readonly rows: number
  /** `lineitem` as PostgreSQL writes it, with a header. */
  readonly lineitemCsv: string
  /** Left out where no route needs it. */
  readonly mongo?: MongoGround
}

/** What a MongoDB of its own, with documents in it, adds to a ground. */
export interface MongoGround {
  readonly server: MongoServer
  readonly documents: DocumentSet
  /** Of the database that holds the documents, and of the one that is written. */
  readonly sourceUrl: string
  readonly targetUrl: string
  /** The documents as lines; `written` as Nebula writes them, with the overflow column. */
  readonly csv: string
  readonly written: string
  /** The same as PostgreSQL's binary COPY. */
  readonly copy: string
}

export interface Route {
  readonly name: string
  readonly title: string
  /** The ratio that it must reach, and the one that it should. Without a limit: rows a second. */
  readonly bar: number
  readonly goal: number
  readonly rows: (ground: Ground) => number
  /** Made anew before every measured run. */
  readonly reset: (ground: Ground) => Promise<void>
  /** Of several the slowest. */
  readonly limit?: (ground: Ground) => Command | readonly Command[]
  /** Or all their CPU seconds, and those of the servers, over the cores, where that is longer. */
  readonly sharesCores?: true
  readonly nebula: (ground: Ground) => Promise<Command>
  /** Throws when what arrived is not what was sent. */
  readonly check: (ground: Ground) => Promise<void>
}

const NEBULA = benchFile('../packages/cli/dist/bin.js')
const HASHED = `l_orderkey, l_partkey, l_suppkey, l_linenumber::bigint, l_quantity, l_extendedprice, l_discount, l_tax,
  l_returnflag, l_linestatus, l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode,
  encode(sha256(convert_to(l_comment, 'UTF8')), 'hex')`

export const ROUTES: readonly Route[] = [
  {
    name: 'pg-pg',
    title: 'PostgreSQL -> PostgreSQL',
    bar: 0.8,
    goal: 0.95,
    rows: ({ rows }) => rows,
    reset: resetTarget,
    limit: ({ sourceUrl, targetUrl }) => limit('pg-pg', sourceUrl, targetUrl, 'lineitem'),
    nebula: (ground) =>
      nebula(ground, databaseSource(), databaseTarget(), { 'public.lineitem': { mode: 'overwrite' } }),
    check: (ground) => compareTables(ground, '*'),
  },
  {
    name: 'pg-pg-changed',
    title: 'the same, one text column hashed and one number cast',
    bar: 0.65,
    goal: 0.85,
    rows: ({ rows }) => rows,
    reset: resetTarget,
    limit: ({ sourceUrl, targetUrl }) => limit('pg-pg', sourceUrl, targetUrl, 'lineitem'),
    nebula: (ground) =>
      nebula(ground, databaseSource(), databaseTarget(), {
        'public.lineitem': { mode: 'overwrite', mask: { l_comment: 'sha256' }, cast: { l_linenumber: 'int64' } },
      }),
    check: (ground) => compareTables(ground, HASHED),
  },
  {
    name: 'csv-pg',
    title: 'CSV -> PostgreSQL, typed',
    bar: 0.75,
    goal: 1,
    rows: ({ rows }) => rows,
    reset: resetTarget,
    limit: ({ lineitemCsv, targetUrl }) => limit('csv-pg', lineitemCsv, targetUrl, 'lineitem'),
    nebula: (ground) =>
      nebula(ground, { connector: 'csv', path: ground.lineitemCsv }, databaseTarget(), {
        lineitem: { mode: 'overwrite', types: LINEITEM_TYPES },
      }),
    check: (ground) => compareTables(ground, '*'),
  },
  {
    name: 'pg-csv',
    title: 'PostgreSQL -> CSV',
    bar: 0.75,
    goal: 1,
    rows: ({ rows }) => rows,
    reset: resetTarget,
    limit: ({ sourceUrl, folder }) => limit('pg-csv', sourceUrl, join(folder, 'limit.csv'), 'lineitem'),
    nebula: (ground) =>
      nebula(
        ground,
        databaseSource(),
        { connector: 'csv', path: join(ground.folder, 'out') },
        {
          'public.lineitem': { mode: 'overwrite', target: 'lineitem' },
        },
      ),
    check: (ground) => compareFiles(ground.lineitemCsv, join(ground.folder, 'out', 'lineitem.csv')),
  },
  {
    name: 'csv-csv',
    title: 'CSV -> CSV, typed, 7 columns of 80 bytes a row',
    bar: 600_000,
    goal: 1_000_000,
    rows: ({ rows }) => rows,
    reset: async (ground) => {
      await resetTarget(ground)
      await createTypedCsv(join(ground.folder, 'typed.csv'), ground.rows)
    },
    nebula: ({ folder, ...ground }) =>
      nebula(
        { folder, ...ground },
        { connector: 'csv', path: join(folder, 'typed.csv') },
        { connector: 'csv', path: join(folder, 'out') },
        {
          typed: { mode: 'overwrite', types: TYPED_CSV_TYPES },
        },
      ),
    check: ({ folder }) => compareFiles(join(folder, 'typed.csv'), join(folder, 'out', 'typed.csv')),
  },
]

function limit(...args: string[]): Command {
  return { args: [benchFile('limit.ts'), ...args] }
}

function databaseSource(): object {
  return { connector: 'postgres', url: '${SOURCE_URL}' }
}

function databaseTarget(): object {
  return { connector: 'postgres', url: '${TARGET_URL}' }
}

/** A run of the command line with a pipeline file of these parts. */
export async function nebula(ground: Ground, source: object, destination: object, streams: object): Promise<Command> {
  const file = join(ground.folder, 'bench.yaml')
  await writeFile(file, JSON.stringify({ source, destination, streams }))
  return {
    args: [NEBULA, 'run', file, '--json'],
    env: { SOURCE_URL: ground.sourceUrl, TARGET_URL: ground.targetUrl },
    cwd: ground.folder,
  }
}

/** An empty target: no table but the limit's own, no files, no state. */
export async function resetTarget({ targetUrl, folder }: Ground): Promise<void> {
  await rm(join(folder, 'out'), { recursive: true, force: true })
  await rm(join(folder, '.nebula'), { recursive: true, force: true })
  await mkdir(join(folder, 'out'))
  await withClient(targetUrl, async (client) => {
    await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    await client.query('CHECKPOINT')
  })
}

/** The table that the limit copies into. */
export async function createLimitTable({ targetUrl }: Ground): Promise<void> {
  await withClient(targetUrl, (client) => client.query(`CREATE TABLE lineitem (${LINEITEM_COLUMNS})`))
}

export async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

async function compareTables({ sourceUrl, targetUrl }: Ground, columns: string): Promise<void> {
  const expected = await withClient(sourceUrl, (client) => tableChecksum(client, 'lineitem', columns))
  const actual = await withClient(targetUrl, (client) => tableChecksum(client, 'lineitem'))
  if (expected.rows !== actual.rows || expected.sum !== actual.sum) {
    throw new Error(`the target differs: ${JSON.stringify({ expected, actual })}`)
  }
}

export async function compareFiles(expected: string, actual: string): Promise<void> {
  const [a, b] = await Promise.all([fileChecksum(expected), fileChecksum(actual)])
  if (a !== b) throw new Error(`${actual} differs from ${expected}`)
}
