import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { echoed, start, tunnelTo, useEcho } from './ssh-harness.ts'

const echo = useEcho()

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
    `050100${kind}${address}${echo.port.toString(16).padStart(4, '0')}`
  const OK = '05000001000000000000'

  test('leads through the tunnel, by name and by address', async () => {
    await using server = await start({
      hosts: { 'db.internal': '127.0.0.1', '0000:0000:0000:0000:0000:0000:0000:0001': '127.0.0.1' },
    })
    const tunnel = tunnelTo(server)
    const proxy = await tunnel.proxy()
    expect(await tunnel.proxy()).toEqual(proxy)
    for (const request of [
      to('db.internal', echo.port),
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
      expect((await talk(own, '050102', wrong, to('127.0.0.1', echo.port)))[0]).toEqual(['0502', '0101', 'closed'])
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
