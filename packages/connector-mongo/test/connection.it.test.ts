import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { promisify } from 'node:util'
import { createContext } from '@nebula/base'
import type { Context } from '@nebula/core'
import { FaultProxy, ManualClock } from '@nebula/testkit'
import { MongoClient } from 'mongodb'
import { describe, expect, inject, test } from 'vitest'
import { MongoConfig } from '../src/config.ts'
import type { Link } from '../src/connection.ts'
import { MongoEnd } from '../src/connection.ts'
import { failure } from './harness.ts'

const server = inject('mongo')

function end(url: string, options: object = {}, more: Partial<Context> = {}): { end: MongoEnd; context: Context } {
  const config = MongoConfig.parse({ url, reliability: { maxRetries: 0 }, ...options })
  const context = { ...createContext({ signal: new AbortController().signal, config }), ...more }
  return { end: new MongoEnd(config), context }
}

async function opening(url: string, options: object = {}): Promise<void> {
  const { end: one, context } = end(url, options)
  try {
    await one.open(context)
  } finally {
    await one.close()
  }
}

function sockets(): number {
  return process.getActiveResourcesInfo().filter((one) => /TCPSocket|Connect|GetAddr/.test(one)).length
}

describe('a connection that cannot be made', () => {
  test.each([
    ['mongodb://someone:geheim@127.0.0.1:1/d', 'connection_failed'],
    ['mongodb://someone:geheim@no.such.host.invalid/d', 'connection_failed'],
    ['mongodb+srv://someone:geheim@no.such.host.invalid/d', 'connection_failed'],
    ['mongodb://someone:ge@heim@127.0.0.1:1/d', 'config_invalid'],
    ['postgres://someone:geheim@127.0.0.1/d', 'config_invalid'],
    ['mongodb://127.0.0.1:1/d?maxPoolSize=none', 'config_invalid'],
    ['mongodb://127.0.0.1:1/d?unknown=1', 'config_invalid'],
  ] as const)('says why, at once and without secrets: %s', async (url, code) => {
    const error = await failure(opening(url))
    expect(error.code).toBe(code)
    expect(JSON.stringify(error) + error.message).not.toMatch(/geheim|ge@heim/)
  })

  test('has no url', async () => {
    const config = MongoConfig.parse({})
    const one = new MongoEnd(config)
    const context = createContext({ signal: new AbortController().signal, config })
    expect((await failure(one.open(context))).code).toBe('config_invalid')
    await one.close()
  })

  test('ends when it is told to', async () => {
    const stop = new AbortController()
    // It takes connections and never answers.
    await using silent = createServer((socket) => void socket.on('error', () => {}).resume())
    await once(silent.listen(0, '127.0.0.1'), 'listening')
    const connections = (): Promise<number> => promisify(silent.getConnections.bind(silent))()
    const { port } = silent.address() as AddressInfo
    // The driver keeps a connection whose greeting is not answered until its time is over.
    const timeouts = { connection: '500ms' }
    const config = MongoConfig.parse({ url: `mongodb://127.0.0.1:${port}/d`, timeouts })
    const one = new MongoEnd(config)
    const opened = failure(one.open(createContext({ signal: stop.signal, config })))
    await expect.poll(connections).toBeGreaterThan(0)
    stop.abort()
    expect((await opened).code).toBe('aborted')
    await one.close()
    await expect.poll(connections, { timeout: 30_000 }).toBe(0)
  })
})

describe('names', () => {
  test.each([
    ['mongodb://h/shop', {}, 'orders.2026', { database: 'shop', collection: 'orders.2026' }],
    ['mongodb://h/sh%C3%B6p?x=1', {}, 'a', { database: 'shöp', collection: 'a' }],
    ['mongodb://u:p@h:1,i:2/?replicaSet=r', {}, 'shop.a.b', { database: 'shop', collection: 'a.b' }],
    ['mongodb://h', { database: 'shop' }, 'a', { database: 'shop', collection: 'a' }],
    ['mongodb+srv://h/other', { database: 'shop' }, 'a', { database: 'shop', collection: 'a' }],
  ])('%s %o has the stream %s', (url, options, stream, place) => {
    const { end: one } = end(url, options)
    expect(one.locate(stream)).toEqual(place)
    expect(one.streamName(place)).toBe(stream)
  })
})

describe.skipIf(server.kind === 'none')('a connection', () => {
  test('answers with product and version, and leaves nothing behind', async () => {
    const { end: one, context } = end(server.url)
    await one.open(context)
    expect(await one.version(context)).toBe(`MongoDB ${server.version}`)
    await Promise.all([one.close(), one.close()])
    expect((await failure(one.ping(context))).code).toBe('lifecycle')
    await expect.poll(sockets).toBe(0)
  })

  test('refuses TLS with a server that has none', async () => {
    expect((await failure(opening(server.url, { security: { tls: { mode: 'require' } } }))).code).toBe('tls_failed')
    await opening(server.url, { security: { tls: { mode: 'disable' } } })
    const missing = await failure(opening(server.url, { security: { tls: { mode: 'require', ca: '/no/such.pem' } } }))
    expect(missing.code).toBe('config_invalid')
  })

  test('takes what is configured, and before it what the url says', async () => {
    const made: MongoClient[] = []
    const work = async ({ client }: Link): Promise<void> => void made.push(client)
    const options = { performance: { maxConcurrency: 3 }, timeouts: { idle: '7s', connection: '4s' } }
    const { end: one, context } = end(server.url, options)
    const { end: other } = end(`${server.url}&maxPoolSize=5&appName=mine&retryWrites=true`, options)
    await one.use(context, undefined, work)
    await other.use(context, undefined, work)
    await Promise.all([one.close(), other.close()])
    expect(made.map((client) => client.options)).toMatchObject([
      { maxPoolSize: 3, maxIdleTimeMS: 7000, connectTimeoutMS: 4000, appName: 'nebula', retryReads: false },
      { maxPoolSize: 5, maxIdleTimeMS: 7000, appName: 'mine', retryReads: false, retryWrites: false },
    ])
  })

  test('is replaced after its life, when nobody uses it', async () => {
    const clock = new ManualClock()
    const { end: one, context } = end(server.url, { timeouts: { maxLifetime: '1m' } }, { clock })
    const clients: MongoClient[] = []
    const work = async ({ client }: Link): Promise<void> => void clients.push(client)
    await one.use(context, undefined, work)
    const { release } = await one.lend(context)
    await clock.advance(60_000)
    await one.use(context, undefined, work)
    release()
    await one.use(context, undefined, work)
    await one.use(context, undefined, work)
    await one.close()
    expect(clients[1]).toBe(clients[0])
    expect(clients[2]).not.toBe(clients[0])
    expect(clients[3]).toBe(clients[2])
    await expect.poll(sockets).toBe(0)
  })

  test('is closed within a second when the server has fallen silent', async () => {
    await using proxy = await FaultProxy.before(server.url)
    const { end: one, context } = end(proxy.url(server.url))
    await one.use(context, undefined, async ({ client }) => {
      const cursor = client.db('d').collection('c').find({})
      await client
        .db('d')
        .collection('c')
        .insertMany([{ a: 1 }, { a: 2 }, { a: 3 }])
      await cursor.batchSize(1).next()
    })
    proxy.blackHole()
    const began = performance.now()
    await one.close()
    expect(performance.now() - began).toBeLessThan(5000)
    // What is closed at our side is seen by a proxy that listens.
    await proxy.heal()
    await expect.poll(() => proxy.connections).toBe(0)
    await using client = new MongoClient(server.url)
    await client.db('d').dropDatabase()
  })

  test('comes back when the server does', async () => {
    await using proxy = await FaultProxy.before(server.url)
    const { end: one, context } = end(proxy.url(server.url), { reliability: { maxRetries: 0 } })
    await one.open(context)
    proxy.refuse()
    proxy.cutAll('reset')
    expect((await failure(one.ping(context))).retryable).toBe(true)
    await proxy.heal()
    await expect.poll(() => one.ping(context).then(() => 'answers', String), { timeout: 30_000 }).toBe('answers')
    await one.close()
  })
})
