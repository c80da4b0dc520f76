import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Server } from 'node:tls'
import { createServer } from 'node:tls'
import { createContext } from '@nebula/base'
import { CertificateAuthority } from '@nebula/testkit'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { MongoConfig } from '../src/config.ts'
import { MongoEnd } from '../src/connection.ts'
import { failure } from './harness.ts'
import { RecordingServer } from './recording-server.ts'

const SERVER_NAME = 'db.example.test'
const server = inject('mongo')

let folder: string
let ours: CertificateAuthority
let other: CertificateAuthority
let certificate: { readonly cert: Buffer; readonly key: Buffer }

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nebula-mongo-tls-'))
  ours = new CertificateAuthority(folder, 'ours')
  other = new CertificateAuthority(folder, 'other')
  const files = ours.issue('server', [SERVER_NAME])
  certificate = { cert: readFileSync(files.cert), key: readFileSync(files.key) }
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Takes TLS off before a MongoDB that has none, as one does that has it; `client` also asks for a certificate of ours. */
class Terminator implements AsyncDisposable {
  /** Common names of the certificates that clients showed. */
  readonly clients: (string | undefined)[] = []
  readonly #server: Server
  readonly #behind: URL

  private constructor(behind: string, client: boolean) {
    this.#behind = new URL(behind)
    const asked = client ? { requestCert: true, rejectUnauthorized: true, ca: readFileSync(ours.ca) } : {}
    this.#server = createServer({ ...certificate, ...asked }, (socket) => {
      const name = client ? socket.getPeerCertificate().subject.CN : undefined
      this.clients.push(Array.isArray(name) ? name[0] : name)
      const through = connect(Number(this.#behind.port), this.#behind.hostname)
      const ways = [pipeline(socket, through), pipeline(through, socket)]
      for (const way of ways) way.catch(() => {})
    })
    this.#server.on('tlsClientError', () => {})
  }

  static async start(behind: string, client = false): Promise<Terminator> {
    const terminator = new Terminator(behind, client)
    terminator.#server.listen(0, '127.0.0.1')
    await once(terminator.#server, 'listening')
    return terminator
  }

  get url(): string {
    const url = new URL(this.#behind)
    url.port = String((this.#server.address() as AddressInfo).port)
    url.searchParams.set('directConnection', 'true')
    return url.href
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** The version that a MongoDB tells over a connection with these settings. */
async function version(url: string, tls: object): Promise<string> {
  const config = MongoConfig.parse({ url, reliability: { maxRetries: 0 }, security: { tls } })
  const context = createContext({ signal: new AbortController().signal, config })
  const end = new MongoEnd(config)
  try {
    await end.open(context)
    return await end.version(context)
  } finally {
    await end.close()
  }
}

describe('security.tls.mode', { skip: server.kind === 'none' }, () => {
  const expected = `MongoDB ${server.version}`
  const codeOf = async (url: string, tls: object): Promise<string> => (await failure(version(url, tls))).code

  test('prefer, the default, does what the url says', async () => {
    await using terminator = await Terminator.start(server.url)
    expect(await version(server.url, {})).toBe(expected)
    expect(await codeOf(terminator.url, {})).toMatch(/^connection_/)
    expect(await version(`${terminator.url}&tls=true&tlsAllowInvalidCertificates=true`, {})).toBe(expected)
    expect(await codeOf(`${terminator.url}&tls=true`, {})).toBe('tls_failed')
  })

  test('require encrypts, and proves the certificate only when ca is given', async () => {
    await using terminator = await Terminator.start(server.url)
    expect(await version(terminator.url, { mode: 'require' })).toBe(expected)
    expect(await version(terminator.url, { mode: 'require', ca: ours.ca })).toBe(expected)
    expect(await codeOf(terminator.url, { mode: 'require', ca: other.ca })).toBe('tls_failed')
    expect(terminator.clients.length).toBeGreaterThan(0)
  })

  test('verify-ca proves the certificate, and not the name', async () => {
    await using terminator = await Terminator.start(server.url)
    expect(await version(terminator.url, { mode: 'verify-ca', ca: ours.ca })).toBe(expected)
    expect(await codeOf(terminator.url, { mode: 'verify-ca', ca: other.ca })).toBe('tls_failed')
    expect(await codeOf(terminator.url, { mode: 'verify-ca' })).toBe('tls_failed')
  })

  test('verify-full proves the name as well, that of serverName where it is given', async () => {
    await using terminator = await Terminator.start(server.url)
    const full = { mode: 'verify-full', ca: ours.ca }
    expect(await version(terminator.url, { ...full, serverName: SERVER_NAME })).toBe(expected)
    expect(await codeOf(terminator.url, full)).toBe('tls_failed')
    expect(await codeOf(terminator.url, { ...full, serverName: 'another.example.test' })).toBe('tls_failed')
  })

  test('a certificate is shown to a server that asks for one', async () => {
    await using terminator = await Terminator.start(server.url, true)
    expect(await version(terminator.url, { mode: 'require', ...ours.issue('reader') })).toBe(expected)
    expect(new Set(terminator.clients)).toEqual(new Set(['reader']))
    const codes = [{}, other.issue('reader')].map((files) => codeOf(terminator.url, { mode: 'require', ...files }))
    // By TLS 1.3 it is refused behind the handshake, and what the driver sends meanwhile may come first.
    for (const code of await Promise.all(codes)) expect(code).toMatch(/^(tls_failed|connection_lost)$/)
  })
})

test('X.509 logs in as whom the certificate names', async () => {
  await using recording = await RecordingServer.start(() => ({ version: '7.0.0' }))
  await using terminator = await Terminator.start(recording.url, true)
  const url = `${terminator.url}&authMechanism=MONGODB-X509`
  expect(await version(url, { mode: 'verify-ca', ca: ours.ca, ...ours.issue('reader') })).toBe('MongoDB 7.0.0')
  expect(recording.recorded[0]?.command).toMatchObject({
    authenticate: 1,
    mechanism: 'MONGODB-X509',
    $db: '$external',
  })
  expect(new Set(terminator.clients)).toEqual(new Set(['reader']))
})
