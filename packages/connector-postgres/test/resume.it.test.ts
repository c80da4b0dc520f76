import type { CommittedPartition, ReadStream, StreamRequest } from '@nebula/core'
import { bindCondition, parseCondition } from '@nebula/core'
import { describe, expect, inject, test } from 'vitest'
import { Database, NOWHERE, previousOf, Route, VERSIONS } from './harness.ts'

const SEED = [
  `CREATE TABLE t (id int4 PRIMARY KEY, v text) WITH (autovacuum_enabled = off)`,
  `INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 400) g`,
]

/** What a stream is asked for, and the same as SQL. */
interface Filter {
  readonly request?: Pick<StreamRequest, 'where' | 'nativeFilter'>
  readonly sql?: string
}

function filtered({ read }: { read: ReadStream }, { request }: Filter): { read: ReadStream } {
  return { read: { ...read, request: { ...read.request, ...request } } }
}

/** Reads the first half of a table's partitions, as a run that is then killed; then plans again. */
async function interrupted(
  version: '14' | '18',
  change: (db: Database, boundary: number) => Promise<unknown>,
  name = 'public.t',
  { seed = SEED, filter = {} }: { seed?: string[]; filter?: Filter } = {},
) {
  await using from = await Database.create(inject('postgres')[version], ...seed)
  const committed: (CommittedPartition & { ids: number[] })[] = []
  const first = new Route(from.url, from.url)
  const { read } = filtered(await first.agree(name, { wire: false, target: NOWHERE }), filter)
  const plan = await first.source.plan([read], 65_536, undefined, first.context)
  expect(plan.partitions.length).toBeGreaterThan(4)
  const half = plan.partitions.slice(0, plan.partitions.length >> 1)
  for (const partition of half) committed.push(await readIds(first, read, partition, plan.snapshot))
  await first[Symbol.asyncDispose]()
  await from.endOthers()
  const boundary = Math.max(...committed.flatMap(({ ids }) => ids))
  await change(from, boundary)

  await using second = new Route(from.url, from.url)
  const agreed = filtered(await second.agree(name, { wire: false, target: NOWHERE }), filter).read
  const resumed = await second.source.plan([agreed], 65_536, previousOf(plan, committed), second.context)
  const kept = resumed.restart.length === 0
  const done = new Set(kept ? committed.map(({ partition }) => partition) : [])
  const ids = kept ? committed.flatMap((part) => part.ids) : []
  for (const partition of resumed.partitions.filter(({ id }) => !done.has(id))) {
    ids.push(...(await readIds(second, agreed, partition, resumed.snapshot)).ids)
  }
  const now = await from.query<{ id: number }>(`SELECT id FROM ${name} WHERE ${filter.sql ?? 'true'} ORDER BY id`)
  expect(ids.sort((a, b) => a - b)).toEqual(now.map(({ id }) => id))
  expect(kept ? resumed.partitions : []).toEqual(kept ? JSON.parse(JSON.stringify(plan.partitions)) : [])
  return resumed.restart
}

async function readIds(
  route: Route,
  read: ReadStream,
  partition: Parameters<PostgresRead>[0]['partition'],
  snapshot: unknown,
) {
  const ids: number[] = []
  const task = {
    partition,
    stream: read,
    snapshot: snapshot as string,
    batch: { rows: 50, bytes: 1_000_000, delayMs: 10_000 },
  }
  for await (const batch of route.source.read(task, route.context)) {
    for (let row = 0; row < batch.rows; row++) ids.push(batch.record(row).get('id') as number)
    batch.release()
  }
  return { partition: partition.id, read: ids.length, ids }
}
type PostgresRead = Route['source']['read']

describe('PostgreSQL 18, with a filter', () => {
  const version = '18'
  const schema = { fields: [{ name: 'id', type: { kind: 'int32' as const }, nullable: false }] }
  const { bound } = bindCondition(parseCondition('id > 3 and id <= 1000'), schema)
  const where: Filter = { request: bound ? { where: bound } : {}, sql: 'id > 3 AND id <= 1000' }

  test.each<[string, string[]]>([
    ['nothing', []],
    ['a change of rows that are not wanted', ["UPDATE t SET v = 'new' WHERE id = 2", 'DELETE FROM t WHERE id = 3']],
  ])('keeps what was read after %s', async (_, statements) => {
    const change = async (db: Database): Promise<void> => {
      for (const statement of statements) await db.query(statement)
    }
    expect(await interrupted(version, change, 'public.t', { filter: where })).toEqual([])
  })

  test.each<[string, string, RegExp]>([
    ['that is wanted no longer', 'UPDATE t SET id = 1001 WHERE id = 5', /gone/],
    ['that is wanted now', 'UPDATE t SET id = 999 WHERE id = 2', /changed/],
    ['that is gone', 'DELETE FROM t WHERE id = 7', /gone/],
  ])('begins again after a row %s', async (_, statement, reason) => {
    const vacuumed = async (db: Database): Promise<void> => {
      // Room in the first page, so that new versions lie among what was read.
      await db.query('DELETE FROM t WHERE id = 1')
      await db.query('VACUUM t')
      await db.query(statement)
    }
    const [restart] = await interrupted(version, vacuumed, 'public.t', { filter: where })
    expect(restart?.reason).toMatch(reason)
  })

  test('begins again where the filter is text of the user, which may ask other tables', async () => {
    const native: Filter = { request: { nativeFilter: 'id > 3' }, sql: 'id > 3' }
    const [restart] = await interrupted(version, async () => {}, 'public.t', { filter: native })
    expect(restart?.reason).toContain('native_filter')
  })
})

type Change = (db: Database, boundary: number) => Promise<unknown>

const KEPT: readonly (readonly [what: string, change: Change])[] = [
  ['nothing', async () => {}],
  ['a vacuum', (db) => db.query('VACUUM FREEZE t')],
  ['an update behind the committed pages', (db, id) => db.query('UPDATE t SET v = v WHERE id > $1', [id + 100])],
  ['a delete behind the committed pages', (db, id) => db.query('DELETE FROM t WHERE id > $1', [id + 100])],
  [
    'rows added at the end',
    (db) => db.query(`INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1001, 1200) g`),
  ],
  [
    'an update that was rolled back',
    async (db) => {
      await db.query('BEGIN')
      await db.query('DELETE FROM t')
      await db.query('ROLLBACK')
    },
  ],
  ['rows locked', (db) => db.query('SELECT * FROM t FOR UPDATE')],
]

const BEGUN_AGAIN: readonly (readonly [what: string, change: Change, reason: RegExp])[] = [
  [
    'an insert between them',
    async (db) => {
      await db.query('DELETE FROM t WHERE id = 3')
      await db.query('VACUUM t')
      await db.query(`INSERT INTO t VALUES (5000, repeat('y', 1000))`)
    },
    /changed/,
  ],
  ['an update', (db) => db.query(`UPDATE t SET v = 'new' WHERE id = 2`), /changed|gone/],
  ['a delete', (db) => db.query('DELETE FROM t WHERE id = 2'), /gone/],
  [
    'an update in a savepoint',
    async (db) => {
      await db.query('BEGIN')
      await db.query('SELECT txid_current()')
      await db.query('SAVEPOINT s')
      await db.query(`UPDATE t SET v = v || 'y' WHERE id < 4`)
      await db.query('RELEASE s')
      await db.query('COMMIT')
    },
    /changed|gone/,
  ],
  ['a row that moved behind them', (db) => db.query(`UPDATE t SET v = repeat('z', 3000) WHERE id = 1`), /changed|gone/],
  ['VACUUM FULL', (db) => db.query('VACUUM FULL t'), /rewritten/],
  ['TRUNCATE', (db) => db.query('TRUNCATE t'), /truncated/],
  [
    'TRUNCATE and the same rows',
    async (db) => {
      await db.query('CREATE TABLE copy AS TABLE t')
      await db.query('TRUNCATE t')
      await db.query('INSERT INTO t SELECT * FROM copy ORDER BY id')
    },
    /truncated/,
  ],
  ['another type', (db) => db.query('ALTER TABLE t ALTER v TYPE varchar(2000)'), /altered/],
  ['another column', (db) => db.query('ALTER TABLE t ADD w int4'), /altered/],
  [
    'another table of that name',
    async (db) => {
      await db.query('ALTER TABLE t RENAME TO u')
      await db.query('CREATE TABLE t (LIKE u INCLUDING ALL)')
      await db.query('INSERT INTO t SELECT * FROM u ORDER BY id')
    },
    /altered/,
  ],
]

describe.each(VERSIONS)('PostgreSQL %s', (version) => {
  test.each(KEPT)('keeps what was read after %s', async (_, change) => {
    expect(await interrupted(version, change)).toEqual([])
  })

  test.each(BEGUN_AGAIN)('begins again after %s', async (_, change, reason) => {
    const [restart] = await interrupted(version, change)
    expect(restart?.stream).toBe('public.t')
    expect(restart?.reason).toMatch(reason)
  })

  const PARTITIONED = [
    `CREATE TABLE p (id int4, v text) PARTITION BY RANGE (id)`,
    `CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (201)`,
    `CREATE TABLE p2 (v text, id int4 NOT NULL)`,
    `ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (201) TO (10000)`,
    `INSERT INTO p SELECT g, repeat('x', 1000) FROM generate_series(1, 400) g`,
  ]

  test('proves a partitioned table leaf by leaf', async () => {
    expect(
      await interrupted(version, (db) => db.query('UPDATE p2 SET v = v WHERE id > 300'), 'public.p', {
        seed: PARTITIONED,
      }),
    ).toEqual([])
    expect(
      await interrupted(version, (db) => db.query('DELETE FROM p1 WHERE id = 1'), 'public.p', { seed: PARTITIONED }),
    ).toHaveLength(1)
    const attach = (db: Database) => db.query('CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (10000) TO (10001)')
    expect(await interrupted(version, attach, 'public.p', { seed: PARTITIONED })).toHaveLength(1)
  })

  test('proves it again after a second interruption', async () => {
    await using from = await Database.create(inject('postgres')[version], ...SEED)
    const first = new Route(from.url, from.url)
    const { read } = await first.agree('public.t', { target: NOWHERE })
    const plan = await first.source.plan([read], 65_536, undefined, first.context)
    const [one, two] = plan.partitions
    if (!one || !two) throw new Error('too few partitions')
    const a = await readIds(first, read, one, plan.snapshot)
    await first[Symbol.asyncDispose]()
    await from.query('UPDATE t SET v = v WHERE id > 200')
    const second = new Route(from.url, from.url)
    const again = await second.source.plan([read], 65_536, previousOf(plan, [a]), second.context)
    expect(again.restart).toEqual([])
    const b = await readIds(second, read, two, again.snapshot)
    await second[Symbol.asyncDispose]()
    await using third = new Route(from.url, from.url)
    const last = await third.source.plan([read], 65_536, previousOf(again, [a, b]), third.context)
    expect(last.restart).toEqual([])
    await from.query('DELETE FROM t WHERE id = $1', [b.ids[0]])
    const late = await third.source.plan([read], 65_536, previousOf(last, [a, b]), third.context)
    expect(late.restart[0]?.reason).toMatch(/gone/)
  })

  test('begins views and limited streams again', async () => {
    await using from = await Database.create(inject('postgres')[version], ...SEED, 'CREATE VIEW w AS SELECT * FROM t')
    await using route = new Route(from.url, from.url)
    for (const [name, options] of [
      ['public.w', {}],
      ['public.t', { limit: 10 }],
    ] as const) {
      const { read } = await route.agree(name, { ...options, target: NOWHERE })
      const plan = await route.source.plan([read], 65_536, undefined, route.context)
      expect(plan.partitions).toHaveLength(1)
      const part = await readIds(route, read, plan.partitions[0] as never, plan.snapshot)
      const again = await route.source.plan([read], 65_536, previousOf(plan, [part]), route.context)
      expect(again.restart[0]?.reason).toMatch(/one piece/)
    }
  })
})
