import { createContext } from '@nebula/base'
import type { Context } from '@nebula/core'
import type { Report } from '@nebula/runtime'
import { FaultProxy, SshServer } from '@nebula/testkit'
import type { Document } from 'mongodb'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { MongoConfig } from '../src/config.ts'
import type { Link } from '../src/connection.ts'
import { MongoEnd } from '../src/connection.ts'
import { failure } from './harness.ts'
import { RecordingServer } from './recording-server.ts'
import { RoutePlace } from './route-place.ts'

/** Only the SSH server knows this name. */
const HOST = 'db.internal'
const server = inject('mongo')

let ssh: SshServer
beforeAll(async () => {
  ssh = await SshServer.start({ password: 'S3cret', hosts: { [HOST]: '127.0.0.1', 'member.internal': '127.0.0.1' } })
})
afterAll(() => ssh[Symbol.asyncDispose]())

/** Keys of a MongoDB that is reached through the SSH server, or through a proxy before it. */
function through(url: string, keys: object = {}): { readonly url: string; readonly security: object } {
  return { url: url.replace('127.0.0.1', HOST), security: { ssh: { ...ssh.login, ...keys } } }
}

function open(keys: object): { readonly end: MongoEnd; readonly context: Context } {
  const config = MongoConfig.parse({ reliability: { maxRetries: 0 }, timeouts: { connection: '5s' }, ...keys })
  return { end: new MongoEnd(config), context: createContext({ signal: new AbortController().signal, config }) }
}

async function opening(keys: object): Promise<void> {
  const { end, context } = open(keys)
  try {
    await end.open(context)
  } finally {
    await end.close()
  }
}

test('members of a replica set are reached by the names that they have behind the SSH server', async () => {
  await using set = await RecordingServer.start(() => ({}), {}, 'member.internal')
  const before = ssh.forwarded.length
  await opening(through(`mongodb://127.0.0.1:${set.port}/recorded?replicaSet=recorded`))
  const names = ssh.forwarded.slice(before)
  expect(new Set(names)).toEqual(new Set([`${HOST}:${set.port}`, `member.internal:${set.port}`]))
  await expect.poll(() => ssh.connections).toBe(0)
})

describe('the SSH server is named where it is what fails', () => {
  test.each<[string, object, string]>([
    ['a wrong password', { password: 'wrong' }, 'authentication_failed'],
    ['another key', { fingerprint: `SHA256:${'A'.repeat(43)}` }, 'host_key_unknown'],
    ['nobody there', { port: 1 }, 'connection_failed'],
    ['nobody behind it', {}, 'connection_failed'],
  ])('%s', async (_, keys, code) => {
    const error = await failure(opening(through('mongodb://127.0.0.1:1/d', keys)))
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(/^The SSH server 127\.0\.0\.1:\d+ /)])
  })
})

describe('a connection through an SSH server', { skip: server.kind === 'none' }, () => {
  test('tells of a tunnel that is lost in the middle of a request, and opens another', async () => {
    await using recording = await RecordingServer.start(({ command }) => ('find' in command ? 'none' : {}))
    const { end, context } = open(through(recording.url))
    const find = async ({ client, signal }: Link): Promise<Document | null> => {
      const found = client.db('d').collection('c').findOne({}, { signal })
      await expect.poll(() => recording.recorded.some(({ command }) => 'find' in command)).toBe(true)
      ssh.cutAll()
      return found
    }
    const error = await failure(end.use(context, 'Looking', find))
    expect([error.code, error.retryable, error.message]).toEqual([
      'connection_lost',
      true,
      expect.stringContaining(`The connection to the SSH server 127.0.0.1:${ssh.port} was lost`),
    ])
    await end.ping(context)
    await end.close()
    await expect.poll(() => ssh.connections).toBe(0)
  })

  const DOCUMENTS = 3_000
  /** Moves documents between two collections, both behind SSH servers. */
  async function move(place: RoutePlace, from: object, to: object): Promise<Report> {
    const seed = Array.from({ length: DOCUMENTS }, (_, _id) => ({ _id, text: 'x'.repeat(400) }))
    await place.client.db(place.name).collection<{ _id: number }>('t').insertMany(seed)
    const reliability = { max_retries: 2, retry_delay: '1ms' }
    const end = (keys: object): object => ({ connector: 'mongo', ...through(place.url, keys), reliability })
    return place.run({
      source: end(from),
      destination: end(to),
      defaults: { mode: 'overwrite' },
      streams: { t: { target: 'copied' } },
    })
  }
  const whole = { status: 'done', streams: [{ read: DOCUMENTS, written: DOCUMENTS, rejected: 0 }] }
  const copied = (place: RoutePlace): Promise<Document[]> =>
    place.client
      .db(place.name)
      .collection('copied')
      .find({}, { sort: { _id: 1 } })
      .toArray()

  test('carries a route whole, by one connection for each end, and leaves nothing behind', async () => {
    const place = await RoutePlace.create()
    const before = ssh.logins
    expect(await move(place, {}, {})).toMatchObject(whole)
    expect((await copied(place)).map(({ _id }) => _id as number)).toEqual(
      Array.from({ length: DOCUMENTS }, (_, i) => i),
    )
    expect(ssh.logins - before).toBe(2)
    await expect.poll(() => ssh.connections).toBe(0)
  })

  test.each(['source', 'destination'])('goes on when the tunnel of the %s is cut', async (side) => {
    const place = await RoutePlace.create()
    await using proxy = await FaultProxy.before(`ssh://${ssh.host}:${ssh.port}`)
    const direction = side === 'source' ? proxy.toClient : proxy.toServer
    void direction.after(600_000, (connection) => connection.cut('reset'))
    const cut = { port: proxy.port }
    expect(await move(place, side === 'source' ? cut : {}, side === 'source' ? {} : cut)).toMatchObject({
      status: 'done',
      streams: [{ written: DOCUMENTS, rejected: 0 }],
    })
    expect(proxy.accepted).toBe(2)
    expect((await copied(place)).map(({ _id }) => _id as number)).toEqual(
      Array.from({ length: DOCUMENTS }, (_, i) => i),
    )
  })
})
