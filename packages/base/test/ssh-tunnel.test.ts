import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import type { NebulaError, SshConfig } from '@nebula/core'
import { BaseConfig } from '@nebula/core'
import { FaultProxy } from '@nebula/testkit'
import { describe, expect, test, vi } from 'vitest'
import { SshTunnel } from '../src/index.ts'
import { echoed, failure, never, opening, PASSWORD, start, tunnelTo, useEcho } from './ssh-harness.ts'

const echo = useEcho()

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
    const socket = await tunnel.dial('db.internal', echo.port, never)
    const sent = 'æ'.repeat(3_000_000)
    expect((await echoed(socket, sent)) === sent).toBe(true)
    expect(server.forwarded).toEqual([`db.internal:${echo.port}`])
    await tunnel.close()
  })

  test('shares one connection with the others, which is made by the first', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    expect(server.connections).toBe(0)
    const sockets = await Promise.all([1, 2, 3].map(() => tunnel.dial('127.0.0.1', echo.port, never)))
    expect(await Promise.all(sockets.map((socket, place) => echoed(socket, `${place}`)))).toEqual(['0', '1', '2'])
    expect(server.logins).toBe(1)
    await tunnel.close()
  })

  test('ends with what is behind it', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const socket = await tunnel.dial('127.0.0.1', echo.port, never)
    socket.write('x')
    await once(socket, 'data')
    const closed = once(socket, 'close')
    for (const one of echo.sockets) one.end('bye')
    expect(await text(socket)).toBe('bye')
    await closed
    await tunnel.close()
  })

  test('ends what is behind it when it is destroyed', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const socket = await tunnel.dial('127.0.0.1', echo.port, never)
    socket.write('x')
    await once(socket, 'data')
    socket.destroy()
    await once(socket, 'close')
    await expect.poll(() => echo.sockets.size).toBe(0)
    await tunnel.close()
  })

  test('stops reading while nobody takes what came', async () => {
    await using server = await start()
    const tunnel = tunnelTo(server)
    const socket = await tunnel.dial('127.0.0.1', echo.port, never)
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

describe('what cannot be reached', () => {
  test('the SSH server', async () => {
    await using server = await start()
    const error = await failure(opening(server, { port: 1, password: PASSWORD }))
    expect([error.code, error.retryable]).toEqual(['connection_failed', true])
    expect(error.message).toMatch(/^The SSH server 127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED/)
    const unknown = await failure(opening(server, { host: 'no.such.host.invalid', password: PASSWORD }))
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
    const waiting = tunnel.dial('127.0.0.1', echo.port, stop.signal)
    const other = failure(tunnel.dial('127.0.0.1', echo.port, never))
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await tunnel.close()
    expect((await other).code).toBe('aborted')
  })

  test('a server that is none of SSH', async () => {
    await using server = await start()
    expect(
      (await failure(opening(server, { port: echo.port, password: PASSWORD }, { connection: '500ms' }))).code,
    ).toBe('connection_failed')
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
    const socket = await tunnel.dial('127.0.0.1', echo.port, never)
    const broken = once(socket, 'error')
    server.cutAll()
    const [error] = (await broken) as [NebulaError]
    expect([error.code, error.retryable, error.message]).toEqual([
      'connection_lost',
      true,
      expect.stringContaining(`The connection to the SSH server 127.0.0.1:${server.port} was lost`),
    ])
    expect(await echoed(await tunnel.dial('127.0.0.1', echo.port, never), 'again')).toBe('again')
    expect(server.logins).toBe(2)
    await tunnel.close()
  })

  test('without a word is noticed by keep_alive', async () => {
    await using server = await start()
    await using proxy = await FaultProxy.before(`ssh://127.0.0.1:${server.port}`)
    const tunnel = tunnelTo(server, { port: proxy.port, password: PASSWORD }, { keepAlive: '20ms' })
    const socket = await tunnel.dial('127.0.0.1', echo.port, never)
    const broken = once(socket, 'error')
    proxy.blackHole()
    expect((await broken)[0]).toMatchObject({ code: 'connection_lost', message: expect.stringContaining('Keepalive') })
    await tunnel.close()
  })

  test('is left in time by a close that its server does not answer', async () => {
    await using server = await start()
    await using proxy = await FaultProxy.before(`ssh://127.0.0.1:${server.port}`)
    const tunnel = tunnelTo(server, { port: proxy.port, password: PASSWORD })
    await tunnel.proxy()
    proxy.blackHole()
    await tunnel.close()
    await proxy.heal()
    await expect.poll(() => proxy.connections).toBe(0)
  })
})

test('what a tunnel holds is gone when it is closed', async () => {
  await using server = await start()
  const resources = (): string[] => process.getActiveResourcesInfo().filter((one) => /^TCP|Timeout/.test(one))
  const tunnel = tunnelTo(server)
  await tunnel.close()
  const before = resources().length
  const used = tunnelTo(server)
  const socket = await used.dial('127.0.0.1', echo.port, never)
  await used.proxy()
  expect(resources().length).toBeGreaterThan(before)
  await Promise.all([used.close(), used.close()])
  expect(socket.destroyed).toBe(true)
  expect((await failure(used.dial('127.0.0.1', echo.port, never))).code).toBe('aborted')
  await expect.poll(() => server.connections).toBe(0)
  await expect.poll(() => resources().length).toBeLessThanOrEqual(before)
})

test.each<[string, object]>([
  ['host', {}],
  ['fingerprint', { host: 'h', fingerprint: 'MD5:00' }],
  ['knownHosts', { host: 'h', knownHosts: 'x', fingerprint: `SHA256:${'A'.repeat(43)}` }],
  ['port', { host: 'h', port: 70_000 }],
])('%s is checked before anything is connected', (key, ssh: Partial<SshConfig>) => {
  const { error } = BaseConfig.safeParse({ security: { ssh } })
  expect(error?.issues.map(({ path }) => path.join('.'))).toEqual([`security.ssh.${key}`])
})
