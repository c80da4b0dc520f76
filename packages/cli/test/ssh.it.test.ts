import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createDatabase, query, sshKeys, SshServer } from '@nebula/testkit'
import { expect, inject, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
const KEYS = await sshKeys('S3cret')

/** A file whose source is a database behind an SSH server, which logs in by key. */
async function shop(ssh: SshServer, fingerprint: string): Promise<string> {
  const url = new URL(await createDatabase({ url: inject('postgres')['18'] }))
  await query(url.href, `CREATE TABLE users AS SELECT g AS id, 'user ' || g AS name FROM generate_series(1, 500) g`)
  url.hostname = 'db.internal'
  await writeFile(at('id'), KEYS.private)
  await writeFile(
    at('shop.yaml'),
    `source:
  connector: postgres
  url: ${url.href}
  security: { ssh: { host: ${ssh.host}, port: ${ssh.port}, username: tunnel, key: ${at('id')}, passphrase: S3cret, fingerprint: "${fingerprint}" } }
destination: { connector: csv, path: ./out }
`,
  )
  return at('shop.yaml')
}

const start = (): Promise<SshServer> =>
  SshServer.start({ authorizedKey: KEYS.public, hosts: { 'db.internal': new URL(inject('postgres')['18']).hostname } })

test('a pipeline file reads a database behind an SSH server', async () => {
  await using ssh = await start()
  const file = await shop(ssh, ssh.fingerprint)
  const checked = await nebula('check', file)
  expect([checked.code, checked.stdout]).toEqual([0, expect.stringMatching(/^source postgres: ok, PostgreSQL 18/)])
  const { code, stdout, stderr } = await nebula('run', file, '--debug')
  expect([code, stdout + stderr]).toEqual([0, expect.not.stringContaining('S3cret')])
  const lines = (await readFile(at('out', 'public.users.csv'), 'utf8')).trim().split('\n')
  expect(lines).toHaveLength(501)
  expect(ssh.forwarded[0]).toMatch(/^db\.internal:/)
  await expect.poll(() => ssh.connections).toBe(0)
})

test('check says which key an SSH server showed that is not known, and what to do', async () => {
  await using ssh = await start()
  const { code, stdout } = await nebula('check', await shop(ssh, `SHA256:${'A'.repeat(43)}`))
  expect(code).toBe(3)
  expect(stdout).toContain(
    `host_key_unknown: The SSH server 127.0.0.1:${ssh.port} showed the ssh-ed25519 key ${ssh.fingerprint}`,
  )
  expect(stdout).toMatch(/what to do: .*security\.ssh\.fingerprint/)
})
