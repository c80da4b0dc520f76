import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase } from '@nebula/testkit'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { crashUntil, fileChecksum, query, runNebula, tableChecksum } from './crash-harness.ts'

const full = process.env['NEBULA_FULL'] === '1'
const ROWS = full ? 2_000_000 : 200_000
const KILLS = full ? 20 : 3
const seed = Number(process.env['NEBULA_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Rows that the target holds before an append. */
const EXISTING = `SELECT -i AS id, 'there before' AS note, 0::numeric(12,2) AS amount, now()::date AS day FROM generate_series(1, 1000) i`
const TABLE = 'id bigint, note text, amount numeric(12,2), day date'
const TYPES = { id: 'int64', note: 'text', amount: 'decimal(12,2)', day: 'date' }

let folder = ''
let source = ''
let target = ''
const env: Record<string, string> = {}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-crash-'))
  const url = inject('postgres')['18']
  source = await createDatabase({ url })
  target = await createDatabase({ url })
  Object.assign(env, { SOURCE_URL: source, TARGET_URL: target })
  await query(
    source,
    `CREATE TABLE orders AS SELECT i::bigint AS id, 'note "' || i || E'",\\n' || repeat('x', i % 60) AS note,
       (i % 100000 / 100.0)::numeric(12,2) AS amount, date '2000-01-01' + i % 9000 AS day FROM generate_series(1, ${ROWS}) i`,
  )
  await writeFile(
    join(folder, 'csv.json'),
    JSON.stringify({
      source: postgres('SOURCE_URL'),
      destination: csv('in'),
      streams: { 'public.orders': { target: 'orders' } },
    }),
  )
  const { code, stderr } = await runNebula({ args: ['run', 'csv.json'], cwd: folder, env })
  if (code !== 0) throw new Error(stderr)
}, 120_000)

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

function postgres(variable: string): object {
  return { connector: 'postgres', url: `\${${variable}}`, advanced: { partition_bytes: ROWS * 4 } }
}

function csv(path: string): object {
  return { connector: 'csv', path: `./${path}`, advanced: { partition_bytes: ROWS * 4 } }
}

async function reset(append: boolean): Promise<void> {
  await rm(join(folder, 'out'), { recursive: true, force: true })
  await rm(join(folder, '.nebula'), { recursive: true, force: true })
  await mkdir(join(folder, 'out'))
  await query(target, `DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
  if (append) await query(target, `CREATE TABLE orders (${TABLE}); INSERT INTO orders ${EXISTING}`)
}

/** Nothing of the run is left but its record. */
async function noStaging(): Promise<void> {
  const tables = await query(target, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'nebula%'`)
  expect(tables.map((row) => row['relname'])).toEqual(['nebula_checkpoints'])
}

const modes = ['overwrite', 'append'] as const

describe.each(modes)('killed at random moments, %s', (mode) => {
  const append = mode === 'append'

  async function crash(name: string, pipeline: object, verify: () => Promise<void>): Promise<void> {
    await writeFile(join(folder, `${name}.json`), JSON.stringify(pipeline))
    const subject = {
      invocation: { args: ['run', `${name}.json`], cwd: folder, env },
      reset: () => reset(append),
      verify,
    }
    const result = await crashUntil(KILLS, seed, subject)
    console.log(`${name} ${mode}, seed ${seed}: ${JSON.stringify(result)}`)
    expect(result.kills).toBeGreaterThanOrEqual(KILLS)
    expect(result.completions).toBeGreaterThan(0)
    expect(result.resumedRows).toBeGreaterThanOrEqual(full ? 1 : 0)
  }

  async function sameTable(): Promise<void> {
    const rows = append ? `(SELECT * FROM orders WHERE id > 0)` : 'orders'
    expect(await tableChecksum(target, rows)).toBe(await tableChecksum(source, 'orders'))
    const before = await query(target, 'SELECT count(*)::int AS n FROM orders WHERE id < 0')
    expect(before).toEqual([{ n: append ? 1000 : 0 }])
    await noStaging()
  }

  async function sameFile(): Promise<void> {
    const files = (await readdir(join(folder, 'out'))).filter((name) => name.endsWith('.csv'))
    expect(files).toHaveLength(1)
    expect(await fileChecksum(join(folder, 'out', files[0] ?? ''))).toBe(
      await fileChecksum(join(folder, 'in', 'orders.csv')),
    )
    expect((await readdir(join(folder, 'out', '.nebula'))).filter((name) => !name.endsWith('.json'))).toEqual([])
  }

  test('PostgreSQL -> PostgreSQL', async () => {
    const streams = { 'public.orders': { mode } }
    await crash('pg-pg', { source: postgres('SOURCE_URL'), destination: postgres('TARGET_URL'), streams }, sameTable)
  }, 1_800_000)

  test('CSV -> PostgreSQL', async () => {
    const streams = { orders: { mode, types: TYPES } }
    await crash('csv-pg', { source: csv('in'), destination: postgres('TARGET_URL'), streams }, sameTable)
  }, 1_800_000)

  test('PostgreSQL -> CSV', async () => {
    const streams = { 'public.orders': { mode, target: 'orders' } }
    await crash('pg-csv', { source: postgres('SOURCE_URL'), destination: csv('out'), streams }, sameFile)
  }, 1_800_000)

  test('CSV -> CSV', async () => {
    const streams = { orders: { mode, types: TYPES } }
    await crash('csv-csv', { source: csv('in'), destination: csv('out'), streams }, sameFile)
  }, 1_800_000)
})
