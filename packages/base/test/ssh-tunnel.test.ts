import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { inspect } from 'node:util'
import type { SshConfig } from '@nebula/core'
import { BaseConfig, isNebulaError, NebulaError } from '@nebula/core'
import type { SshServerOptions } from '@nebula/testkit'
import { SshServer } from '@nebula/testkit'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { SshTunnel } from '../src/index.ts'

const PASSWORD = 'T0p/secret'
const never = new AbortController().signal

let folder: string
let echo: Server
let port: number
/** Sockets at the end of tunnels. */
const behind = new Set<Socket>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-ssh-'))
  echo = createServer((socket) => {
    behind.add(socket)
    socket.on('error', () => {}).once('close', () => behind.delete(socket))
    socket.pipe(socket)
  })
  await once(echo.listen(0, '127.0.0.1'), 'listening')
  port = (echo.address() as AddressInfo).port
})

afterAll(async () => {
  echo.close()
  await rm(folder, { recursive: true })
})

/** A tunnel through a server, whose key is known, and whose password unless other keys say how to log in. */
function tunnelTo(server: SshServer, keys: object = { password: PASSWORD }, timeouts: object = {}): SshTunnel {
  const { host, port: sshPort } = server
  const known = 'knownHosts' in keys ? {} : { fingerprint: server.fingerprint }
  const ssh = { host, port: sshPort, username: 'tunnel', ...known, ...keys }
  const tunnel = SshTunnel.of(BaseConfig.parse({ security: { ssh }, timeouts }))
  if (!tunnel) throw new Error('no tunnel')
  return tunnel
}

async function failure(work: Promise<unknown>): Promise<NebulaError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isNebulaError(error)) throw new Error(`Not a NebulaError: ${inspect(error)}`)
  return error
}

/** Opens a connection and closes the tunnel. */
async function opening(server: SshServer, keys?: object, timeouts?: object): Promise<void> {
  const tunnel = tunnelTo(server, keys, timeouts)
  try {
    ;(await tunnel.dial('127.0.0.1', port, never)).destroy()
  } finally {
    await tunnel.close()
  }
}

const start = (options?: SshServerOptions): Promise<SshServer> => SshServer.start({ password: PASSWORD, ...options })

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

/** What comes back of a text. */
async function echoed(socket: Duplex, sent: string): Promise<string> {
  socket.end(sent)
  return text(socket)
}

test('a package that is missing is told by its name', async () => {
  await using server = await start()
  vi.doMock('ssh2', () => {
    throw new Error('Cannot find package')
  })
  try {
    const error = await failure(opening(server))
    expect([error.code, error.fix]).toEqual(['config_invalid', 'npm install ssh2'])
  } finally {
    vi.doUnmock('ssh2')
  }
})

test('without the section there is no tunnel', () => {
  expect(SshTunnel.of(BaseConfig.parse({}))).toBeUndefined()
})

describe('a socket of a tunnel', () => {
  test('carries every byte, both ways, to a name that only the server knows', async () => {
    await using server = await start({ hosts: { 'db.internal': '127.0.0.1' } })
    const tunnel = tunnelTo(server)
    const socket = await tunnel.dial('db.internal', port, never)
    const sent = 'æ'.repeat(3_000_000)
    expect((await echoed(socket, sent)) === sent).toBe(true)
    expect(server.forwarded).toEqual([`db.internal:${port}`])
    await tunnel.close()
  })

  test('shares one connection with the others, which is made by the first', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    expect(server.connections).toBe(0)
    const sockets = await Promise.all([1, 2, 3].map(() => tunnel.dial('127.0.0.1', port, never)))
    expect(await Promise.all(sockets.map((socket, place) => echoed(socket, `${place}`)))).toEqual(['0', '1', '2'])
    expect(server.logins).toBe(1)
    await tunnel.close()
  })

  test('ends with what is behind it', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const socket = await tunnel.dial('127.0.0.1', port, never)
    socket.write('x')
    await once(socket, 'data')
    const closed = once(socket, 'close')
    for (const one of behind) one.end('bye')
    expect(await text(socket)).toBe('bye')
    await closed
    await tunnel.close()
  })

  test('ends what is behind it when it is destroyed', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const socket = await tunnel.dial('127.0.0.1', port, never)
    socket.write('x')
    await once(socket, 'data')
    socket.destroy()
    await once(socket, 'close')
    await expect.poll(() => behind.size).toBe(0)
    await tunnel.close()
  })

  test('stops reading while nobody takes what came', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const socket = await tunnel.dial('127.0.0.1', port, never)
    const chunk = Buffer.alloc(1_000_000)
    let taken = 0
    const send = (): void => void socket.write(chunk, () => ++taken < 40 && send())
    send()
    // What is under way is bounded by the windows of SSH and the buffers of the system; 40 MB are more.
    let seen = 0
    const settled = (): boolean => {
      const isSame = taken > 0 && taken === seen
      seen = taken
      return isSame
    }
    await expect.poll(settled).toBe(true)
    expect(taken).toBeLessThan(40)
    let bytes = 0
    socket.on('data', (data: Buffer) => (bytes += data.length))
    await expect.poll(() => bytes, { timeout: 30_000 }).toBe(40_000_000)
    await tunnel.close()
  })
})

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
    const keys = ssh2.utils.generateKeyPairSync('ed25519')
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
    expect((await failure(opening(other, { key: join(folder, 'missing') }))).message).toBe(
      'The file of security.ssh.key cannot be read.',
    )
  })

  test('by the SSH agent where there is neither', async () => {
    const keys = ssh2.utils.generateKeyPairSync('ed25519')
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
    const error = await failure(tunnel.dial('127.0.0.1', port, never))
    await tunnel.close()
    const prints = [tunnel, error].map((value) => inspect(value, { depth: 12, showHidden: true }))
    expect(prints.join() + JSON.stringify(error)).not.toMatch(/S3cret!/)
  })
})

describe('the key of the server', () => {
  const refusal = async (server: SshServer, keys: object): Promise<string> => {
    const error = await failure(opening(server, { password: PASSWORD, ...keys }))
    expect([error.code, error.retryable]).toEqual(['host_key_unknown', false])
    expect(server.attempts).toEqual([])
    return error.message
  }
  const shown = (server: SshServer): string =>
    `The SSH server 127.0.0.1:${server.port} showed the ssh-ed25519 key ${server.fingerprint}`

  test('must be that of the fingerprint', async () => {
    await using server = await start()
    const message = await refusal(server, { fingerprint: `SHA256:${'A'.repeat(43)}` })
    expect(message).toBe(`${shown(server)}, and security.ssh.fingerprint is another.`)
  })

  test('else it must be in known_hosts, under the name and port of the server', async () => {
    await using server = await start()
    const other = ssh2.utils.generateKeyPairSync('ed25519').public
    const name = `[127.0.0.1]:${server.port}`
    const knownHosts = await file('known', `# keys\n127.0.0.1 ${other}\n${name},x ${server.publicKey} me@here\n`)
    await opening(server, { knownHosts, password: PASSWORD })
    for (const [lines, why] of [
      ['', 'and FILE has none of it'],
      [`127.0.0.1 ${server.publicKey}`, 'and FILE has none of it'],
      [`*,!${name} ${server.publicKey}`, 'and FILE has none of it'],
      [`@cert-authority ${name} ${server.publicKey}`, 'and FILE has none of it'],
      [`${name} ${other}`, 'and FILE has another'],
      [`${name} ${server.publicKey}\n@revoked * ${server.publicKey}`, 'which FILE has as revoked'],
    ] as const) {
      await using fresh = await SshServer.start({ password: PASSWORD })
      const path = await file(
        'some',
        lines.replaceAll(name, `[127.0.0.1]:${fresh.port}`).replaceAll(server.publicKey, fresh.publicKey),
      )
      expect(await refusal(fresh, { knownHosts: path })).toBe(`${shown(fresh)}, ${why.replace('FILE', path)}.`)
    }
    for (const pattern of [`[127.0.?.1]:${server.port}`, `*:${server.port}`]) {
      await opening(server, { knownHosts: await file('some', `${pattern} ${server.publicKey}`), password: PASSWORD })
    }
    const missing = await failure(opening(server, { knownHosts: join(folder, 'missing'), password: PASSWORD }))
    expect([missing.code, missing.message]).toEqual([
      'config_invalid',
      'The file of security.ssh.known_hosts cannot be read.',
    ])
  })

  test('that is known is asked for where the server has several', async () => {
    const keys = [ssh2.utils.generateKeyPairSync('ed25519'), ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 })]
    await using server = await start({ hostKeys: keys.map((pair) => pair.private) })
    for (const pair of keys) {
      const knownHosts = await file('some', `[127.0.0.1]:${server.port} ${pair.public}`)
      await opening(server, { knownHosts, password: PASSWORD })
    }
  })
})

describe('what cannot be reached', () => {
  test('the SSH server', async () => {
    const server = await start()
    await server[Symbol.asyncDispose]()
    const closed = { ...server, host: server.host, port: 1, publicKey: server.publicKey } as unknown as SshServer
    const error = await failure(opening(closed))
    expect([error.code, error.retryable]).toEqual(['connection_failed', true])
    expect(error.message).toMatch(/^The SSH server 127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED/)
    const unknown = await failure(opening(closed, { host: 'no.such.host.invalid', password: PASSWORD }))
    expect([unknown.code, unknown.message]).toEqual(['connection_failed', expect.stringContaining('ENOTFOUND')])
  })

  test('an SSH server that says nothing', async () => {
    await using silent = createServer((socket) => void socket.on('error', () => {}).resume())
    await once(silent.listen(0, '127.0.0.1'), 'listening')
    await using server = await start()
    const keys = { port: (silent.address() as AddressInfo).port, password: PASSWORD }
    const error = await failure(opening(server, keys, { connection: '50ms' }))
    expect([error.code, error.message]).toEqual([
      'connection_failed',
      expect.stringMatching(/no answer within 50 ms\.$/),
    ])
    // Who gives up does not wait for it, and neither does the end.
    const stop = new AbortController()
    const tunnel = tunnelTo(server, keys)
    const waiting = tunnel.dial('127.0.0.1', port, stop.signal)
    const other = failure(tunnel.dial('127.0.0.1', port, never))
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await tunnel.close()
    expect((await other).code).toBe('aborted')
  })

  test('a server that is none of SSH', async () => {
    await using server = await start()
    expect((await failure(opening(server, { port, password: PASSWORD }, { connection: '500ms' }))).code).toBe(
      'connection_failed',
    )
  })

  test('a host behind it', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const error = await failure(tunnel.dial('127.0.0.1', 1, never))
    expect([error.code, error.message]).toEqual([
      'connection_failed',
      expect.stringMatching(new RegExp(`^The SSH server 127.0.0.1:${server.port} does not connect to 127.0.0.1:1: .`)),
    ])
    expect((await failure(tunnel.dial('/run/postgresql', 5432, never))).code).toBe('config_invalid')
    await tunnel.close()
  })
})

describe('a tunnel that is lost', () => {
  test('breaks its sockets off, and is made anew by the next', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const socket = await tunnel.dial('127.0.0.1', port, never)
    const broken = once(socket, 'error')
    server.cutAll()
    const [error] = (await broken) as [NebulaError]
    expect([error.code, error.retryable, error.message]).toEqual([
      'connection_lost',
      true,
      expect.stringContaining(`The connection to the SSH server 127.0.0.1:${server.port} was lost`),
    ])
    expect(await echoed(await tunnel.dial('127.0.0.1', port, never), 'again')).toBe('again')
    expect(server.logins).toBe(2)
    await tunnel.close()
  })
})

test('what a tunnel holds is gone when it is closed', async () => {
  await using server = await start()
  const resources = (): string[] => process.getActiveResourcesInfo().filter((one) => /^TCP|Timeout/.test(one))
  const tunnel = tunnelTo(server)
  await tunnel.close()
  const before = resources().length
  const used = tunnelTo(server)
  const socket = await used.dial('127.0.0.1', port, never)
  await used.proxy()
  expect(resources().length).toBeGreaterThan(before)
  await Promise.all([used.close(), used.close()])
  expect(socket.destroyed).toBe(true)
  expect((await failure(used.dial('127.0.0.1', port, never))).code).toBe('aborted')
  await expect.poll(() => server.connections).toBe(0)
  await expect.poll(() => resources().length).toBeLessThanOrEqual(before)
})

describe('the proxy', () => {
  /** Speaks to it by hand, with the messages of RFC 1928 and 1929, and returns what it answers to each. */
  async function talk(proxyPort: number, ...messages: readonly (string | Buffer)[]): Promise<[string[], Socket]> {
    const client = connect(proxyPort, '127.0.0.1')
    client.on('error', () => {})
    const answers: string[] = []
    for (const message of messages) {
      client.write(typeof message === 'string' ? Buffer.from(message, 'hex') : message)
      const answer = await Promise.race([once(client, 'data'), once(client, 'close')])
      answers.push(Buffer.isBuffer(answer[0]) ? answer[0].toString('hex') : 'closed')
    }
    return [answers, client]
  }
  const login = (username: string, password: string): Buffer =>
    Buffer.concat([
      Buffer.of(1, username.length),
      Buffer.from(username),
      Buffer.of(password.length),
      Buffer.from(password),
    ])
  const to = (host: string, toPort: number): Buffer =>
    Buffer.concat([Buffer.of(5, 1, 0, 3, host.length), Buffer.from(host), Buffer.of(toPort >> 8, toPort & 255)])
  const toAddress = (kind: string, address: string): string =>
    `050100${kind}${address}${port.toString(16).padStart(4, '0')}`
  const OK = '05000001000000000000'

  test('leads through the tunnel, by name and by address', async () => {
    await using server = await start({
      hosts: { 'db.internal': '127.0.0.1', '0000:0000:0000:0000:0000:0000:0000:0001': '127.0.0.1' },
    })
    const tunnel = tunnelTo(server)
    const proxy = await tunnel.proxy()
    expect(await tunnel.proxy()).toEqual(proxy)
    for (const request of [
      to('db.internal', port),
      toAddress('01', '7f000001'),
      toAddress('04', `${'00'.repeat(15)}01`),
    ]) {
      const [answers, client] = await talk(proxy.port, '050102', login(proxy.username, proxy.password), request)
      expect(answers).toEqual(['0502', '0100', OK])
      expect(await echoed(client, 'hello')).toBe('hello')
    }
    expect(server.logins).toBe(1)
    await tunnel.close()
  })

  test('takes nobody without its password', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const { port: own, username, password } = await tunnel.proxy()
    expect((await talk(own, '050100'))[0]).toEqual(['05ff'])
    for (const wrong of [login(username, 'x'.repeat(password.length)), login(username, ''), login('x', password)]) {
      expect((await talk(own, '050102', wrong, to('127.0.0.1', port)))[0]).toEqual(['0502', '0101', 'closed'])
    }
    expect(server.forwarded).toEqual([])
    await tunnel.close()
  })

  test('says that a host cannot be reached, and the tunnel why', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const { port: own, username, password, failures } = await tunnel.proxy()
    const [answers] = await talk(own, '050102', login(username, password), to('127.0.0.1', 1))
    expect(answers[2]).toMatch(/^0504/)
    expect(failures.get('127.0.0.1:1')).toMatchObject({ code: 'connection_failed' })
    expect((await talk(own, '050102', login(username, password), '05020001000000000000'))[0][2]).toMatch(/^0501/)
    await tunnel.close()
  })

  test('is gone with the connection, and another comes with the next', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const proxy = await tunnel.proxy()
    const lost = once(proxy.lost, 'abort')
    server.cutAll()
    await lost
    expect(proxy.lost.reason).toMatchObject({ code: 'connection_lost' })
    expect((await tunnel.proxy()).password).not.toBe(proxy.password)
    await tunnel.close()
  })
})

test.each<[string, object]>([
  ['host', {}],
  ['fingerprint', { host: 'h', fingerprint: 'MD5:00' }],
  ['passphrase', { host: 'h', passphrase: 'x' }],
  ['knownHosts', { host: 'h', knownHosts: 'x', fingerprint: `SHA256:${'A'.repeat(43)}` }],
  ['port', { host: 'h', port: 70_000 }],
])('%s is checked before anything is connected', (key, ssh: Partial<SshConfig>) => {
  const { error } = BaseConfig.safeParse({ security: { ssh } })
  expect(error?.issues.map(({ path }) => path.join('.'))).toEqual([`security.ssh.${key}`])
})
