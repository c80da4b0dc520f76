import { describe, expect, inject, test } from 'vitest'
import { codeOf, Database, NOWHERE, Route, VERSIONS } from './harness.ts'

describe.each(VERSIONS)('PostgreSQL %s', (version) => {
  const server = inject('postgres')[version]

  /** Moves tables as they are and as columns, and compares the text of all rows. Returns their number. */
  async function roundTrip(
    names: readonly string[],
    statements: string[],
    query = (name: string) => `SELECT * FROM ${name}`,
  ): Promise<number[]> {
    await using from = await Database.create(server, ...statements)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    const { streams } = await route.source.discover(route.context)
    const rows: number[] = []
    for (const name of names) {
      expect(streams.filter((info) => info.name === name)).toHaveLength(1)
      const expected = (await from.copy(query(name), 'text')).split('\n').sort()
      for (const wire of [true, false]) {
        await route.move(name, { wire, partitionBytes: 16_384 })
        expect((await to.copy(query(name), 'text')).split('\n').sort()).toEqual(expected)
        await to.query(`DROP TABLE ${name}`)
      }
      rows.push(expected.length - 1)
    }
    return rows
  }

  test('a partitioned table whose children have another column order, as one stream', async () => {
    const rows = await roundTrip(
      ['public.p'],
      [
        `CREATE TABLE p (id int4, v text, w int8) PARTITION BY LIST (id)`,
        `CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY RANGE (w)`,
        `CREATE TABLE p11 (w int8, gone int4, v text, id int4)`,
        `ALTER TABLE p11 DROP COLUMN gone`,
        `ALTER TABLE p1 ATTACH PARTITION p11 FOR VALUES FROM (0) TO (1000)`,
        `CREATE TABLE p2 (v text, w int8, id int4)`,
        `ALTER TABLE p ATTACH PARTITION p2 DEFAULT`,
        `INSERT INTO p SELECT g % 3, repeat('x', 500) || g, g FROM generate_series(0, 300) g`,
      ],
    )
    expect(rows).toEqual([301])
  })

  test('a table with children that inherit', async () => {
    const rows = await roundTrip(
      ['public.parent'],
      [
        `CREATE TABLE parent (id int4, v text)`,
        `CREATE TABLE child (extra int4) INHERITS (parent)`,
        `CREATE TABLE grandchild (more text) INHERITS (child)`,
        `INSERT INTO parent VALUES (1, 'parent')`,
        `INSERT INTO child VALUES (2, 'child', 3)`,
        `INSERT INTO grandchild VALUES (4, 'grandchild', 5, 'x')`,
      ],
    )
    expect(rows).toEqual([3])
  })

  test('views, materialized views, an empty table', async () => {
    const rows = await roundTrip(
      ['public.w', 'public.m', 'public.nothing'],
      [
        `CREATE TABLE t (id int4 PRIMARY KEY, v text)`,
        `INSERT INTO t SELECT g, repeat('v', 100) FROM generate_series(1, 500) g`,
        `CREATE VIEW w AS SELECT id, v, id::numeric(10,2) / 3 AS third FROM t`,
        `CREATE MATERIALIZED VIEW m AS SELECT * FROM t`,
        `CREATE TABLE nothing (id int4)`,
      ],
    )
    expect(rows).toEqual([500, 500, 0])
  })

  test('a table without columns keeps its rows', async () => {
    const insert = 'INSERT INTO none DEFAULT VALUES'
    const rows = await roundTrip(
      ['public.none'],
      ['CREATE TABLE none ()', insert, insert, insert],
      (name) => `SELECT count(*) FROM ${name}`,
    )
    // The line that says three.
    expect(rows).toEqual([1])
  })

  // 1,600 columns are a check of the suite.
  test('a row of 5 MB', async () => {
    const rows = await roundTrip(
      ['public.big'],
      ['CREATE TABLE big (id int4, v text)', `INSERT INTO big VALUES (1, 'a'), (2, repeat('x', 5000000)), (3, 'b')`],
      () => 'SELECT id, length(v), md5(v) FROM big',
    )
    expect(rows).toEqual([3])
  })

  test('identity and generated columns', async () => {
    const seed = [
      `CREATE TABLE g (id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int4, twice int4 GENERATED ALWAYS AS (a * 2) STORED)`,
      `INSERT INTO g (a) SELECT g FROM generate_series(1, 10) g`,
    ]
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server, seed[0] as string)
    await using route = new Route(from.url, to.url)
    const fields = (await route.info('public.g')).schema.fields
    expect(fields.map(({ generated }) => generated === true)).toEqual([false, false, true])
    await route.move('public.g')
    expect(await to.query('SELECT id, a, twice FROM g WHERE id = 7')).toEqual([{ id: 7, a: 7, twice: 14 }])
    await route.move('public.g', { target: 'plain' })
    const [key] = await to.query(
      `SELECT conname, pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE conrelid = 'plain'::regclass AND contype = 'p'`,
    )
    expect(key).toEqual({ conname: 'plain_pkey', def: 'PRIMARY KEY (id)' })
  })

  test('odd names', async () => {
    // Names of tables and columns are a check of the suite; these are those of schemas, keys and staging tables, too.
    const names = [` with "quotes", it's?b%c:d$e 😀 \\ `, 'with.dot', 'SELECT', '1st', '-', `${'é'.repeat(31)}x`]
    const q = (name: string): string => `"${name.replaceAll('"', '""')}"`
    await using from = await Database.create(
      server,
      ...names.map((name) => `CREATE SCHEMA ${q(`s ${name}`.slice(0, 30))}`),
      ...names.flatMap((name) => {
        const table = `${q(`s ${name}`.slice(0, 30))}.${q(name)}`
        return [
          `CREATE TABLE ${table} (${q(name)} int4 PRIMARY KEY, "${'y'.repeat(63)}" text)`,
          `INSERT INTO ${table} VALUES (1, 'v')`,
        ]
      }),
    )
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    const { streams } = await route.source.discover(route.context)
    expect(streams).toHaveLength(names.length)
    expect(new Set(streams.map(({ name }) => name)).size).toBe(names.length)
    for (const { name } of streams) await route.move(name, { wire: false, isolate: true })
    const listed = `SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE table_schema LIKE 's %' ORDER BY 1, 2, 3`
    expect(await to.query(listed)).toEqual(await from.query(listed))
    expect(streams.map(({ name }) => name)).toContain('"s with.dot"."with.dot"')
    for (const target of ['x'.repeat(64), '😀'.repeat(16), 'a.b.c', 'a.', '', 'n.\0']) {
      expect(await codeOf(route.destination.describe([target], route.context))).toBe('target_incompatible')
    }
  })

  test('discovers what may be read, and nothing of its own', async () => {
    await using db = await Database.create(
      server,
      `CREATE TABLE t (id int4 NOT NULL, name text, PRIMARY KEY (name, id))`,
      `COMMENT ON TABLE t IS 'about t'`,
      `COMMENT ON COLUMN t.id IS 'about id'`,
      `CREATE TABLE nebula_checkpoints (x int4)`,
      `CREATE TEMP TABLE temporary (x int4)`,
      `CREATE TABLE secret (x int4)`,
      `CREATE TABLE p (x int4) PARTITION BY LIST (x)`,
      `CREATE TABLE p1 PARTITION OF p DEFAULT`,
      `DO $$ BEGIN CREATE ROLE limited LOGIN PASSWORD 'l'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
      `GRANT SELECT ON t TO limited`,
    )
    await using all = new Route(db.url, db.url)
    const { streams } = await all.source.discover(all.context)
    expect(streams.map(({ name }) => name)).toEqual(['public.p', 'public.secret', 'public.t'])
    const t = streams.find(({ name }) => name === 'public.t')
    expect(t).toMatchObject({ key: ['name', 'id'], comment: 'about t' })
    expect(t?.schema.fields[0]).toMatchObject({ name: 'id', nullable: false, declared: 'integer', comment: 'about id' })
    const url = new URL(db.url)
    url.username = 'limited'
    url.password = 'l'
    await using limited = new Route(url.href, db.url)
    expect((await limited.source.discover(limited.context)).streams.map(({ name }) => name)).toEqual(['public.t'])
  })

  test('a user without rights on the leaves reads a partitioned table in one piece', async () => {
    await using from = await Database.create(
      server,
      `CREATE TABLE p (x int4) PARTITION BY LIST (x)`,
      `CREATE TABLE p1 PARTITION OF p DEFAULT`,
      `INSERT INTO p SELECT g FROM generate_series(1, 10) g`,
      `DO $$ BEGIN CREATE ROLE limited LOGIN PASSWORD 'l'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
      `GRANT SELECT ON p TO limited`,
    )
    await using to = await Database.create(server)
    const url = new URL(from.url)
    url.username = 'limited'
    url.password = 'l'
    await using route = new Route(url.href, to.url)
    expect((await route.move('public.p')).rows).toBe(10)
  })

  test('lines of CSV have true and false, and what formatting gives', async () => {
    await using db = await Database.create(
      server,
      `CREATE TABLE t (b bool, s text, n numeric, c char(3), i inet, z text)`,
      `INSERT INTO t VALUES (true, 'a,"b"', 1.10, 'x', '10.0.0.1', ''), (false, NULL, NULL, NULL, NULL, NULL)`,
    )
    await using route = new Route(db.url, db.url)
    const { read } = await route.agree('public.t', { target: NOWHERE })
    const plan = await route.source.plan([read], 1e9, undefined, route.context)
    const task = {
      partition: plan.partitions[0] as never,
      stream: { ...read, wire: 'csv' },
      snapshot: plan.snapshot as string,
      batch: { rows: 10, bytes: 1e6, delayMs: 10_000 },
    }
    const lines: string[] = []
    for await (const { wire, rows } of route.source.read(task, route.context)) {
      for (let row = 0; row < rows; row++)
        lines.push(Buffer.from(wire?.data.subarray(wire.offsets[row], wire.offsets[row + 1]) ?? []).toString())
    }
    expect(lines).toEqual(['true,"a,""b""",1.10,x  ,10.0.0.1,""\n', 'false,,,,,\n'])
  })
})
