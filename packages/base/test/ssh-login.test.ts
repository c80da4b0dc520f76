import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { sshKeys } from '@nebula/testkit'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { failure, opening, PASSWORD, start, tunnelTo } from './ssh-harness.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-ssh-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

/** An SSH agent that holds one key. */
async function startAgent(key: string): Promise<{ readonly socket: string } & AsyncDisposable> {
  const parsed = ssh2.utils.parseKey(key)
  if (parsed instanceof Error) throw parsed
  const socket = join(folder, 'agent')
  const server = createServer((client) => {
    const agent = new ssh2.AgentProtocol(false)
    agent.on('identities', (request) => agent.getIdentitiesReply(request, [parsed]))
    agent.on('sign', (request, _key, data) => agent.signReply(request, parsed.sign(data)))
    client.on('error', () => {})
    client.pipe(agent).pipe(client)
  })
  await once(server.listen(socket), 'listening')
  return {
    socket,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

describe('a login', () => {
  test('by password, asked for either way, and once only', async () => {
    await using plain = await start()
    await opening(plain)
    await using prompting = await start({ asks: 'keyboard-interactive' })
    await opening(prompting)
    const error = await failure(opening(plain, { password: 'wrong' }))
    expect([error.code, error.retryable, error.message]).toEqual([
      'authentication_failed',
      false,
      `The SSH server 127.0.0.1:${plain.port} refused the login of tunnel.`,
    ])
    expect(plain.attempts).toEqual(['none', 'password', 'none', 'password'])
    expect((await failure(opening(prompting, { password: 'wrong' }))).code).toBe('authentication_failed')
    expect((await failure(opening(plain, { password: PASSWORD, username: 'other' }))).code).toBe(
      'authentication_failed',
    )
  })

  test('by key, encrypted or not', async () => {
    const keys = await sshKeys()
    const locked = ssh2.utils.generateKeyPairSync('rsa', { bits: 2048, cipher: 'aes256-ctr', passphrase: 'open up' })
    const key = await file('id', keys.private)
    const lockedKey = await file('locked', locked.private)
    await using server = await start({ authorizedKey: keys.public })
    await opening(server, { key })
    expect((await failure(opening(server, { key: lockedKey, passphrase: 'open up' }))).code).toBe(
      'authentication_failed',
    )
    // What the key does not open, the password does.
    await opening(server, { key: lockedKey, passphrase: 'open up', password: PASSWORD })
    await using other = await start({ authorizedKey: locked.public })
    await opening(other, { key: lockedKey, passphrase: 'open up' })
    for (const passphrase of [undefined, 'shut']) {
      const error = await failure(opening(other, { key: lockedKey, passphrase }))
      expect([error.code, error.message]).toEqual([
        'config_invalid',
        expect.stringMatching(/^The file of security.ssh.key cannot be used: .*pass/),
      ])
    }
    expect((await failure(opening(other, { key: await file('public', keys.public) }))).message).toBe(
      'The file of security.ssh.key holds a public key, and no private one.',
    )
    expect((await failure(opening(other, { passphrase: 'x', password: PASSWORD }))).message).toBe(
      'security.ssh.passphrase has no security.ssh.key to which it belongs.',
    )
    expect((await failure(opening(other, { key: join(folder, 'missing') }))).message).toBe(
      'The file of security.ssh.key cannot be read.',
    )
  })

  test('by the SSH agent where there is neither', async () => {
    const keys = await sshKeys()
    await using server = await start({ authorizedKey: keys.public })
    await using agent = await startAgent(keys.private)
    const before = process.env['SSH_AUTH_SOCK']
    try {
      process.env['SSH_AUTH_SOCK'] = agent.socket
      await opening(server, {})
      process.env['SSH_AUTH_SOCK'] = join(folder, 'nobody')
      expect((await failure(opening(server, {}))).code).toBe('authentication_failed')
      delete process.env['SSH_AUTH_SOCK']
      const error = await failure(opening(server, {}))
      expect([error.code, error.message]).toEqual(['config_invalid', expect.stringContaining('SSH_AUTH_SOCK')])
    } finally {
      if (before !== undefined) process.env['SSH_AUTH_SOCK'] = before
    }
  })

  test('shows no secret', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server, { password: 'S3cret!' })
    const error = await failure(tunnel.proxy())
    await tunnel.close()
    const prints = [tunnel, error].map((value) => inspect(value, { depth: 12, showHidden: true }))
    expect(prints.join() + JSON.stringify(error)).not.toMatch(/S3cret!/)
  })
})
