import type { ConnectionOptions } from 'node:tls'
import type { Pooled } from '@nebula/base'
import { LendingSocket, Pool, SshTunnel, tlsOptions } from '@nebula/base'
import { isNebulaError, NebulaError } from '@nebula/core'
import type { SqlSession } from '@nebula/sql'
import { finishTransaction } from '@nebula/sql'
import type { QueryResult } from 'pg'
import { Client } from 'pg'
import type { Login, PostgresConfig } from './config.ts'
import { resolveLogin } from './config.ts'
import { postgresError } from './errors.ts'

type Way = PostgresConfig['timeouts'] & { readonly signal: AbortSignal; readonly tunnel: SshTunnel | undefined }

/** How every session reads and prints values, and that a server gives up soon after a client died or went silent. */
function settings({ request, keepAlive }: PostgresConfig['timeouts']): string {
  return `SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET DateStyle = 'ISO, MDY';
SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1; SET bytea_output = 'hex';
SET lc_monetary = 'C'; SET xmloption = content; SET application_name = 'nebula'; SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0; SET lock_timeout = ${request};
SET tcp_keepalives_idle = ${Math.ceil(keepAlive / 1000)}; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
SELECT set_config(name, '0', false) FROM unnest(ARRAY['idle_session_timeout', 'transaction_timeout']) name
  WHERE current_setting(name, true) <> '0'`
}

/** One connection. After an error that left it in an unknown state it is destroyed, never reused. */
export class Session implements SqlSession, Pooled {
  readonly client: Client
  /** The exported snapshot whose transaction is open here. */
  state: string | undefined
  #broken = false

  constructor(client: Client) {
    this.client = client
    const broken = (): void => {
      this.#broken = true
    }
    client.on('error', broken).on('end', broken)
  }

  get broken(): boolean {
    return this.#broken
  }

  async query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
    return (await this.#run(sql, values)).rows as Row[]
  }

  async execute(sql: string, values?: readonly unknown[]): Promise<number> {
    return (await this.#run(sql, values)).rowCount ?? 0
  }

  async begin(access = 'READ WRITE'): Promise<void> {
    await this.execute(`BEGIN ISOLATION LEVEL READ COMMITTED ${access}`)
  }

  async transaction<T>(work: () => Promise<T>, access?: 'READ ONLY'): Promise<T> {
    await this.begin(access)
    return finishTransaction(this, work)
  }

  async reset(): Promise<void> {
    await this.#run('ROLLBACK')
    this.state = undefined
  }

  async close(): Promise<void> {
    // A server that is gone without a word never ends its side.
    this.client.connection.stream.once('finish', () => this.destroy())
    await this.client.end()
  }

  destroy(): void {
    this.#broken = true
    this.client.connection.stream.destroy()
  }

  async #run(sql: string, values?: readonly unknown[]): Promise<QueryResult> {
    try {
      return await this.client.query(sql, values && [...values])
    } catch (cause) {
      throw postgresError(cause)
    }
  }
}

/** At most `performance.maxConcurrency` connections, and two at least: one holds a snapshot while others read. */
export function sessionPool(config: PostgresConfig): Pool<Session> {
  const { idle: idleMs, maxLifetime: lifetimeMs } = config.timeouts
  const connections = Math.max(2, config.performance.maxConcurrency)
  const tunnel = SshTunnel.of(config)
  const open = (signal: AbortSignal): Promise<Session> =>
    login(resolveLogin(config), { ...config.timeouts, signal, tunnel })
  return new Pool({ connections, idleMs, lifetimeMs }, open, tunnel)
}

/** Logs in with TLS as `mode` asks; `prefer` goes on without where the server has none. */
async function login(to: Login, way: Way): Promise<Session> {
  const { tls, host, port } = to
  const ssl = tls.mode === 'disable' || host.startsWith('/') ? false : tlsOptions(tls, host)
  try {
    return await connect(to, way, ssl)
  } catch (error) {
    if (isNebulaError(error)) throw error
    if (isNebulaError(error)) throw error
    const { code, message } = postgresError(error, `Connecting to ${host}:${port}`)
    if (tls.mode === 'prefer' && code === 'tls_failed') return login({ ...to, tls: { ...tls, mode: 'disable' } }, way)
    const known = code === 'connection_lost' ? 'connection_failed' : code
    throw new NebulaError(known, { message, connector: 'postgres', cause: error })
  }
}

async function connect(to: Login, way: Way, ssl: false | ConnectionOptions): Promise<Session> {
  const { host, port, database, user, password, options } = to
  const stream = (await way.tunnel?.dial(host, port, way.signal)) ?? (ssl ? undefined : new LendingSocket())
  const client = new Client({
    host,
    port,
    database,
    user,
    ssl,
    ...(stream && { stream: () => stream }),
    ...(password === undefined ? {} : { password }),
    ...(options === undefined ? {} : { options }),
    connectionTimeoutMillis: way.connection,
    keepAlive: true,
    keepAliveInitialDelayMillis: way.keepAlive,
  })
  const session = new Session(client)
  way.signal.addEventListener('abort', () => session.destroy(), { once: true })
  try {
    await client.connect()
    await session.query(settings(way))
    // Not on every platform; a session that is lost meanwhile says so the next time.
    await session.query('SET client_connection_check_interval = 2000').catch(() => {})
    return session
  } catch (error) {
    session.destroy()
    throw error
  }
}
