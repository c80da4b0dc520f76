import type { Field } from '@nebula/core'
import { describe, expect, inject, test } from 'vitest'
import { codeOf, Database, Route, VERSIONS } from './harness.ts'

/** A column as it comes from another system. */
const foreign = (fields: readonly Field[]): Field[] =>
  fields.map(({ name, type, nullable }) => ({ name, type, nullable }))

/** What somebody may add to a table that a run made. */
const ATTACHED = [
  'COMMENT ON TABLE bare IS $$mine$$',
  'COMMENT ON COLUMN bare.id IS $$mine$$',
  'GRANT SELECT ON bare TO PUBLIC',
  'CREATE INDEX ON bare (v)',
  'ALTER TABLE bare SET (fillfactor = 50)',
  'ALTER TABLE bare ADD CHECK (id > 0)',
  'ALTER TABLE bare ALTER v SET DEFAULT 1',
  'CREATE PUBLICATION p FOR TABLE bare',
  'ALTER TABLE bare ENABLE ROW LEVEL SECURITY',
  'ALTER TABLE bare REPLICA IDENTITY FULL',
  'CREATE STATISTICS s ON id, v FROM bare',
  'CREATE RULE r AS ON DELETE TO bare DO NOTHING',
  'CREATE TABLE kid () INHERITS (bare)',
  'CREATE VIEW on_bare AS SELECT 1 AS one FROM bare',
  'CREATE TABLE typed (b bare)',
  'ALTER TABLE bare ALTER v SET STATISTICS 5',
]

describe.each(VERSIONS)('PostgreSQL %s', (version) => {
  const server = inject('postgres')[version]

  test('what is attached to a target stays, and its rows are replaced', async () => {
    await using from = await Database.create(
      server,
      `CREATE TABLE t (id int4 NOT NULL, v text)`,
      `INSERT INTO t SELECT g, 'new' FROM generate_series(1, 5) g`,
    )
    await using to = await Database.create(
      server,
      `CREATE ROLE reader_${version}_${Date.now()}`,
      `CREATE TABLE t (id int4 NOT NULL, v text DEFAULT 'x', extra int4 DEFAULT 7)`,
      `INSERT INTO t VALUES (1, 'old')`,
      'CREATE UNIQUE INDEX by_id ON t (id)',
      'CREATE VIEW w AS SELECT * FROM t',
      'GRANT SELECT ON t TO PUBLIC',
    )
    await using route = new Route(from.url, to.url)
    const oidOf = async (table: string) => (await to.query(`SELECT '${table}'::regclass::oid AS oid`))[0]
    const oid = await oidOf('t')
    const [info] = await route.destination.describe(['t'], route.context)
    expect(info?.foreignRows).toBe(true)
    await route.move('public.t', { target: 't' })
    expect(await to.query('SELECT * FROM w ORDER BY id LIMIT 1')).toEqual([{ id: 1, v: 'new', extra: 7 }])
    expect(await to.count('t')).toBe(5)
    expect(await oidOf('t')).toEqual(oid)
    expect((await route.destination.describe(['t'], route.context))[0]?.foreignRows).toBe(false)
    await route.move('public.t', { target: 'bare' })
    /** Moves rows into a table like the one that a run made, but for a statement. Returns its oid before and after. */
    const refilled = async (name: string, statement: string): Promise<unknown[]> => {
      await to.query(`CREATE TABLE ${name} (LIKE bare); ${statement.replaceAll('bare', name)}`)
      const before = await oidOf(name)
      await route.move('public.t', { target: name })
      expect(await to.count(`ONLY ${name}`)).toBe(5)
      return [before, await oidOf(name)]
    }
    const [before, after] = await refilled('nothing_attached', 'SELECT')
    expect(after).not.toEqual(before)
    for (const [i, attach] of ATTACHED.entries()) {
      const [standing, refilledOne] = await refilled(`attached_${i}`, attach)
      expect([attach, refilledOne]).toEqual([attach, standing])
    }
  })

  test('a target that others refer to is emptied row by row', async () => {
    await using from = await Database.create(
      server,
      'CREATE TABLE t (id int4 PRIMARY KEY)',
      'INSERT INTO t VALUES (1), (2)',
    )
    await using to = await Database.create(
      server,
      'CREATE TABLE t (id int4 PRIMARY KEY)',
      'INSERT INTO t VALUES (1), (3)',
      'CREATE TABLE r (id int4 REFERENCES t DEFERRABLE INITIALLY DEFERRED)',
      'INSERT INTO r VALUES (1)',
    )
    await using route = new Route(from.url, to.url)
    await route.move('public.t')
    expect(await to.query('SELECT id FROM t ORDER BY id')).toEqual([{ id: 1 }, { id: 2 }])
    await from.query('DELETE FROM t WHERE id = 1')
    expect(await codeOf(route.move('public.t'))).toBe('row_rejected')
    expect(await to.query('SELECT id FROM t ORDER BY id')).toEqual([{ id: 1 }, { id: 2 }])
  })

  test('a target is as before when its move fails, and nothing is left by discard', async () => {
    await using from = await Database.create(server, 'CREATE TABLE t (id int4)', 'INSERT INTO t VALUES (1), (2), (1)')
    await using to = await Database.create(server, 'CREATE TABLE t (id int4 UNIQUE)', 'INSERT INTO t VALUES (7)')
    await using route = new Route(from.url, to.url)
    for (const mode of ['overwrite', 'append'] as const) {
      expect(await codeOf(route.move('public.t', { mode }))).toBe('row_rejected')
      expect(await to.query('SELECT id FROM t')).toEqual([{ id: 7 }])
    }
    const recalled = await route.destination.recall('test', route.context)
    expect(recalled?.checkpoints).toHaveLength(1)
    if (recalled) await route.destination.discard(recalled.run, ['public.t'], route.context)
    expect(await route.destination.recall('test', route.context)).toBeUndefined()
    expect(await to.query(`SELECT relname FROM pg_class WHERE relname LIKE 'nebula\\_stage%'`)).toEqual([])
  })

  test('a run has ended once it was told so, until the next one; an older one cannot end it', async () => {
    await using db = await Database.create(server, 'CREATE TABLE t (id int4)')
    await using route = new Route(db.url, db.url)
    const { run } = await route.move('public.t', { target: 'u' })
    const ended = async () => (await route.destination.recall('test', route.context))?.ended
    expect(await ended()).toBe(false)
    await route.destination.end(run, route.context)
    expect(await ended()).toBe(true)
    await route.move('public.t', { target: 'u' })
    expect(await ended()).toBe(false)
    expect(await codeOf(route.destination.end(run, route.context))).toBe('fenced')
  })

  test('a partitioned target takes rows by append and by overwrite', async () => {
    await using from = await Database.create(
      server,
      'CREATE TABLE t (id int4, v text)',
      `INSERT INTO t SELECT g, 'v' FROM generate_series(1, 20) g`,
    )
    await using to = await Database.create(
      server,
      'CREATE TABLE t (v text, id int4) PARTITION BY RANGE (id)',
      'CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (11)',
      'CREATE TABLE t2 PARTITION OF t DEFAULT',
    )
    await using route = new Route(from.url, to.url)
    await route.move('public.t', { mode: 'append' })
    await route.move('public.t', { mode: 'overwrite' })
    expect(await to.count('t1')).toBe(10)
    expect(await to.count('t2')).toBe(10)
  })

  test('columns widen into those of a standing table, and text is parsed by the server', async () => {
    await using from = await Database.create(
      server,
      `CREATE TABLE t (i int2, j int4, k int8, d date, n numeric(5,2), f float4, s varchar(3), x int4, r text, e text)`,
      `INSERT INTO t VALUES (-1, 2, 3, 'infinity', 1.50, 0.1, 'abc', 5, '[1,2)', 'sad'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
    )
    await using to = await Database.create(
      server,
      `CREATE TYPE mood AS ENUM ('sad')`,
      `CREATE TABLE t (i int8, j numeric, k numeric(19,0), d timestamp, n numeric(10,4), f float8, s text, x text, r int4range, e mood)`,
    )
    await using route = new Route(from.url, to.url)
    const info = await route.info('public.t')
    const [standing] = await route.destination.describe(['t'], route.context)
    const request = { stream: 't', mode: 'append' as const, columns: [], key: [] }
    const fields = info.schema.fields.map((field) =>
      ['r', 'e'].includes(field.name) ? (foreign([field])[0] as Field) : field,
    )
    const accepted = route.destination.accept(request, { fields }, info.wire, standing)
    expect(accepted.problems).toEqual([])
    expect(accepted.wire).toBeUndefined()
    expect(accepted.columns.map(({ as, fidelity }) => [as.kind, fidelity])).toEqual([
      ['int64', 'widened'],
      ['numeric', 'widened'],
      ['decimal', 'widened'],
      ['timestamp', 'widened'],
      ['decimal', 'widened'],
      ['float64', 'widened'],
      ['utf8', 'exact'],
      ['utf8', 'exact'],
      ['utf8', 'exact'],
      ['utf8', 'exact'],
    ])
  })

  test('what a standing table cannot hold is a problem that names both types', async () => {
    await using from = await Database.create(
      server,
      `CREATE TABLE t (a int8, "B" text, c numeric, d timestamp, g int4, missing int4)`,
    )
    await using to = await Database.create(
      server,
      `CREATE TABLE t (a int4, b text, c numeric(5,2), d timestamp(0), g int4 GENERATED ALWAYS AS (1) STORED, must int4 NOT NULL, can int4 NOT NULL DEFAULT 1)`,
    )
    await using route = new Route(from.url, to.url)
    const info = await route.info('public.t')
    const [standing] = await route.destination.describe(['t'], route.context)
    const request = { stream: 't', mode: 'append' as const, columns: [], key: [] }
    const { problems, columns } = route.destination.accept(request, info.schema, info.wire, standing)
    expect(problems.map(({ column, message }) => [column, message])).toEqual([
      ['a', expect.stringMatching(/bigint.*integer.*cast: \{ a: int32 \}/)],
      ['B', expect.stringMatching(/spells it b/)],
      ['c', expect.stringMatching(/numeric.*numeric\(5,2\).*cast/)],
      ['g', expect.stringMatching(/generates/)],
      ['missing', expect.stringMatching(/no such column/)],
      ['must', expect.stringMatching(/needs a value in must/)],
    ])
    expect(columns[3]).toMatchObject({ fidelity: 'lossy', why: expect.stringMatching(/rounds/) as string })
  })

  test('types of another system become columns', async () => {
    await using to = await Database.create(server)
    await using route = new Route(to.url, to.url)
    const kinds = [
      'int8',
      'uint8',
      'uint16',
      'uint32',
      'uint64',
      'utf8',
      'json',
      'numeric',
      'binary',
      'interval',
      'uuid',
      'bool',
      'date',
      'time',
    ] as const
    const fields: Field[] = kinds.map((kind) => ({ name: kind, type: { kind }, nullable: true }))
    fields.push({ name: 'list', type: { kind: 'list', element: { kind: 'utf8' } }, nullable: true })
    fields.push({ name: 'x'.repeat(64), type: { kind: 'utf8' }, nullable: true })
    const request = { stream: 't', mode: 'append' as const, columns: [], key: [] }
    const { columns, problems } = route.destination.accept(request, { fields }, [])
    expect(columns.map(({ type, as }) => `${as.kind} ${type}`)).toEqual([
      'int16 smallint',
      'int16 smallint',
      'int32 integer',
      'int64 bigint',
      'decimal numeric(20,0)',
      'utf8 text',
      'json json',
      'numeric numeric',
      'binary bytea',
      'interval interval',
      'uuid uuid',
      'bool boolean',
      'date date',
      'time time without time zone',
      'utf8 text',
      'utf8 text',
    ])
    expect(problems.map(({ column, code }) => [column, code])).toEqual([
      ['list', 'unsupported'],
      ['x'.repeat(64), 'target_incompatible'],
    ])
  })
})
