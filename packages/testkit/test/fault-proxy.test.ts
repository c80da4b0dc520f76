import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { FaultProxy } from '../src/fault-proxy.ts'

const closing: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Peer {
  readonly socket: Socket
  /** Everything that arrived so far. */
  received(this: void): string
  /** `end`, `close` or the code of an error; what the socket told first. */
  readonly ended: Promise<string>
}

function peer(socket: Socket): Peer {
  let text = ''
  const { promise, resolve } = Promise.withResolvers<string>()
  socket.setEncoding('utf8').on('data', (more: string) => (text += more))
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
  socket.on('end', () => resolve('end')).on('close', () => resolve('close'))
  closing.push(() => void socket.destroy())
  return { socket, received: () => text, ended: promise }
}

interface Line {
  readonly proxy: FaultProxy
  /** A client that is connected, and the server's side of it. */
  dial(this: void): Promise<{ client: Peer; server: Peer }>
}

async function line(sleeper?: (ms: number) => Promise<unknown>): Promise<Line> {
  const accepted: Peer[] = []
  const listener = createServer({ allowHalfOpen: true }, (socket) => accepted.push(peer(socket))).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  closing.push(() => void listener.close())
  const { port } = listener.address() as AddressInfo
  const proxy = await FaultProxy.before(`tcp://127.0.0.1:${port}`, sleeper)
  closing.push(() => proxy[Symbol.asyncDispose]())
  const dial = async (): Promise<{ client: Peer; server: Peer }> => {
    const count = accepted.length
    const client = peer(connect({ ...address(proxy), allowHalfOpen: true }))
    await expect.poll(() => accepted.length).toBe(count + 1)
    return { client, server: accepted[count] as Peer }
  }
  return { proxy, dial }
}

function address(proxy: FaultProxy): { host: string; port: number } {
  const { hostname, port } = new URL(proxy.url('tcp://elsewhere:1/x'))
  return { host: hostname, port: Number(port) }
}

describe('a proxy without faults', () => {
  test('forwards and counts both directions, and passes each end on by itself', async () => {
    const { proxy, dial } = await line()
    const { client, server } = await dial()
    client.socket.end('question')
    expect(await server.ended).toBe('end')
    expect(server.received()).toBe('question')
    server.socket.end('a longer answer')
    expect(await client.ended).toBe('end')
    expect(client.received()).toBe('a longer answer')
    expect([proxy.toServer.bytes, proxy.toClient.bytes, proxy.accepted]).toEqual([8, 15, 1])
    await expect.poll(() => proxy.connections).toBe(0)
  })

  test('keeps the rest of a URL', async () => {
    const { proxy } = await line()
    const { port } = address(proxy)
    expect(proxy.url('postgresql://me:secret@db:5432/shop')).toBe(`postgresql://me:secret@127.0.0.1:${port}/shop`)
  })

  test('passes a reset on', async () => {
    const { dial } = await line()
    const { client, server } = await dial()
    client.socket.resetAndDestroy()
    expect(await server.ended).toBe('ECONNRESET')
  })
})

describe('after so many bytes', () => {
  test.each([
    ['reset', 'ECONNRESET'],
    ['end', 'end'],
  ] as const)('a connection is cut by %s, once, behind exactly those bytes', async (how, seen) => {
    const { proxy, dial } = await line()
    const { client, server } = await dial()
    const other = await dial()
    const cut = proxy.toServer.after(5, (connection) => connection.cut(how))
    client.socket.write('0123456789')
    await cut
    expect(await server.ended).toBe(seen)
    expect(server.received()).toBe('01234'.slice(0, how === 'reset' ? server.received().length : 5))
    expect(['end', 'close', 'ECONNRESET']).toContain(await client.ended)
    expect(proxy.toServer.bytes).toBe(5)
    other.client.socket.write('still here')
    await expect.poll(other.server.received).toBe('still here')
  })

  test('an action runs while nothing more is forwarded in that direction', async () => {
    const { proxy, dial } = await line()
    const { client, server } = await dial()
    const other = await dial()
    const answer = Promise.withResolvers<string>()
    const done = proxy.toServer.after(3, async () => {
      await expect.poll(server.received).toBe('abc')
      other.client.socket.write('held back')
      server.socket.write('the other direction flows')
      await expect.poll(client.received).toBe('the other direction flows')
      answer.resolve(other.server.received() + server.received())
      return 'done'
    })
    client.socket.write('abcdef')
    expect(await done).toBe('done')
    expect(await answer.promise).toBe('abc')
    await expect.poll(server.received).toBe('abcdef')
    await expect.poll(other.server.received).toBe('held back')
  })

  test('what an action throws is told to who set it, and the bytes flow on', async () => {
    const { proxy, dial } = await line()
    const { client, server } = await dial()
    const done = proxy.toServer.after(1, () => {
      throw new Error('no')
    })
    client.socket.write('ab')
    await expect(done).rejects.toThrow('no')
    await expect.poll(server.received).toBe('ab')
  })
})

describe('silence and refusal', () => {
  test('a black hole accepts, forwards neither bytes nor ends, and heals', async () => {
    const { proxy, dial } = await line()
    const { client, server } = await dial()
    proxy.blackHole()
    client.socket.end('lost?')
    const late = await dial()
    late.client.socket.write('hello?')
    server.socket.write('anybody?')
    const state = await Promise.race([server.ended, client.ended, late.client.ended, turns(20)])
    expect([state, server.received(), client.received(), late.server.received()]).toEqual(['silence', '', '', ''])
    await proxy.heal()
    expect(await server.ended).toBe('end')
    expect(server.received()).toBe('lost?')
    await expect.poll(client.received).toBe('anybody?')
    await expect.poll(late.server.received).toBe('hello?')
  })

  test('refused connections are refused, on the same port again accepted; open ones stay', async () => {
    const { proxy, dial } = await line()
    const { client, server } = await dial()
    proxy.refuse()
    expect(await peer(connect(address(proxy))).ended).toBe('ECONNREFUSED')
    client.socket.write('still')
    await expect.poll(server.received).toBe('still')
    await proxy.heal()
    await dial()
  })

  test('all connections are cut at once, also out of a black hole', async () => {
    const { proxy, dial } = await line()
    const both = [await dial(), await dial()]
    proxy.blackHole()
    proxy.cutAll('reset')
    for (const { client, server } of both)
      expect([await client.ended, await server.ended]).toEqual(['ECONNRESET', 'ECONNRESET'])
    await proxy.heal()
    await expect.poll(() => proxy.connections).toBe(0)
  })
})

describe('slowness', () => {
  test('of a direction waits for every chunk, and as long as its bytes take', async () => {
    const waits: number[] = []
    const { proxy, dial } = await line(async (ms) => waits.push(ms))
    proxy.toServer.latencyMs = 7
    proxy.toServer.bytesPerSecond = 1000
    const { client, server } = await dial()
    client.socket.write('x'.repeat(100))
    await expect.poll(server.received).toHaveLength(100)
    expect(waits).toEqual([7, 20, 20, 20, 20, 20])
    server.socket.write('fast')
    await expect.poll(client.received).toBe('fast')
    expect(waits).toHaveLength(6)
  })
})

/** So many turns of the event loop, in which sockets are served. */
async function turns(count: number): Promise<string> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
  return 'silence'
}
