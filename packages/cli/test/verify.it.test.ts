import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pipeline } from '@nebula/runtime'
import { loadPipeline, runPipeline } from '@nebula/runtime'
import { createDatabase, query } from '@nebula/testkit'
import type { StreamVerification, VerifyReport } from '@nebula/verify'
import { verifyPipeline } from '@nebula/verify'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { nebula } from './harness.ts'

let folder = ''
let files = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-verify-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

const newPath = (name: string): string => join(folder, `${files++}-${name}`)

async function database(version: '14' | '18', ...statements: string[]): Promise<string> {
  const url = await createDatabase({ url: inject('postgres')[version] })
  for (const statement of statements) await query(url, statement)
  return url
}

const postgres = (url: string): object => ({ connector: 'postgres', url })
const csv = (path: string): object => ({ connector: 'csv', path })

/** A pipeline whose rows have been moved. */
async function moved(source: object, destination: object, more: object = {}): Promise<Pipeline> {
  const file = newPath('shop.yaml')
  await writeFile(file, JSON.stringify({ source, destination, ...more }))
  const pipeline = await loadPipeline(file)
  const report = await runPipeline(pipeline)
  expect(report.streams.flatMap(({ error }) => error ?? [])).toEqual([])
  return pipeline
}

async function verifyOne(pipeline: Pipeline): Promise<StreamVerification & Pick<VerifyReport, 'exitCode'>> {
  const report = await verifyPipeline(pipeline)
  expect(report.streams).toHaveLength(1)
  return { ...(report.streams[0] as StreamVerification), exitCode: report.exitCode }
}

const ORDERS = `CREATE TABLE orders AS SELECT i AS id, 'customer ' || i % 100 AS customer, (i * 7 % 1000) / 100.0 AS price,
  CASE WHEN i % 5 = 0 THEN NULL ELSE date '2024-01-01' + i % 365 END AS day FROM generate_series(1, 5000) i;
  ALTER TABLE orders ADD PRIMARY KEY (id)`

/** A missing, a changed and an extra row at the target. */
const DAMAGE = `DELETE FROM orders WHERE id = 17; UPDATE orders SET customer = 'nobody', day = NULL WHERE id = 4001;
  INSERT INTO orders VALUES (9999, 'new', 1, NULL)`

describe('PostgreSQL -> PostgreSQL', () => {
  test.each(['14', '18'] as const)(
    '18 -> %s: hashed in the databases; rows are named by their keys',
    async (version) => {
      const target = await database(version)
      const pipeline = await moved(postgres(await database('18', ORDERS)), postgres(target))
      expect(await verifyOne(pipeline)).toMatchObject({
        status: 'equal',
        exitCode: 0,
        method: 'database',
        rows: { source: 5000, destination: 5000 },
      })
      await query(target, DAMAGE)
      const found = await verifyOne(pipeline)
      expect(found).toMatchObject({
        status: 'different',
        exitCode: 4,
        missing: 1,
        changed: 1,
        extra: 1,
        exact: true,
        rows: { source: 5000, destination: 5000 },
      })
      const differences = [...(found.differences ?? [])].sort((a, b) => Number(a.key['id']) - Number(b.key['id']))
      const place = expect.stringMatching(/^\(\d+,\d+\)$/) as unknown
      expect(differences).toEqual([
        { kind: 'missing', key: { id: '17' }, source: place },
        { kind: 'changed', key: { id: '4001' }, columns: ['customer', 'day'], source: place, destination: place },
        { kind: 'extra', key: { id: '9999' }, destination: place },
      ])
    },
  )

  test('14 -> 18 is equal for every type, and one changed value of any is found', async () => {
    const columns = Object.entries(VALUES)
    const definitions = columns.map(([, [type]], i) => `c${i} ${type}`).join(', ')
    const firsts = columns.map(([, [, first]]) => first).join(', ')
    const create = `CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a integer, b text);
      CREATE TABLE v (id integer PRIMARY KEY, ${definitions});
      INSERT INTO v SELECT i, ${firsts} FROM generate_series(0, ${columns.length * 2 - 1}) i;
      INSERT INTO v VALUES (-1, ${columns.map(() => 'NULL').join(', ')})`
    const target = await database('18')
    const pipeline = await moved(postgres(await database('14', create)), postgres(target))
    expect(await verifyOne(pipeline)).toMatchObject({ status: 'equal', method: 'database' })
    // Every row of the target gets one other value.
    const expected = columns.flatMap(([name], i) => [
      { row: i * 2, name },
      { row: i * 2 + 1, name },
    ])
    for (const [i, [, [, , second]]] of columns.entries()) {
      await query(target, `UPDATE v SET c${i} = ${second} WHERE id = ${i * 2}`)
      await query(target, `UPDATE v SET c${i} = NULL WHERE id = ${i * 2 + 1}`)
    }
    const { differences = [] } = await verifyOne(pipeline)
    const found = differences.map(({ key, columns: changed = [] }) => {
      return { row: Number(key['id']), name: changed.map((column) => columns[Number(column.slice(1))]?.[0]).join() }
    })
    expect(found.sort((a, b) => a.row - b.row)).toEqual(expected)
  })

  test('values that change places between rows are found, though every column has the same values', async () => {
    const target = await database('18')
    const create = `CREATE TABLE p AS SELECT i AS id, i * 3 AS a, 'x' || i AS b FROM generate_series(1, 100) i`
    const pipeline = await moved(postgres(await database('18', create)), postgres(target))
    await query(target, `UPDATE p SET a = CASE id WHEN 5 THEN 6 * 3 ELSE 5 * 3 END WHERE id IN (5, 6)`)
    expect(await verifyOne(pipeline)).toMatchObject({ status: 'different', missing: 2, extra: 2 })
  })

  test('a key that the pipeline gives names rows of a table without one', async () => {
    const target = await database('18')
    const create = `CREATE TABLE p AS SELECT i AS id, 'x' || i AS b FROM generate_series(1, 100) i`
    const streams = { 'public.p': { key: ['id'] } }
    const pipeline = await moved(postgres(await database('18', create)), postgres(target), { streams })
    await query(target, `UPDATE p SET b = '' WHERE id = 5`)
    expect(await verifyOne(pipeline)).toMatchObject({
      missing: 0,
      changed: 1,
      differences: [{ kind: 'changed', key: { id: '5' }, columns: ['b'] }],
    })
  })

  test('rows that are there twice are counted', async () => {
    const target = await database('18')
    const create = `CREATE TABLE p AS SELECT i % 10 AS a FROM generate_series(1, 100) i`
    const pipeline = await moved(postgres(await database('18', create)), postgres(target))
    await query(target, 'INSERT INTO p VALUES (3), (3)')
    expect(await verifyOne(pipeline)).toMatchObject({ missing: 0, extra: 2, rows: { source: 100, destination: 102 } })
    await query(target, 'DELETE FROM p WHERE a = 4')
    expect(await verifyOne(pipeline)).toMatchObject({ missing: 10, extra: 2, exact: true })
  })

  test('one changed value among 200,000 rows is found in ranges of pages, and its key named', async () => {
    const create = `CREATE TABLE big AS SELECT i AS id, 'value ' || i AS v, i / 7.0 AS n FROM generate_series(1, 200000) i;
      ALTER TABLE big ADD PRIMARY KEY (id); ANALYZE big`
    const target = await database('18')
    const source = { ...postgres(await database('18', create)), advanced: { partition_bytes: '2MB' } }
    const pipeline = await moved(source, postgres(target))
    await query(target, `UPDATE big SET v = v || ' ' WHERE id = 123456`)
    const found = await verifyOne(pipeline)
    expect(found).toMatchObject({
      missing: 0,
      extra: 0,
      changed: 1,
      differences: [{ key: { id: '123456' }, columns: ['v'] }],
    })
    expect(found.differing).toHaveLength(1)
    expect(found.buckets).toBeGreaterThanOrEqual(16)
  })

  test('columns and tables of any kind: odd names, renamed, views, partitions, no columns at all', async () => {
    const create = `CREATE TABLE odd (k integer PRIMARY KEY, p text, c0 text, "c1 ""x""" text, "É" integer) PARTITION BY HASH (k);
      CREATE TABLE odd1 PARTITION OF odd FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE odd2 PARTITION OF odd FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      INSERT INTO odd SELECT i, 'p' || i, 'c' || i, NULL, i % 3 FROM generate_series(1, 500) i;
      CREATE VIEW seen AS SELECT k, "É" FROM odd; CREATE TABLE bare (); INSERT INTO bare SELECT FROM generate_series(1, 3)`
    const target = await database('18')
    const streams = { 'public.odd': { rename: { k: 'c4', É: 'k' } }, 'public.seen': {}, 'public.bare': {} }
    const pipeline = await moved(postgres(await database('18', create)), postgres(target), { streams })
    const summary = ({ streams: found }: VerifyReport): unknown[] =>
      found.map(({ stream, status, method, rows }) => [stream, status, method, rows?.destination])
    expect(summary(await verifyPipeline(pipeline))).toEqual([
      ['public.bare', 'equal', 'reading', 3],
      ['public.odd', 'equal', 'database', 500],
      ['public.seen', 'equal', 'database', 500],
    ])
    await query(
      target,
      'UPDATE odd SET k = 7 WHERE c4 = 100; DELETE FROM seen WHERE k = 9; INSERT INTO bare DEFAULT VALUES',
    )
    const report = await verifyPipeline(pipeline)
    expect(summary(report).map((line) => (line as string[])[1])).toEqual(['different', 'different', 'different'])
    expect(report.streams.map(({ missing, changed, extra }) => [missing, changed, extra])).toEqual([
      [0, 0, 1],
      [0, 1, 0],
      [1, 0, 0],
    ])
    expect(report.streams[1]?.differences).toMatchObject([{ kind: 'changed', key: { c4: '100' }, columns: ['k'] }])
  })

  test('masked, cast, renamed and excluded columns are compared as they should have arrived', async () => {
    const target = await database('18')
    const streams = {
      'public.orders': {
        exclude: ['price'],
        rename: { customer: 'who' },
        mask: { customer: 'sha256' },
        cast: { day: 'text' },
      },
    }
    const pipeline = await moved(postgres(await database('18', ORDERS)), postgres(target), { streams })
    expect(await verifyOne(pipeline)).toMatchObject({ status: 'equal', method: 'reading', rows: { source: 5000 } })
    await query(target, `UPDATE orders SET who = upper(who) WHERE id = 77`)
    expect(await verifyOne(pipeline)).toMatchObject({
      exitCode: 4,
      changed: 1,
      differences: [{ kind: 'changed', key: { id: '77' }, columns: ['who'] }],
    })
  })

  test('where, functions and added columns: what should have arrived is compared, and nothing else', async () => {
    const target = await database('18')
    const source = postgres(await database('18', ORDERS))
    const streams = { 'public.orders': { where: 'id > 1000' } }
    const filtered = await moved(source, postgres(target), { streams })
    expect(await verifyOne(filtered)).toMatchObject({
      status: 'equal',
      method: 'database',
      rows: { source: 4000, destination: 4000 },
    })
    const code = newPath('orders.mjs')
    await writeFile(
      code,
      `export default { columns: { total: 'float64' }, record(row) { return row.id % 10 === 0 ? null : { total: row.id * 2 } } }`,
    )
    const changes = { add: { country: 'CH', at: '@extracted_at' }, transform: code, target: 'made' }
    const made = await moved(source, postgres(target), { streams: { 'public.orders': changes } })
    expect(await verifyOne(made)).toMatchObject({
      status: 'equal',
      method: 'reading',
      rows: { source: 4500 },
      uncompared: [{ column: 'at', why: 'every run adds its own value' }],
    })
    await query(target, `UPDATE made SET total = -1 WHERE id = 11; UPDATE made SET country = 'FR' WHERE id = 12`)
    const { differences = [] } = await verifyOne(made)
    expect(differences.map(({ key, columns = [] }) => `${key['id']} ${columns.join()}`).sort()).toEqual([
      '11 total',
      '12 country',
    ])
  })

  test('in mode append, rows of the target that the source does not have are no fault', async () => {
    const target = await database(
      '18',
      `CREATE TABLE orders (id integer, customer text, price numeric, day date); INSERT INTO orders VALUES (-1, 'old', 1, NULL)`,
    )
    const streams = { 'public.orders': { mode: 'append' } }
    const pipeline = await moved(postgres(await database('18', ORDERS)), postgres(target), { streams })
    expect(await verifyOne(pipeline)).toMatchObject({ status: 'equal', exitCode: 0, extra: 1, missing: 0 })
    await query(target, 'DELETE FROM orders WHERE id = 44')
    expect(await verifyOne(pipeline)).toMatchObject({
      exitCode: 4,
      differences: [{ kind: 'missing', key: { id: '44' } }],
    })
  })

  test('a target that is not there, or lacks a column, differs', async () => {
    const target = await database('18')
    const pipeline = await moved(postgres(await database('18', ORDERS)), postgres(target))
    await query(target, 'DROP TABLE orders')
    expect(await verifyOne(pipeline)).toMatchObject({ exitCode: 4, error: { code: 'verify_differs' } })
  })
})

/** A type, and two values that many a comparison calls equal, or nearly so. */
const VALUES: Readonly<Record<string, readonly [type: string, first: string, second: string]>> = {
  numeric: ['numeric', '1.0', '1.00'],
  'numeric NaN': ['numeric', `'NaN'`, '0'],
  'numeric(10,2)': ['numeric(10,2)', '0.01', '0.02'],
  'double zero': ['double precision', `'-0'`, '0'],
  'double NaN': ['double precision', `'NaN'`, '1'],
  real: ['real', '1.5', '1.25'],
  text: ['text', `''`, `' '`],
  'trailing blank': ['varchar(9)', `'a'`, `'a '`],
  'character case': ['text', `'a'`, `'A'`],
  char: ['char(5)', `'a'`, `'b'`],
  boolean: ['boolean', 'true', 'false'],
  smallint: ['smallint', '1', '2'],
  bigint: ['bigint', '9007199254740993', '9007199254740992'],
  bytea: ['bytea', `'\\x00'`, `'\\x0000'`],
  date: ['date', `'infinity'`, `'-infinity'`],
  time: ['time', `'24:00'`, `'00:00'`],
  timestamp: ['timestamp', `'2024-01-01 00:00:00.000001'`, `'2024-01-01'`],
  timestamptz: ['timestamptz', `'2024-01-01 00:00+00'`, `'2024-01-01 00:00+01'`],
  timetz: ['timetz', `'12:00+00'`, `'13:00+01'`],
  interval: ['interval', `'1 day'`, `'24:00'`],
  uuid: ['uuid', `'00000000-0000-0000-0000-000000000001'`, `'00000000-0000-0000-0000-000000000002'`],
  'jsonb number': ['jsonb', `'{"a": 1.0}'`, `'{"a": 1.00}'`],
  'json text': ['json', `'{"a":1}'`, `'{"a": 1}'`],
  'array bounds': ['integer[]', `'[0:1]={1,2}'`, `'{1,2}'`],
  'array null': ['text[]', `ARRAY[NULL]::text[]`, `'{}'`],
  inet: ['inet', `'10.0.0.1'`, `'10.0.0.1/24'`],
  range: ['int4range', `'[1,3)'`, `'(1,3)'`],
  enum: ['mood', `'sad'`, `'glad'`],
  composite: ['pair', `ROW(1, '')::pair`, `ROW(1, NULL)::pair`],
}

describe('files', () => {
  test('PostgreSQL -> CSV -> CSV -> PostgreSQL: read and hashed', async () => {
    const first = newPath('first')
    const second = newPath('second')
    const target = await database('18')
    const types = { id: 'int32', customer: 'text', price: 'numeric', day: 'date' }
    const streams = { orders: { types, key: ['id'] } }
    const out = await moved(postgres(await database('14', ORDERS)), csv(first), {
      streams: { 'public.orders': { target: 'orders' } },
    })
    const between = await moved(csv(first), csv(second), { streams })
    const back = await moved(csv(second), postgres(target), { streams })
    for (const pipeline of [out, between, back]) {
      expect(await verifyOne(pipeline)).toMatchObject({
        status: 'equal',
        method: 'reading',
        key: ['id'],
        rows: { source: 5000, destination: 5000 },
      })
    }
    await query(target, DAMAGE)
    expect(await verifyOne(back)).toMatchObject({ exitCode: 4, missing: 1, changed: 1, extra: 1 })
    const text = await readFile(join(second, 'orders.csv'), 'utf8')
    await writeFile(join(second, 'orders.csv'), text.replace(/^33,.*\n/m, '').replace(/^44,customer/m, '44,Customer'))
    const changed = await verifyOne(between)
    expect(changed).toMatchObject({ missing: 1, changed: 1, extra: 0 })
    expect(changed.differences).toContainEqual({
      kind: 'changed',
      key: { id: '44' },
      columns: ['customer'],
      source: expect.stringContaining('orders.csv') as unknown,
      destination: expect.stringContaining('orders.csv') as unknown,
    })
  })

  test('a row that cannot be read back differs', async () => {
    const folderOf = newPath('out')
    const streams = { 'public.orders': { target: 'orders' } }
    const pipeline = await moved(postgres(await database('18', ORDERS)), csv(folderOf), { streams })
    const text = await readFile(join(folderOf, 'orders.csv'), 'utf8')
    await writeFile(join(folderOf, 'orders.csv'), text.replace(/^33,/m, 'x33,'))
    expect(await verifyOne(pipeline)).toMatchObject({
      exitCode: 4,
      missing: 1,
      extra: 0,
      unreadable: { source: 0, destination: 1 },
    })
  })

  test('in mode append, the files of all runs are one target', async () => {
    const path = newPath('out')
    const streams = { 'public.orders': { target: 'orders', mode: 'append' } }
    const source = postgres(await database('18', ORDERS))
    const pipeline = await moved(source, csv(path), { streams })
    expect(await verifyOne(pipeline)).toMatchObject({ status: 'equal', rows: { source: 5000, destination: 5000 } })
    await runPipeline(pipeline)
    expect(await verifyOne(pipeline)).toMatchObject({ status: 'equal', extra: 5000, rows: { destination: 10_000 } })
  })
})

describe('what cannot be the same', () => {
  test('is left out by name: JSON text in jsonb', async () => {
    const target = await database('18', 'CREATE TABLE j (id integer, doc jsonb)')
    const path = newPath('j.csv')
    await writeFile(path, 'id,doc\n1,"{""b"":1,  ""a"":2}"\n')
    const streams = { '*': { mode: 'append', key: ['id'], target: 'j' } }
    const pipeline = await moved(csv(path), postgres(target), { streams })
    expect(await verifyOne(pipeline)).toMatchObject({
      status: 'equal',
      uncompared: [{ column: 'doc', why: 'jsonb keeps what JSON means and not its text' }],
    })
  })
})

describe('nebula verify', () => {
  test('tells people and programs, by its exit code too', async () => {
    const target = await database('18')
    const file = newPath('shop.yaml')
    const source = postgres(await database('18', ORDERS))
    await writeFile(file, JSON.stringify({ source, destination: postgres(target) }))
    const ran = await nebula('run', file, '--verify', '--quiet')
    expect(ran).toMatchObject({ code: 0 })
    expect(ran.stdout).toContain('public.orders: equal: 5,000 rows\nequal: 1 stream, in ')
    await query(target, `UPDATE orders SET price = 0.123 WHERE id = 3`)
    const told = await nebula('verify', file)
    expect(told.code).toBe(4)
    expect(told.stdout).toContain('0 missing, 1 changed, 0 extra')
    expect(told.stdout).toMatch(/^ {2}changed id=3 in price \(source \(\d+,\d+\); destination \(\d+,\d+\)\)$/m)
    const { code, stdout } = await nebula('verify', file, '--json')
    expect(code).toBe(4)
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'different',
      exitCode: 4,
      streams: [{ changed: 1, differences: [{ key: { id: '3' } }] }],
    })
  })

  test('says what it takes', async () => {
    expect(await nebula('verify')).toMatchObject({ code: 2 })
    expect((await nebula('verify', '--help')).stdout).toContain('nebula verify shop.yaml')
  })
})
