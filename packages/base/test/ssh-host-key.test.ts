import { createHmac, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SshServer } from '@nebula/testkit'
import { sshKeys } from '@nebula/testkit'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { failure, opening, PASSWORD, start } from './ssh-harness.ts'

const OTHER = (await sshKeys()).public

let folder: string
let knownHosts: string
let server: SshServer
/** The name of the server in a file. */
let name: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-ssh-'))
  knownHosts = join(folder, 'known_hosts')
  server = await start()
  name = `[127.0.0.1]:${server.port}`
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

/** What is said of the key that the server shows; undefined: it is trusted. */
async function objection(keys: object): Promise<string | undefined> {
  const before = server.attempts.length
  const error = await failure(opening(server, { password: 'wrong', ...keys }))
  if (error.code === 'authentication_failed') return undefined
  expect([error.code, error.retryable, server.attempts.length]).toEqual(['host_key_unknown', false, before])
  const shown = `The SSH server 127.0.0.1:${server.port} showed the ssh-ed25519 key ${server.fingerprint}, `
  expect(error.message.slice(0, shown.length)).toBe(shown)
  return error.message.slice(shown.length)
}

async function objectionBy(lines: string): Promise<string | undefined> {
  await writeFile(knownHosts, lines)
  return objection({ knownHosts })
}

function hashed(host: string): string {
  const salt = randomBytes(20)
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(host).digest('base64')}`
}

test('a fingerprint is that of the key, or another', async () => {
  expect(await objection({ fingerprint: server.fingerprint })).toBeUndefined()
  const fingerprint = `SHA256:${'A'.repeat(43)}`
  expect(await objection({ fingerprint })).toBe('and security.ssh.fingerprint is another.')
})

test.each<[string, () => string]>([
  ['its name and port', () => `# keys\n\n127.0.0.1 ${OTHER}\n ${name},x ${server.publicKey} me@here\n`],
  ['its hash', () => `${hashed('x')} ${OTHER}\n${hashed(name)} ${server.publicKey}`],
  ['a pattern of one character', () => `[127.0.?.1]:${server.port} ${server.publicKey}`],
  ['a pattern of any characters', () => `*:${server.port},!x ${server.publicKey}`],
  ['one of its keys', () => `${name} ${OTHER}\n${name} ${server.publicKey}`],
])('known_hosts has it by %s', async (_, lines) => {
  expect(await objectionBy(lines())).toBeUndefined()
})

test.each<[string, () => string, string]>([
  ['nothing', () => '', 'has none of it'],
  ['another port', () => `127.0.0.1 ${server.publicKey}`, 'has none of it'],
  ['all names but this', () => `*,!${name} ${server.publicKey}`, 'has none of it'],
  ['the hash of another', () => `${hashed('127.0.0.1')} ${server.publicKey}`, 'has none of it'],
  ['an authority', () => `@cert-authority ${name} ${server.publicKey}`, 'has none of it'],
  ['another key', () => `${name} ${OTHER}`, 'has another'],
])('known_hosts has %s', async (_, lines, why) => {
  expect(await objectionBy(lines())).toBe(`and ${knownHosts} ${why}.`)
})

test('known_hosts has it as revoked', async () => {
  const lines = `${name} ${server.publicKey}\n@revoked * ${server.publicKey}`
  expect(await objectionBy(lines)).toBe(`which ${knownHosts} has as revoked.`)
})

test('known_hosts is the one of the user where none is given, and may lie in the home', async () => {
  const { HOME } = process.env
  try {
    process.env['HOME'] = folder
    const own = join(folder, '.ssh', 'known_hosts')
    expect(await objection({ knownHosts: undefined })).toBe(`and ${own} has none of it.`)
    await mkdir(join(folder, '.ssh'))
    await writeFile(own, `${name} ${server.publicKey}`)
    expect(await objection({ knownHosts: undefined })).toBeUndefined()
    expect(await objection({ knownHosts: '~/.ssh/known_hosts' })).toBeUndefined()
  } finally {
    process.env['HOME'] = HOME
  }
})

test('known_hosts cannot be read', async () => {
  const { code, message } = await failure(opening(server, { knownHosts: join(folder, 'missing'), password: PASSWORD }))
  expect([code, message]).toEqual(['config_invalid', 'The file of security.ssh.known_hosts cannot be read.'])
})

test.each([0, 1])('the key that is known is asked for where the server has several: %i', async (place) => {
  const keys = [await sshKeys(), ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 })]
  await using both = await start({ hostKeys: keys.map((pair) => pair.private) })
  await writeFile(knownHosts, `[127.0.0.1]:${both.port} ${keys[place]?.public}`)
  await opening(both, { knownHosts, password: PASSWORD })
  expect(both.logins).toBe(1)
})
