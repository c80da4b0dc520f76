import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { query } from '@nebula/testkit'
import { beforeEach, describe, expect, test } from 'vitest'
import { done, runDeleting as run, useDeleting } from './deleting.ts'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
const { urls, SOURCE, TARGET, pipeline } = useDeleting(folder)
const CSV = { connector: 'csv', path: './in' }

beforeEach(() => mkdir(at('in')))

const idsAt = async (url: string): Promise<number[]> => {
  const rows = await query(url, 'SELECT id::int FROM t ORDER BY id')
  return rows.map(({ id }) => Number(id))
}

describe('between two PostgreSQL', () => {
  beforeEach(async () => {
    await query(urls.source, 'CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz DEFAULT now())')
    await query(
      urls.source,
      `INSERT INTO t SELECT g, 'v' || g % 3, timestamptz '2024-01-01' + g * interval '1 day' FROM generate_series(1, 10) g`,
    )
  })

  test('the target is the source, and verify and the texts say so', async () => {
    const file = await pipeline()
    expect(await run(file)).toEqual(done(10, 0))
    await query(urls.source, `DELETE FROM t WHERE id IN (3, 5); UPDATE t SET id = 20 WHERE id = 1`)
    const lacking = await nebula('verify', file)
    expect(lacking).toMatchObject({ code: 4, stdout: expect.stringContaining('1 missing, 0 changed, 3 extra\n') })
    const plan = 'deletes rows of t whose key the source no longer has, whoever wrote them'
    expect((await nebula('plan', file)).stdout).toContain(plan)
    const { code, stdout } = await nebula('run', file)
    expect([code, stdout]).toEqual([0, expect.stringContaining('rows deleted that the source no longer has: 3')])
    expect(await idsAt(urls.target)).toEqual([2, 4, 6, 7, 8, 9, 10, 20])
    expect(await nebula('verify', file)).toMatchObject({ code: 0 })
    const tables = `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY name`
    expect(await query(urls.target, tables)).toEqual([{ name: 'nebula_checkpoints' }, { name: 't' }])
  })

  test('an incremental stream compares all keys under its condition, whatever its cursor', async () => {
    const file = await pipeline({ mode: 'incremental', cursor: 'at', where: `v <> 'v0'` })
    expect(await run(file)).toEqual(done(7, 0))
    await query(urls.source, `UPDATE t SET at = '2025-01-01' WHERE id = 8; DELETE FROM t WHERE id = 2`)
    // It does not meet the condition any more; of the others, the one with the highest value comes again.
    await query(urls.source, `UPDATE t SET v = 'v0' WHERE id = 4`)
    expect(await run(file)).toEqual(done(2, 2))
    expect(await idsAt(urls.target)).toEqual([1, 5, 7, 8, 10])
    expect(await nebula('verify', file)).toMatchObject({ code: 0 })
  })

  test('a native_filter counts, as do casts and new names of the key', async () => {
    const options = { native_filter: 'id % 2 = 0', cast: { id: 'text' }, rename: { id: 'number' } }
    const file = await pipeline(options)
    expect(await run(file)).toEqual(done(5, 0))
    await query(urls.source, 'DELETE FROM t WHERE id < 5')
    expect(await run(file)).toEqual(done(3, 2))
    expect(await query(urls.target, 'SELECT number FROM t ORDER BY number')).toEqual(
      ['10', '6', '8'].map((number) => ({ number })),
    )
  })

  test('rows that somebody else wrote go, too, once it is written out', async () => {
    await query(urls.target, `CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz, own int)`)
    await query(urls.target, `INSERT INTO t VALUES (1, 'old', now(), 7), (99, 'theirs', now(), 7)`)
    expect(await run(await pipeline({ deletes: undefined }))).toMatchObject({ code: 0, deleted: undefined })
    expect(await idsAt(urls.target)).toContain(99)
    expect(await run(await pipeline())).toEqual(done(10, 1))
    expect(await query(urls.target, 'SELECT id, own FROM t WHERE own = 7')).toEqual([{ id: 1, own: 7 }])
  })

  test('in one line', async () => {
    const ends = ['--from', '${DELETES_SOURCE}', '--to', '${DELETES_TARGET}', '--state', at('state')]
    const args = ['run', ...ends, '--streams', 'public.t', '--mode', 'merge', '--deletes', 'hard', '--json']
    expect(await nebula(...args)).toMatchObject({ code: 0 })
    await query(urls.source, 'DELETE FROM t WHERE id > 3')
    expect(JSON.parse((await nebula(...args)).stdout)).toMatchObject({ streams: [{ written: 3, deleted: 7 }] })
  })

  test('keys of several columns are compared as the target compares them', async () => {
    const collation = `CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`
    await query(urls.source, `CREATE TABLE k (a text, b numeric, c float8, PRIMARY KEY (a, b, c))`)
    await query(urls.source, `INSERT INTO k VALUES ('x', 1.0, 'NaN'), ('y', 2.50, -0.0), ('z', 3, 1)`)
    await query(
      urls.target,
      `${collation}; CREATE TABLE k (a text COLLATE nocase, b numeric, c float8, PRIMARY KEY (a, b, c))`,
    )
    await query(urls.target, `INSERT INTO k VALUES ('X', 1, 'NaN'), ('y', 2.5, 0), ('y', 2.5, 1)`)
    const streams = { 'public.k': { mode: 'merge', deletes: 'hard', target: 'k' } }
    await writeFile(at('shop.json'), JSON.stringify({ source: SOURCE, destination: TARGET, streams }))
    expect(await run(at('shop.json'))).toEqual(done(3, 1))
    expect(await query(urls.target, 'SELECT a FROM k ORDER BY a')).toEqual(['x', 'y', 'z'].map((a) => ({ a })))
  })

  test('keys of any type are compared, in wire rows and in columns', async () => {
    const columns = `a kind, b uuid, c inet, d timestamptz, e bytea, f char(5), g numeric, h date, i int4range, j citext`
    for (const url of Object.values(urls)) {
      await query(url, `CREATE EXTENSION citext; CREATE TYPE kind AS ENUM ('x', 'y')`)
      await query(url, `CREATE TABLE k (${columns}, v text, PRIMARY KEY (a, b, c, d, e, f, g, h, i, j))`)
    }
    const row = (n: number): string =>
      `('x', md5('${n}')::uuid, '::${n}', 'infinity', '\\x00', 'ab', ${n}.10, '0044-03-15 BC', '[1,${n + 2})', 'Ä', 'v')`
    for (const options of [{}, { mask: { v: 'redact' } }]) {
      await query(urls.source, `TRUNCATE k; INSERT INTO k VALUES ${[1, 2, 3, 4].map(row).join()}`)
      const streams = { 'public.k': { mode: 'merge', deletes: 'hard', target: 'k', ...options } }
      await writeFile(at('shop.json'), JSON.stringify({ source: SOURCE, destination: TARGET, streams }))
      expect(await run(at('shop.json'))).toMatchObject({ code: 0, written: 4, deleted: 0 })
      await query(urls.source, `DELETE FROM k WHERE g > 2.5`)
      expect(await run(at('shop.json'))).toEqual(done(2, 2))
      expect(await query(urls.target, 'SELECT g FROM k ORDER BY g')).toEqual([{ g: '1.10' }, { g: '2.10' }])
    }
  })

  test('a source that is empty empties nothing', async () => {
    const file = await pipeline()
    expect(await run(file)).toEqual(done(10, 0))
    await query(urls.source, 'DELETE FROM t')
    const refused = await run(file)
    expect([refused.code, refused.error?.code]).toEqual([4, 'deletes_refused'])
    expect(await idsAt(urls.target)).toHaveLength(10)
    await query(urls.source, `INSERT INTO t VALUES (1, 'again')`)
    expect(await run(file)).toEqual(done(1, 9))
    await query(urls.source, 'DELETE FROM t')
    expect(await run(await pipeline({ mode: 'overwrite', deletes: undefined }))).toMatchObject({ code: 0 })
    expect(await run(file)).toMatchObject({ code: 0 })
    expect(await idsAt(urls.target)).toEqual([])
  })

  test('a row that its target refuses keeps the older one that is there', async () => {
    expect(await run(await pipeline({ max_errors: 5 }))).toEqual(done(10, 0))
    await query(urls.target, `ALTER TABLE t ADD CHECK (v <> 'bad')`)
    await query(urls.source, `UPDATE t SET v = 'bad' WHERE id = 4; DELETE FROM t WHERE id = 5`)
    expect(await run(await pipeline({ max_errors: 5 }))).toMatchObject({ code: 5, written: 8, deleted: 1 })
    expect(await query(urls.target, 'SELECT v FROM t WHERE id = 4')).toEqual([{ v: 'v1' }])
    await query(urls.target, 'ALTER TABLE t DROP CONSTRAINT t_v_check')
    const replayed = await nebula('dlq', 'replay', at('shop.json'), '--json')
    expect(JSON.parse(replayed.stdout)).toMatchObject({ sent: 1, arrived: 1 })
    expect(await idsAt(urls.target)).toEqual([1, 2, 3, 4, 6, 7, 8, 9, 10])
  })

  test('what the target does not let go stays, and the next run is a new one', async () => {
    const file = await pipeline()
    expect(await run(file)).toEqual(done(10, 0))
    await query(urls.target, 'CREATE TABLE other (t int REFERENCES t); INSERT INTO other VALUES (4)')
    await query(urls.source, 'DELETE FROM t WHERE id IN (4, 5)')
    const { code, error } = await run(file)
    expect([code, error?.code]).toEqual([4, 'deletes_refused'])
    expect(error?.message).toMatch(/No row of t was deleted: .*foreign key/)
    expect(await idsAt(urls.target)).toHaveLength(10)
    await query(urls.target, 'DROP TABLE other')
    expect(await run(file)).toEqual(done(8, 2))
  })

  test('the privilege to delete is asked for by the plan', async () => {
    await query(urls.target, `DROP ROLE IF EXISTS nebula_keeper; CREATE ROLE nebula_keeper LOGIN PASSWORD 'x'`)
    await query(urls.target, `CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz)`)
    await query(
      urls.target,
      `GRANT ALL ON SCHEMA public TO nebula_keeper; GRANT SELECT, INSERT, UPDATE ON t TO nebula_keeper`,
    )
    const keeper = Object.assign(new URL(urls.target), { username: 'nebula_keeper', password: 'x' })
    const file = await pipeline({}, SOURCE, { connector: 'postgres', url: keeper.href })
    const { code, stdout } = await nebula('plan', file)
    expect([code, stdout]).toEqual([3, expect.stringContaining('lacks DELETE on public.t')])
    await query(urls.target, 'DROP OWNED BY nebula_keeper; DROP ROLE nebula_keeper')
  })
})

describe('from a CSV file', () => {
  const lines = async (...rows: string[]): Promise<void> => {
    await writeFile(at('in', 't.csv'), ['id,v', ...rows].map((line) => `${line}\n`).join(''))
  }
  const options = { types: { id: 'int64' }, max_errors: 5 }

  test('rows of the target are deleted', async () => {
    await lines('1,a', '2,b', '3,c')
    const file = await pipeline(options, CSV)
    expect(await run(file)).toEqual(done(3, 0))
    await lines('3,c', '4,d')
    expect(await run(file)).toEqual(done(2, 2))
    expect(await idsAt(urls.target)).toEqual([3, 4])
    expect(await nebula('verify', file)).toMatchObject({ code: 0 })
  })

  test('nothing is deleted while a line cannot be read', async () => {
    await lines('1,a', '2,b', '3,c')
    const file = await pipeline(options, CSV)
    expect(await run(file)).toEqual(done(3, 0))
    await lines('1,a', 'two,b')
    const { code, error } = await run(file)
    expect([code, error?.code, error?.message]).toEqual([4, 'deletes_refused', expect.stringContaining('t.csv line 3')])
    const replayed = await nebula('dlq', 'replay', file, '--json')
    expect(JSON.parse(replayed.stdout)).toMatchObject({ arrived: 0 })
    await lines('1,a', '2,b')
    expect(JSON.parse((await nebula('dlq', 'replay', file, '--reread', '--json')).stdout)).toMatchObject({ arrived: 1 })
    expect(await idsAt(urls.target)).toEqual([1, 2, 3])
    expect(await run(file)).toEqual(done(2, 1))
  })

  test('a row without a key keeps nothing, and keeps nothing from being deleted', async () => {
    await lines('1,a', '2,b', '3,c')
    const file = await pipeline(options, CSV)
    expect(await run(file)).toEqual(done(3, 0))
    await lines('1,a', ',b')
    expect(await run(file)).toMatchObject({ code: 5, written: 1, deleted: 2 })
    expect(await idsAt(urls.target)).toEqual([1])
  })

  test('a destination that cannot is refused by the plan', async () => {
    await lines('1,a')
    const { code, stdout } = await nebula('plan', await pipeline(options, CSV, { connector: 'csv', path: './out' }))
    expect([code, stdout]).toEqual([2, expect.stringContaining('has no longer: write deletes: ignore')])
  })

  test('another word than ignore and hard is refused with its line', async () => {
    await writeFile(
      at('shop.yaml'),
      `source: { connector: csv, path: ./in }\ndestination: { connector: csv, path: ./out }\ndefaults:\n  deletes: soft\n`,
    )
    const { code, stderr } = await nebula('run', at('shop.yaml'))
    expect([code, stderr]).toEqual([2, expect.stringMatching(/4:.*deletes|deletes.*ignore/s)])
  })
})
