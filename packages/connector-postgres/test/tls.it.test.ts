import { chownSync, copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createContext } from '@nebula/base'
import type { PostgresServer } from '@nebula/testkit'
import { CertificateAuthority, postgres, SshServer } from '@nebula/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresConfig } from '../src/config.ts'
import { sessionPool } from '../src/connection.ts'
import { codeOf, Database, failure } from './harness.ts'

const SERVER_NAME = 'db.example.test'

let server: PostgresServer
let folder: string
let ours: CertificateAuthority
let other: CertificateAuthority
let url: URL

/** `cert_user` must come by TLS, with a certificate of its name; others as they like, with their passwords. */
const HBA = `
hostssl all cert_user all cert
host all postgres all scram-sha-256
`

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nebula-tls-'))
  ours = new CertificateAuthority(folder, 'ours')
  other = new CertificateAuthority(folder, 'other')
  const { cert, key } = ours.issue('server', [SERVER_NAME])
  // Any flag makes it a server of our own.
  server = await postgres({ flags: ['-c', 'max_connections=30'] })
  const data = server.dataDir ?? ''
  {
    await using db = await Database.create(server.url, 'CREATE ROLE cert_user LOGIN')
    await db.query('ALTER SYSTEM SET ssl = on')
    await db.query(`ALTER SYSTEM SET ssl_ca_file = 'ca.crt'`)
  }
  const { uid, gid } = statSync(data)
  const files = { 'server.crt': cert, 'server.key': key, 'ca.crt': ours.ca }
  for (const [name, from] of Object.entries(files)) {
    copyFileSync(from, join(data, name))
    chownSync(join(data, name), uid, gid)
  }
  writeFileSync(join(data, 'pg_hba.conf'), HBA)
  url = new URL(server.url)
  server.kill('SIGINT')
  await server.restart()
}, 60_000)

afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

type Tls = {
  mode?: string
  ca?: string | undefined
  cert?: string
  key?: string
  serverName?: string
}

/** Whether the session that a configuration gives is encrypted, and whom it logs in. */
async function session(tls: Tls, keys: object = {}, ssh?: object): Promise<{ ssl: boolean; user: string }> {
  const config = PostgresConfig.parse({ url: url.href, ...keys, security: { tls, ssh } })
  const pool = sessionPool(config)
  try {
    const context = createContext({ signal: new AbortController().signal, config })
    const [row] = await pool.use(context, (open) =>
      open.query<{ ssl: boolean; user: string }>(
        'SELECT ssl, current_user::text AS user FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
      ),
    )
    if (!row) throw new Error('no row')
    return row
  } finally {
    await pool.close()
  }
}

const encrypted = { ssl: true, user: 'postgres' }

describe('security.tls.mode', () => {
  test('disable never encrypts', async () => {
    expect(await session({ mode: 'disable' })).toEqual({ ssl: false, user: 'postgres' })
    expect(await codeOf(session({ mode: 'disable' }, { username: 'cert_user' }))).toBe('authentication_failed')
  })

  test('prefer, the default, encrypts where the server can', async () => {
    expect(await session({})).toEqual(encrypted)
  })

  test('require encrypts, and proves the certificate only when ca is given', async () => {
    expect(await session({ mode: 'require' })).toEqual(encrypted)
    expect(await session({ mode: 'require', ca: ours.ca })).toEqual(encrypted)
    expect(await codeOf(session({ mode: 'require', ca: other.ca }))).toBe('tls_failed')
  })

  test('verify-ca proves the certificate, and not the name', async () => {
    expect(await session({ mode: 'verify-ca', ca: ours.ca })).toEqual(encrypted)
    expect(await codeOf(session({ mode: 'verify-ca', ca: other.ca }))).toBe('tls_failed')
    expect(await codeOf(session({ mode: 'verify-ca' }))).toBe('tls_failed')
  })

  test('verify-full proves the name as well, that of serverName where it is given', async () => {
    expect(await session({ mode: 'verify-full', ca: ours.ca, serverName: SERVER_NAME })).toEqual(encrypted)
    expect(await codeOf(session({ mode: 'verify-full', ca: ours.ca }))).toBe('tls_failed')
    const wrong = session({ mode: 'verify-full', ca: ours.ca, serverName: 'another.example.test' })
    expect(await codeOf(wrong)).toBe('tls_failed')
    expect(await codeOf(session({ mode: 'verify-full', ca: other.ca, serverName: SERVER_NAME }))).toBe('tls_failed')
  })
})

describe('security.tls.cert and key', () => {
  const as = { username: 'cert_user' }

  test('log in where the server asks for a certificate', async () => {
    expect(await session({ mode: 'require', ...ours.issue('cert_user') }, as)).toEqual({ ssl: true, user: 'cert_user' })
    expect(await codeOf(session({ mode: 'require' }, as))).toBe('authentication_failed')
  })

  test('of another name or another authority do not', async () => {
    expect(await codeOf(session({ mode: 'require', ...ours.issue('somebody') }, as))).toBe('authentication_failed')
    expect(await codeOf(session({ mode: 'require', ...other.issue('cert_user') }, as))).toBe('tls_failed')
  })

  test('that do not belong together are refused', async () => {
    const { cert } = ours.issue('cert_user')
    const { key } = ours.issue('somebody')
    expect(await codeOf(session({ mode: 'require', cert, key }, as))).toBe('tls_failed')
  })
})

describe('through an SSH server', () => {
  test('the name that is proven is the one of the database', async () => {
    await using ssh = await SshServer.start({ password: 'x', hosts: { [SERVER_NAME]: url.hostname } })
    const full = { mode: 'verify-full', ca: ours.ca }
    expect(await session(full, { host: SERVER_NAME }, ssh.login)).toEqual(encrypted)
    expect(await codeOf(session(full, {}, ssh.login))).toBe('tls_failed')
    expect(await codeOf(session({ ...full, ca: other.ca }, { host: SERVER_NAME }, ssh.login))).toBe('tls_failed')
    await expect.poll(() => ssh.connections).toBe(0)
  })

  test('a tunnel that is lost in the middle of a request is told by its name', async () => {
    await using ssh = await SshServer.start({ password: 'x' })
    const config = PostgresConfig.parse({
      url: url.href,
      security: { tls: { mode: 'require' }, ssh: ssh.login },
      reliability: { maxRetries: 0 },
    })
    const pool = sessionPool(config)
    const context = createContext({ signal: new AbortController().signal, config })
    const waiting = pool.use(context, (open) => {
      const query = open.query('SELECT pg_sleep(600)')
      ssh.cutAll()
      return query
    })
    const error = await failure(waiting)
    expect([error.code, error.message]).toEqual(['connection_lost', expect.stringContaining(`:${ssh.port} was lost`)])
    await pool.close()
  })
})
