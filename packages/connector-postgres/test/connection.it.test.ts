import { once } from 'node:events'
import { createServer } from 'node:net'
import { createContext } from '@nebula/base'
import type { Context } from '@nebula/core'
import { BufferPool, isNebulaError } from '@nebula/core'
import { describe, expect, inject, test, vi } from 'vitest'
import { PostgresConfig } from '../src/config.ts'
import { sessionPool } from '../src/connection.ts'
import { PostgresSource } from '../src/source.ts'
import { Database, failure, NOWHERE, Route } from './harness.ts'

function contextOf(config: PostgresConfig, signal = new AbortController().signal): Context {
  return createContext({ signal, config })
}

async function opening(input: object): Promise<void> {
  const config = PostgresConfig.parse({ reliability: { maxRetries: 0 }, ...input })
  const source = new PostgresSource(config)
  const context = contextOf(config)
  try {
    await source.open(context)
  } finally {
    await source.close()
  }
}

/** Of one version: it is the driver that is tested, and the suite runs on both. */
describe('PostgreSQL 18', () => {
  const server = inject('postgres')['18']

  test('a login that fails says why, without its secrets', async () => {
    const url = new URL(server)
    url.password = 'wrong-secret'
    const refused = await failure(opening({ url: url.href }))
    expect(refused.code).toBe('authentication_failed')
    expect(refused.retryable).toBe(false)
    expect(JSON.stringify(refused) + refused.message).not.toContain('wrong-secret')
    url.href = server
    url.pathname = '/no_such_database'
    expect((await failure(opening({ url: url.href }))).code).toBe('database_not_found')
    url.href = server
    url.port = '1'
    expect((await failure(opening({ url: url.href }))).code).toBe('connection_failed')
    expect((await failure(opening({ url: server, host: 'no.such.host.invalid' }))).code).toBe('connection_failed')
    expect((await failure(opening({ url: server, host: '/no/such/folder' }))).code).toBe('connection_failed')
    expect((await failure(opening({ url: server, security: { tls: { mode: 'require' } } }))).code).toBe('tls_failed')
    expect((await failure(opening({ url: server, security: { tls: { mode: 'verify-full' } } }))).code).toBe(
      'tls_failed',
    )
    await opening({ url: server, security: { tls: { mode: 'disable' } } })
    const missing = await failure(
      opening({ url: server, security: { tls: { mode: 'verify-ca', ca: '/no/such.pem' } } }),
    )
    expect([missing.code, missing.message]).toEqual(['config_invalid', 'The file of security.tls.ca cannot be read.'])
  })

  test('a session whose settings the server refuses is closed', async () => {
    await using db = await Database.create(server)
    // Longer than lock_timeout can be.
    const config = PostgresConfig.parse({ url: db.url, timeouts: { request: '1000h' } })
    const pool = sessionPool(config)
    const error = await failure(pool.acquire(contextOf(config)))
    expect(error.message).toContain('invalid value for parameter')
    const others = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
    await vi.waitFor(async () => expect(await db.query(others)).toEqual([]))
    await pool.close()
  })

  test('a server that never answers is given up', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as { port: number }
    const error = await failure(opening({ host: '127.0.0.1', port, username: 'u', timeouts: { connection: '200ms' } }))
    expect(error.code).toBe('connection_failed')
    silent.close()
  })

  test('passwords of any characters, in a URL and beside it', async () => {
    const password = `p@s/s%w:o'r"d? #&=\\é`
    const role = 'nebula_odd'
    await using db = await Database.create(server)
    await db.query(`DO $$ BEGIN CREATE ROLE ${role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
    await db.query(`ALTER ROLE ${role} PASSWORD '${password.replaceAll("'", "''")}'`)
    const { host, pathname, hostname, port } = new URL(db.url)
    const urls = [`postgres://${role}:${encodeURIComponent(password)}@${host}${pathname}`]
    for (const url of urls) await expect(opening({ url })).resolves.toBeUndefined()
    await opening({ host: hostname, port: Number(port), database: pathname.slice(1), username: role, password })
    await db.query(`ALTER ROLE ${role} PASSWORD 'p@a/b:c'`)
    await opening({ url: `postgres://${role}:p@a/b:c@${host}${pathname}` })
  })

  test('the session prints as agreed, whatever the database says', async () => {
    await using db = await Database.create(server)
    const [name] = await db.query<{ name: string }>('SELECT quote_ident(current_database()) AS name')
    for (const setting of [
      `DateStyle = 'German'`,
      `IntervalStyle = 'sql_standard'`,
      `TimeZone = 'Asia/Tokyo'`,
      `bytea_output = 'escape'`,
      `extra_float_digits = -3`,
      `statement_timeout = 1`,
      `default_transaction_read_only = on`,
      `default_transaction_isolation = 'serializable'`,
      `synchronous_commit = off`,
      `search_path = ''`,
    ]) {
      await db.query(`ALTER DATABASE ${name?.name} SET ${setting}`)
    }
    const config = PostgresConfig.parse({ url: db.url, timeouts: { request: '7s' } })
    const pool = sessionPool(config)
    const session = await pool.acquire(contextOf(config))
    const rows = await session.query<{ v: string }>(
      `SELECT unnest(ARRAY[('2024-02-01 12:00+00'::timestamptz)::text, '1 mon 2 days'::interval::text, '\\x00'::bytea::text, (0.1::float8)::text,
       current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('synchronous_commit'), current_setting('application_name'),
       current_setting('client_connection_check_interval')]) AS v`,
    )
    expect(rows.map(({ v }) => v)).toEqual([
      '2024-02-01 12:00:00+00',
      'P1M2D',
      '\\x00',
      '0.1',
      '0',
      '7s',
      'on',
      'nebula',
      '2s',
    ])
    await session.transaction(() => session.query('CREATE TABLE public.t ()'))
    pool.release(session)
    await pool.close()
  })

  test('connections are bounded, waited for in line, and abandoned by signal', async () => {
    const config = PostgresConfig.parse({ url: server, performance: { maxConcurrency: 2 } })
    const pool = sessionPool(config)
    const never = contextOf(config)
    const [a, b] = [await pool.acquire(never), await pool.acquire(never)]
    const order: string[] = []
    const impatient = new AbortController()
    const waiting = [
      pool.acquire(never).then((session) => (order.push('first'), session)),
      pool.acquire(contextOf(config, impatient.signal)).catch((error: unknown) => (order.push('aborted'), error)),
      pool.acquire(never).then((session) => (order.push('third'), session)),
    ]
    impatient.abort()
    expect(isNebulaError(await waiting[1], 'aborted')).toBe(true)
    pool.release(a)
    expect(await waiting[0]).toBe(a)
    b.destroy()
    pool.release(b)
    expect(await waiting[2]).not.toBe(b)
    expect(order).toEqual(['aborted', 'first', 'third'])
    await pool.close()
    await pool.close()
  })

  test('a killed backend is a lost connection, in a query and in a copy', async () => {
    await using from = await Database.create(
      server,
      'CREATE TABLE t (id int4, v text)',
      `INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g`,
    )
    await using route = new Route(from.url, from.url)
    const { read } = await route.agree('public.t', { target: NOWHERE })
    const plan = await route.source.plan([read], 1e9, undefined, route.context)
    const task = {
      partition: plan.partitions[0] as never,
      stream: read,
      snapshot: plan.snapshot as string,
      batch: { rows: 100, bytes: 1e6, delayMs: 10_000 },
    }
    const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
    const error = await failure(
      (async () => {
        for await (const batch of route.source.read(task, route.context)) {
          batch.release()
          await from.query(kill)
        }
      })(),
    )
    expect(error.code).toBe('connection_lost')
    expect(error.stream).toBe('public.t')
    const gone = await failure(route.source.read(task, route.context).next())
    expect([gone.code, gone.retryable]).toEqual(['connection_lost', false])
    await route.source.ping(route.context)
  })

  test('reading left early, or aborted, frees connection and memory', async () => {
    await using from = await Database.create(
      server,
      'CREATE TABLE t (id int4, v text)',
      `INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g`,
    )
    await using route = new Route(from.url, from.url, { maxConcurrency: 2 })
    const { read } = await route.agree('public.t', { target: NOWHERE })
    const plan = await route.source.plan([read], 1e9, undefined, route.context)
    const task = {
      partition: plan.partitions[0] as never,
      stream: read,
      snapshot: plan.snapshot as string,
      batch: { rows: 100, bytes: 1e6, delayMs: 10_000 },
    }
    for (let i = 0; i < 4; i++) {
      for await (const batch of route.source.read(task, route.context)) {
        batch.release()
        break
      }
    }
    const pool = new BufferPool(1e9)
    const stopping = new AbortController()
    const context = { ...route.context, signal: stopping.signal, pool }
    const error = await failure(
      (async () => {
        for await (const batch of route.source.read(task, context)) {
          batch.release()
          stopping.abort()
        }
      })(),
    )
    expect(error.code).toBe('aborted')
    expect(pool.statistics.used).toBe(0)
    expect(route.context.pool.statistics.used).toBe(0)
  })

  test('nothing is read while memory is at its limit, and batches follow its release', async () => {
    await using from = await Database.create(
      server,
      'CREATE TABLE t (id int4, v text)',
      `INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g`,
    )
    await using route = new Route(from.url, from.url)
    const { read } = await route.agree('public.t', { target: NOWHERE })
    const plan = await route.source.plan([read], 1e9, undefined, route.context)
    const task = {
      partition: plan.partitions[0] as never,
      stream: read,
      snapshot: plan.snapshot as string,
      batch: { rows: 1000, bytes: 100_000, delayMs: 10_000 },
    }
    const pool = new BufferPool(500_000)
    let rows = 0
    for await (const batch of route.source.read(task, { ...route.context, pool })) {
      rows += batch.rows
      expect(pool.statistics.used).toBeLessThan(1_200_000)
      batch.release()
    }
    expect(rows).toBe(5000)
    expect(pool.statistics.used).toBe(0)
  })
})
