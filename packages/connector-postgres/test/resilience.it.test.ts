import { mkdtemp, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { createContext } from '@nebula/base'
import type { Pipeline, Report } from '@nebula/runtime'
import { runPipeline } from '@nebula/runtime'
import { memoryFolder } from '@nebula/testkit'
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import { PostgresConfig } from '../src/config.ts'
import { sessionPool } from '../src/connection.ts'
import { postgres } from '../src/index.ts'
import { faultLink } from './fault-link.ts'
import { Database, NOWHERE, Route } from './harness.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(memoryFolder(), 'nebula-resilience-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const ROWS = 8_000
/** In the middle of them, on their way. */
const MIDDLE = 1_000_000
const seed = [
  'CREATE TABLE t (id int4 PRIMARY KEY, v text)',
  `INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(1, ${ROWS}) g`,
]
const retries = { maxRetries: 2, retryDelay: 1 }

interface Ends {
  readonly source: { readonly url: string; readonly [key: string]: unknown }
  readonly destination: { readonly url: string; readonly [key: string]: unknown }
}

function move({ source, destination }: Ends, retry: object = retries): Promise<Report> {
  const connector = postgres as unknown as Pipeline['source']['connector']
  const pipeline: Pipeline = {
    name: 'resilience',
    stateFolder: join(folder, '.nebula'),
    source: { connector, config: PostgresConfig.parse({ reliability: retry, ...source }) },
    destination: { connector, config: PostgresConfig.parse({ reliability: retry, ...destination }) },
    parallel: 1,
    streams: { 'public.t': { target: 'public.copied' } },
  }
  return runPipeline(pipeline)
}

const check = `SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, min(length(v)) AS shortest FROM copied`
const whole = [{ rows: ROWS, ids: ROWS, shortest: 300 }]
const counts = { status: 'done', streams: [{ read: ROWS, written: ROWS, rejected: 0, filtered: 0 }] }

/** What a client does is the same before every version. */
const server = inject('postgres')['18']

describe('connections', () => {
  /** Connections of the pool under test, as the server counts them. */
  const connections = `SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`

  test('idle connections are closed, except one inside a snapshot', async () => {
    await using db = await Database.create(server)
    const config = PostgresConfig.parse({ url: db.url, timeouts: { idle: 50 } })
    const pool = sessionPool(config)
    const context = createContext({ signal: new AbortController().signal, config })
    const sessions = [await pool.acquire(context), await pool.acquire(context), await pool.acquire(context)]
    expect(await db.query(connections)).toHaveLength(3)
    const [kept] = sessions
    await kept?.query('BEGIN')
    if (kept) kept.state = 'snapshot'
    for (const session of sessions) pool.release(session)
    await vi.waitFor(async () => expect(await db.query(connections)).toHaveLength(1))
    expect(await pool.acquire(context, 'snapshot')).toBe(kept)
    await pool.close()
    await vi.waitFor(async () => expect(await db.query(connections)).toEqual([]))
  })

  test('a connection that lived long enough is replaced', async () => {
    await using db = await Database.create(server)
    const pids = []
    for (const maxLifetime of ['1h', 1]) {
      const config = PostgresConfig.parse({ url: db.url, timeouts: { maxLifetime } })
      const pool = sessionPool(config)
      const context = createContext({ signal: new AbortController().signal, config })
      const pid = `SELECT pg_backend_pid() AS pid FROM pg_sleep(0.01)`
      const seen = new Set<number | undefined>()
      for (let i = 0; i < 3; i++)
        seen.add((await pool.use(context, (session) => session.query<{ pid: number }>(pid)))[0]?.pid)
      pids.push(seen.size)
      await pool.close()
    }
    expect(pids).toEqual([1, 3])
  })

  test('never more connections than max_concurrency', async () => {
    await using db = await Database.create(server)
    const config = PostgresConfig.parse({ url: db.url, performance: { maxConcurrency: 3 } })
    const pool = sessionPool(config)
    const context = createContext({ signal: new AbortController().signal, config })
    const most = `SELECT count(*)::int AS n FROM pg_stat_activity, pg_sleep(0.02) WHERE application_name = 'nebula' AND datname = current_database()`
    const works = Array.from({ length: 12 }, () => pool.use(context, (session) => session.query<{ n: number }>(most)))
    const seen = (await Promise.all(works)).map(([row]) => row?.n ?? 0)
    expect(Math.max(...seen)).toBe(3)
    await pool.close()
  })

  test.each(['18', '14'] as const)('keep_alive is that of the socket, at both ends: PostgreSQL %s', async (version) => {
    const set = vi.spyOn(Socket.prototype, 'setKeepAlive')
    const config = PostgresConfig.parse({ url: inject('postgres')[version], timeouts: { keepAlive: '17s' } })
    const pool = sessionPool(config)
    const context = createContext({ signal: new AbortController().signal, config })
    const shown = `SELECT current_setting('tcp_keepalives_idle') AS idle`
    expect(await pool.use(context, (session) => session.query(shown))).toEqual([{ idle: '17' }])
    await pool.close()
    expect(set).toHaveBeenCalledWith(true, 17_000)
    set.mockRestore()
  })
})

// Connections that are cut and servers that are silent between rows are checks of the suite.
describe('rows', () => {
  test('performance.limit bounds the rows of a stream', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    const source = { url: from.url, performance: { limit: 7 } }
    expect(await move({ source, destination: { url: to.url } })).toMatchObject({ streams: [{ read: 7, written: 7 }] })
    expect(await to.count('copied')).toBe(7)
  })

  test('a batch that has rows goes on its way after the flush interval', async () => {
    await using db = await Database.create(
      server,
      'CREATE VIEW slow AS SELECT g AS id, pg_sleep(CASE g WHEN 1001 THEN 3600 ELSE 0 END)::text AS v FROM generate_series(1, 2000) g',
    )
    await using route = new Route(db.url, db.url)
    const { read } = await route.agree('public.slow', { target: NOWHERE })
    const plan = await route.source.plan([read], 1e9, undefined, route.context)
    const task = {
      partition: plan.partitions[0] as never,
      stream: read,
      snapshot: plan.snapshot as string,
      batch: { rows: 100_000, bytes: 8e6, delayMs: 20 },
    }
    let rows = 0
    for await (const batch of route.source.read(task, route.context)) {
      rows += batch.rows
      batch.release()
      // What the server still keeps in its own buffer cannot be here.
      if (rows > 0) break
    }
    expect(rows).toBeGreaterThan(0)
    expect(rows).toBeLessThanOrEqual(1000)
  })

  test('a connection that is cut while its commit is under way is made again, and no row is doubled', async () => {
    for (const arrives of [true, false]) {
      await using from = await Database.create(server, ...seed)
      await using to = await Database.create(server)
      let cuts = 0
      let committing = false
      await using link = await faultLink(to.url, (chunk, side, pair, bytes) => {
        if (cuts > 0 || bytes < 1000) return
        if (side === 'client' && chunk.includes('COMMIT\0') && bytes > MIDDLE) committing = true
        if (!committing || (arrives && side === 'client')) return
        cuts++
        pair.cut()
      })
      expect(await move({ source: { url: from.url }, destination: { url: link.url } })).toMatchObject(counts)
      expect(cuts).toBe(1)
      expect(await to.query(check)).toEqual(whole)
    }
  })

  test('a server that goes silent before the first rows is given up within query_timeout', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using link = await faultLink(from.url, (chunk, side, pair) => {
      if (side === 'client' && chunk.includes('COPY (')) pair.silence()
    })
    const timeouts = { queryTimeout: 200 }
    const source = { url: link.url, timeouts, performance: { flushInterval: 50 } }
    const report = await move({ source, destination: { url: to.url } }, { maxRetries: 0 })
    expect(report.streams[0]?.error).toMatchObject({
      code: 'timeout',
      fix: expect.stringContaining('timeouts.query_timeout'),
    })
  })
})
