import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from './measure.ts'
import { measure } from './measure.ts'
import type { Ground } from './routes.ts'
import { nebula, resetTarget, withClient } from './routes.ts'

/** Eight columns of fixed width. */
const TABLE = `SELECT i::bigint AS a, i::integer AS b, i::smallint AS c, i::float8 AS d, i::real AS e,
  date '2000-01-01' + i % 9000 AS f, timestamp '2000-01-01' + make_interval(secs => i) AS g, i % 2 = 0 AS h`

/** How often the rows are repeated in the two tables. */
const FEW = 30
const MANY = 120

/**
 * Heap bytes that one more row of fixed-width columns costs, from PostgreSQL to PostgreSQL through columns: the slope
 * between a table that is large enough for the engine to have compiled every loop and a larger one, so that what a run
 * needs once does not count.
 */
export async function heapBytesPerRow(ground: Ground): Promise<number> {
  const rows = 30_000
  const few = await heapBytes(ground, rows, FEW)
  const many = await heapBytes(ground, rows, MANY)
  return (many - few) / (rows * (MANY - FEW))
}

async function heapBytes(ground: Ground, rows: number, repeat: number): Promise<number> {
  await withClient(ground.sourceUrl, (client) =>
    client.query(
      `DROP TABLE IF EXISTS fixed; CREATE TABLE fixed AS ${TABLE} FROM generate_series(1, ${rows}) i, generate_series(1, ${repeat})`,
    ),
  )
  await resetTarget(ground)
  // More than half of them are changed, so that every value is decoded and encoded.
  const cast = { a: 'decimal(19,0)', b: 'int64', c: 'int32', e: 'float64', g: 'timestamptz' }
  const streams = { 'public.fixed': { mode: 'overwrite', cast } }
  const source = { connector: 'postgres', url: '${SOURCE_URL}' }
  const command: Command = await nebula(ground, source, { connector: 'postgres', url: '${TARGET_URL}' }, streams)
  const { stdout } = await measure({ ...command, nodeFlags: ['--trace-gc'] })
  await rm(join(ground.folder, 'out'), { recursive: true, force: true })
  return allocated(stdout)
}

/** What was allocated between the collections that V8 reports: `Scavenge 22.0 (33.2) -> 15.9 (33.4) MB`. */
function allocated(trace: string): number {
  let total = 0
  let after = 0
  for (const [, before, left] of trace.matchAll(/ ([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB/g)) {
    total += Number(before) - after
    after = Number(left)
  }
  return total * 2 ** 20
}
