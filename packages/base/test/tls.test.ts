import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerCertificate } from 'node:tls'
import type { TlsConfig } from '@nebula/core'
import { BaseConfig } from '@nebula/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tlsOptions } from '../src/index.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-tls-'))
  await Promise.all(['ca', 'cert', 'key'].map((name) => writeFile(join(folder, name), `the ${name}`)))
})
afterAll(() => rm(folder, { recursive: true }))

const config = (tls: object): TlsConfig => BaseConfig.parse({ security: { tls } }).security.tls
const certificate = { subject: { CN: 'db.example' }, subjectaltname: 'DNS:db.example' } as PeerCertificate

/** What is held against the certificate of db.example, when a connection to `name` meets it. */
function objection(tls: object, name: string, host = name): Error | undefined {
  return tlsOptions(config(tls), host).checkServerIdentity?.(name, certificate)
}

test.each([
  ['prefer', false, false],
  ['require', false, true],
  ['verify-ca', true, true],
  ['verify-full', true, true],
])('%s proves the certificate: %s, and with a ca: %s', (mode, alone, withCa) => {
  expect(tlsOptions(config({ mode }), 'h').rejectUnauthorized).toBe(alone)
  expect(tlsOptions(config({ mode, ca: join(folder, 'ca') }), 'h').rejectUnauthorized).toBe(withCa)
})

test('files are read, and those that are not given left out', () => {
  const paths = { ca: join(folder, 'ca'), cert: join(folder, 'cert'), key: join(folder, 'key') }
  expect(tlsOptions(config(paths), 'h')).toMatchObject({
    ca: Buffer.from('the ca'),
    cert: Buffer.from('the cert'),
    key: Buffer.from('the key'),
  })
  expect(Object.keys(tlsOptions(config({}), 'h'))).toEqual(['rejectUnauthorized', 'checkServerIdentity'])
})

test.each(['ca', 'cert', 'key'])('a file that cannot be read is told by its key, %s', (key) => {
  const tls = config({ [key]: join(folder, 'missing') })
  expect(() => tlsOptions(tls, 'h')).toThrow(
    expect.objectContaining({ code: 'config_invalid', message: `The file of security.tls.${key} cannot be read.` }),
  )
})

describe('the name of the server', () => {
  test('must be that of the certificate under verify-full', () => {
    expect(objection({ mode: 'verify-full' }, 'db.example')).toBeUndefined()
    expect(objection({ mode: 'verify-full' }, 'other.example')).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  test('is the host where the driver tells none', () => {
    expect(objection({ mode: 'verify-full' }, '', 'db.example')).toBeUndefined()
    expect(objection({ mode: 'verify-full' }, '', 'other.example')).toBeInstanceOf(Error)
  })

  test('is serverName where that is given', () => {
    expect(objection({ mode: 'verify-full', serverName: 'db.example' }, '10.0.0.1')).toBeUndefined()
    expect(objection({ mode: 'verify-full', serverName: 'other.example' }, 'db.example')).toBeInstanceOf(Error)
  })

  test.each(['prefer', 'require', 'verify-ca'])('may be any under %s', (mode) => {
    expect(objection({ mode, serverName: 'another.example' }, 'other.example')).toBeUndefined()
  })
})
