import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createContext } from '@nebula/base'
import type { Pipeline, Report } from '@nebula/runtime'
import { runPipeline } from '@nebula/runtime'
import { FaultProxy, memoryFolder, SshServer } from '@nebula/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { PostgresConfig } from '../src/config.ts'
import { sessionPool } from '../src/connection.ts'
import { postgres } from '../src/index.ts'
import { Database, failure } from './harness.ts'

/** Only the SSH server knows this name. */
const HOST = 'db.internal'
const ROWS = 8_000
const SEED = [
  'CREATE TABLE t (id int4 PRIMARY KEY, v text)',
  `INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(1, ${ROWS}) g`,
]
const server = inject('postgres')['18']

let ssh: SshServer
let folder = ''
beforeAll(async () => {
  ssh = await SshServer.start({ password: 'S3cret', hosts: { [HOST]: new URL(server).hostname } })
})
afterAll(() => ssh[Symbol.asyncDispose]())
beforeEach(async () => {
  folder = await mkdtemp(join(memoryFolder(), 'nebula-ssh-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** The configuration of a database that is reached through the SSH server, or through a proxy before it. */
function through(url: string, port = ssh.port, keys: object = {}): PostgresConfig {
  const hidden = new URL(url)
  hidden.hostname = HOST
  const security = { ssh: { ...ssh.login, port, ...keys } }
  return PostgresConfig.parse({ url: hidden.href, security, reliability: { maxRetries: 2, retryDelay: 1 } })
}

function move(source: PostgresConfig, destination: PostgresConfig): Promise<Report> {
  const connector = postgres as unknown as Pipeline['source']['connector']
  return runPipeline({
    name: 'ssh',
    stateFolder: join(folder, '.nebula'),
    source: { connector, config: source },
    destination: { connector, config: destination },
    parallel: 2,
    streams: { 'public.t': { target: 'public.copied' } },
  })
}

const check = `SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, min(length(v)) AS shortest FROM copied`
const whole = [{ rows: ROWS, ids: ROWS, shortest: 300 }]
const counts = { status: 'done', streams: [{ read: ROWS, written: ROWS, rejected: 0, filtered: 0 }] }

/** Behind so many bytes, in the middle of the rows, the connection to the SSH server is broken off, once. */
async function cutting(way: 'toServer' | 'toClient'): Promise<FaultProxy> {
  const proxy = await FaultProxy.before(`ssh://${ssh.host}:${ssh.port}`)
  void proxy[way].after(1_000_000, (connection) => connection.cut('reset'))
  return proxy
}

describe('a route through an SSH server', () => {
  test('arrives whole, over one connection for each end', async () => {
    await using db = await Database.create(server, ...SEED)
    const before = ssh.logins
    expect(await move(through(db.url), through(db.url))).toMatchObject(counts)
    expect(await db.query(check)).toEqual(whole)
    expect(ssh.logins - before).toBe(2)
    await expect.poll(() => ssh.connections).toBe(0)
  })

  test('goes on when the tunnel of the destination is cut', async () => {
    await using db = await Database.create(server, ...SEED)
    await using proxy = await cutting('toServer')
    expect(await move(through(db.url), through(db.url, proxy.port))).toMatchObject(counts)
    expect(proxy.accepted).toBe(2)
    expect(await db.query(check)).toEqual(whole)
  })

  test('is resumed by the next run when the tunnel of the source is cut', async () => {
    await using db = await Database.create(server, ...SEED)
    await using proxy = await cutting('toClient')
    const failed = await move(through(db.url, proxy.port), through(db.url))
    expect(failed).toMatchObject({ status: 'failed' })
    expect(await move(through(db.url, proxy.port), through(db.url))).toMatchObject({ status: 'done' })
    expect(await db.query(check)).toEqual(whole)
  })
})

describe('a pool', () => {
  const contextOf = (config: PostgresConfig, signal = new AbortController().signal): ReturnType<typeof createContext> =>
    createContext({ signal, config })

  test('names the SSH server where it is what fails', async () => {
    await using db = await Database.create(server)
    for (const [keys, code] of [
      [{ password: 'wrong' }, 'authentication_failed'],
      [{ fingerprint: `SHA256:${'A'.repeat(43)}` }, 'host_key_unknown'],
    ] as const) {
      const config = through(db.url, ssh.port, keys)
      const pool = sessionPool(config)
      const error = await failure(pool.use(contextOf(config), (session) => session.query('SELECT 1')))
      expect([error.code, error.message]).toEqual([code, expect.stringContaining(`127.0.0.1:${ssh.port}`)])
      await pool.close()
    }
  })

  test('tells of a tunnel that is lost in the middle of a request, and opens another', async () => {
    await using db = await Database.create(server)
    const config = PostgresConfig.parse({ ...through(db.url), reliability: { maxRetries: 0 } })
    const pool = sessionPool(config)
    const waiting = pool.use(contextOf(config), async (session) => {
      const query = session.query('SELECT pg_sleep(600)')
      ssh.cutAll()
      return query
    })
    const error = await failure(waiting)
    expect([error.code, error.message]).toEqual([
      'connection_lost',
      expect.stringContaining(`The connection to the SSH server 127.0.0.1:${ssh.port} was lost`),
    ])
    expect(await pool.use(contextOf(config), (session) => session.query('SELECT 1 AS n'))).toEqual([{ n: 1 }])
    await pool.close()
  })

  test('leaves a request at once when it is stopped, and nothing behind when it is closed', async () => {
    await using db = await Database.create(server)
    const config = through(db.url)
    const pool = sessionPool(config)
    const stop = new AbortController()
    const started = Promise.withResolvers<void>()
    const waiting = failure(
      pool.use(contextOf(config, stop.signal), (session) => {
        started.resolve()
        return session.query('SELECT pg_sleep(600)')
      }),
    )
    await started.promise
    stop.abort()
    expect((await waiting).code).toBe('aborted')
    await pool.use(contextOf(config), (session) => session.query('SELECT 1'))
    await pool.close()
    await expect.poll(() => ssh.connections).toBe(0)
    const others = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
    // The server looks for clients that are gone from time to time.
    await expect.poll(() => db.query(others), { timeout: 30_000 }).toEqual([{ n: 0 }])
  })
})
