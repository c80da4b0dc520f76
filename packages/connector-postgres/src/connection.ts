import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { checkServerIdentity } from 'node:tls'
import type { Context } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { Client } from 'pg'
import type { Login, PostgresConfig } from './config.ts'
import { resolveLogin } from './config.ts'
import { errorCode, postgresError } from './errors.ts'

/** How every session reads and prints values, and that a server gives up soon after a client died. */
function settings(lockTimeoutMs: number): string {
  return `SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET DateStyle = 'ISO, MDY';
SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1; SET bytea_output = 'hex';
SET lc_monetary = 'C'; SET xmloption = content; SET application_name = 'nebula'; SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0; SET lock_timeout = ${lockTimeoutMs};
DO $$ BEGIN
  PERFORM set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '2000' ELSE '0' END, false) FROM pg_settings
    WHERE name IN ('client_connection_check_interval', 'idle_session_timeout', 'transaction_timeout');
  PERFORM set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
EXCEPTION WHEN OTHERS THEN NULL; END $$`
}

/** One connection. After an error that left it in an unknown state it is destroyed, never reused. */
export class Session {
  readonly client: Client
  /** The exported snapshot whose transaction is open here. */
  snapshot: string | undefined
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

  /** One statement, or several without values. A signal that fires destroys the session. */
  async query<Row>(sql: string, values?: readonly unknown[], signal?: AbortSignal): Promise<Row[]> {
    const stop = (): void => this.destroy()
    signal?.addEventListener('abort', stop, { once: true })
    try {
      if (signal?.aborted) throw new NebulaError('aborted', { message: 'The work was interrupted.' })
      return (await this.client.query(sql, values && [...values])).rows as Row[]
    } catch (error) {
      if (signal?.aborted) throw new NebulaError('aborted', { message: 'The work was interrupted.', cause: error })
      throw postgresError(error)
    } finally {
      signal?.removeEventListener('abort', stop)
    }
  }

  /** Runs `work` in one transaction; rolled back when it throws. */
  async transaction<T>(access: 'READ ONLY' | 'READ WRITE', work: () => Promise<T>): Promise<T> {
    await this.query(`BEGIN ISOLATION LEVEL READ COMMITTED ${access}`)
    try {
      const result = await work()
      await this.query('COMMIT')
      return result
    } catch (error) {
      if (!this.#broken) await this.query('ROLLBACK').catch(() => this.destroy())
      throw error
    }
  }

  /** Closes the socket at once; the server undoes what was not committed. */
  destroy(): void {
    this.#broken = true
    this.client.connection.stream.destroy()
  }
}

/** At most `performance.maxConcurrency` connections, and two at least: one holds a snapshot while others read. */
export class SessionPool {
  readonly #config: PostgresConfig
  readonly #limit: number
  #login: Login | undefined
  #open = 0
  readonly #idle: Session[] = []
  readonly #all = new Set<Session>()
  readonly #waiting: (() => void)[] = []

  constructor(config: PostgresConfig) {
    this.#config = config
    this.#limit = Math.max(2, config.performance.maxConcurrency)
  }

  /** Runs one short piece of work under the request timeout. */
  use<T>(context: Context, work: (session: Session, signal: AbortSignal) => Promise<T>): Promise<T> {
    return context.call(async (signal) => {
      const session = await this.acquire(signal)
      try {
        const result = await work(session, signal)
        this.release(session)
        return result
      } catch (error) {
        session.destroy()
        this.release(session)
        throw error
      }
    })
  }

  /** A session for the caller alone until `release`; one in the transaction of `snapshot` when there is one. */
  async acquire(signal: AbortSignal, snapshot?: string): Promise<Session> {
    while (this.#open >= this.#limit && this.#idle.length === 0) await this.#turn(signal)
    if (signal.aborted) {
      this.#waiting.shift()?.()
      throw new NebulaError('aborted', { message: 'Stopped while waiting for a connection.' })
    }
    const fitting = this.#idle.findIndex((session) => session.snapshot === snapshot)
    const [session] = this.#idle.splice(Math.max(0, fitting), 1)
    if (!session) return this.#connect(signal)
    if (session.snapshot !== snapshot && session.snapshot !== undefined) {
      await session.query('ROLLBACK', [], signal)
      session.snapshot = undefined
    }
    return session
  }

  release(session: Session): void {
    if (session.broken) {
      this.#all.delete(session)
      this.#open--
    } else {
      this.#idle.push(session)
    }
    this.#waiting.shift()?.()
  }

  async close(): Promise<void> {
    const sessions = [...this.#all]
    this.#all.clear()
    this.#idle.length = 0
    await Promise.all(sessions.filter(({ broken }) => !broken).map(({ client }) => client.end()))
  }

  async #turn(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new NebulaError('aborted', { message: 'Stopped while waiting for a connection.' })
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        const place = this.#waiting.indexOf(wake)
        if (place >= 0) this.#waiting.splice(place, 1)
        resolve()
      }
      signal.addEventListener('abort', wake, { once: true })
      this.#waiting.push(wake)
    })
  }

  async #connect(signal: AbortSignal): Promise<Session> {
    this.#open++
    try {
      this.#login ??= resolveLogin(this.#config)
      const session = await login(this.#login, this.#config.timeouts.connection)
      this.#all.add(session)
      await session.query(settings(this.#config.timeouts.request), undefined, signal)
      return session
    } catch (error) {
      this.#open--
      this.#waiting.shift()?.()
      throw error
    }
  }
}

/** Logs in with TLS as `mode` asks; `prefer` goes on without where the server has none. */
async function login(to: Login, timeoutMs: number): Promise<Session> {
  const { mode } = to.tls
  const plain = mode === 'disable' || to.host.startsWith('/')
  try {
    return await connect(to, timeoutMs, plain ? false : tlsOptions(to))
  } catch (error) {
    const preferred = mode === 'prefer' && !plain && errorCode(error) === 'tls_failed'
    if (preferred) return login({ ...to, tls: { ...to.tls, mode: 'disable' } }, timeoutMs)
    const code = errorCode(error) === 'connection_lost' ? 'connection_failed' : errorCode(error)
    const known = postgresError(error, `Connecting to ${to.host}:${to.port}`)
    throw new NebulaError(code, { message: known.message, connector: 'postgres', cause: error })
  }
}

async function connect(
  { host, port, database, user, password, options }: Login,
  timeoutMs: number,
  ssl: false | ConnectionOptions,
): Promise<Session> {
  const client = new Client({
    host,
    port,
    database,
    user,
    ssl,
    ...(password === undefined ? {} : { password }),
    ...(options === undefined ? {} : { options }),
    connectionTimeoutMillis: timeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
  const session = new Session(client)
  try {
    await client.connect()
  } catch (error) {
    client.connection.stream.destroy()
    throw error
  }
  return session
}

function tlsOptions({ tls, host }: Login): ConnectionOptions {
  const { mode, ca, cert, key, serverName } = tls
  const proven = mode === 'verify-ca' || mode === 'verify-full' || ca !== undefined
  const named = mode === 'verify-full'
  return {
    rejectUnauthorized: proven && mode !== 'prefer',
    checkServerIdentity: (name, certificate) =>
      named ? checkServerIdentity(serverName ?? (name || host), certificate) : undefined,
    ...(ca === undefined ? {} : { ca: pem(ca, 'ca') }),
    ...(cert === undefined ? {} : { cert: pem(cert, 'cert') }),
    ...(key === undefined ? {} : { key: pem(key.reveal(), 'key') }),
  }
}

function pem(path: string, key: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new NebulaError('config_invalid', {
      message: `The file of security.tls.${key} cannot be read.`,
      cause: error,
    })
  }
}
