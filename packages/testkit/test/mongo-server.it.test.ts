import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { FaultProxy, mongo, type MongoServer } from '@nebula/testkit'
import { MongoClient, ObjectId } from 'mongodb'
import { afterEach, describe, expect, inject, test, vi } from 'vitest'
import { whyNoContainer } from '../src/container.ts'
import { mongoStandIn } from '../src/mongo-stand-in.ts'
import { javaProgram } from '../src/mongo-stand-in-program.ts'

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(stops.splice(0).map((stop) => stop()))
})

async function standIn(options?: Parameters<typeof mongoStandIn>[0]): Promise<MongoServer> {
  const server = await mongoStandIn(options)
  stops.push(() => server.stop())
  return server
}

function client(url: string, serverSelectionTimeoutMS = 10_000): MongoClient {
  const made = new MongoClient(url, { serverSelectionTimeoutMS })
  stops.push(() => made.close())
  return made
}

function alive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0)
  } catch {
    return false
  }
}

const given = inject('mongo')
const hasJava = spawnSync(javaProgram('java'), ['-version']).status === 0
const noContainer = await whyNoContainer()

describe.skipIf(given.kind === 'none')('the MongoDB of every integration test', () => {
  test('says what it is, and keeps what it is given', async () => {
    const connection = client(given.url)
    const hello = await connection.db('admin').command({ hello: 1 })
    expect(hello).toMatchObject({ isWritablePrimary: true, ok: 1, maxWriteBatchSize: 100_000 })
    expect(hello['setName'] !== undefined).toBe(given.replicaSet)
    expect((await connection.db('admin').command({ buildInfo: 1 }))['version']).toBe(given.version)
    const things = connection.db(`nebula_${process.pid}`).collection<{ _id: number; name: string }>('things')
    await things.insertMany([1, 2, 3].map((_id) => ({ _id, name: `thing ${_id}` })))
    expect(await things.find({ _id: { $gt: 1 } }, { sort: { _id: 1 } }).toArray()).toEqual([
      { _id: 2, name: 'thing 2' },
      { _id: 3, name: 'thing 3' },
    ])
    await things.drop()
  })

  test('is the one of MONGO_URL where that is set, and that one is left alone', async () => {
    vi.stubEnv('MONGO_URL', given.url)
    const server = await mongo()
    expect(server).toMatchObject({ ...given, port: Number(new URL(given.url).port), pid: undefined })
    expect(() => server.kill('SIGKILL')).toThrow('MONGO_URL')
    await server.stop()
    expect(await client(given.url).db('admin').command({ ping: 1 })).toMatchObject({ ok: 1 })
    const own = await mongo({ own: true })
    stops.push(() => own.stop())
    expect(own.url).not.toBe(given.url)
  })
})

describe.runIf(hasJava)('a stand-in for MongoDB', () => {
  test('answers in the order of _id, from any place, and draws documents by chance', async () => {
    const server = await standIn()
    const ids = client(server.url).db('d').collection<{ _id: ObjectId | number | string }>('ids')
    const made = Array.from({ length: 100 }, (_, i) => ObjectId.createFromTime((((i + 1) * 37) % 101) * 2))
    await ids.insertMany(made.map((_id) => ({ _id })))
    const ordered = made.toSorted((a, b) => a.toHexString().localeCompare(b.toHexString()))
    const found = async (filter: object, order: 1 | -1, limit = 0): Promise<string[]> =>
      (await ids.find(filter, { sort: { _id: order }, limit }).toArray()).map(({ _id }) => String(_id))
    expect(await found({}, 1)).toEqual(ordered.map(String))
    expect(await found({}, -1, 3)).toEqual(ordered.toReversed().slice(0, 3).map(String))
    await ids.deleteOne({ _id: ordered[20] as ObjectId })
    const range = { _id: { $gt: ordered[10] as ObjectId, $lt: ordered[30] as ObjectId } }
    const between = [...ordered.slice(11, 20), ...ordered.slice(21, 30)].map(String)
    expect(await found({ $and: [range, {}] }, 1)).toEqual(between)
    await ids.insertMany([{ _id: 'text' }, { _id: 7 }])
    expect(await found({}, 1, 3)).toEqual(['7', 'text', String(ordered[0])])
    const drawn = await ids.aggregate<{ _id: ObjectId }>([{ $sample: { size: 60 } }]).toArray()
    expect(new Set(drawn.map(({ _id }) => String(_id))).size).toBe(60)
  })

  test('loses what a killed server loses, and starts again on its port with its data', async () => {
    const server = await standIn()
    const { port, pid } = server
    const numbers = client(server.url).db('d').collection('numbers')
    await numbers.insertMany(Array.from({ length: 100 }, (_, value) => ({ value })))
    const cursor = numbers.find({}, { batchSize: 10 })
    await cursor.next()
    server.kill('SIGKILL')
    await expect.poll(() => refuses(port)).toBe(true)
    await server.restart()
    expect(server).toMatchObject({ port, pid })
    await expect(cursor.toArray()).rejects.toMatchObject({ code: 43 })
    expect(await numbers.countDocuments()).toBe(100)
  })

  test('starts again on its port, empty, when its process was killed', async () => {
    const server = await standIn({ heap: '256m' })
    const { port, pid = 0 } = server
    const numbers = client(server.url).db('d').collection('numbers')
    await numbers.insertOne({ value: 1 })
    process.kill(pid, 'SIGKILL')
    await expect.poll(() => server.pid).toBe(undefined)
    await server.restart()
    expect(server.port).toBe(port)
    expect(server.pid).not.toBe(pid)
    expect(await client(server.url).db('d').collection('numbers').countDocuments()).toBe(0)
    await server.stop()
    await server.stop()
    expect(await refuses(port)).toBe(true)
  })

  test('answers again after it was frozen, also through a proxy, and can be stopped frozen', async () => {
    const server = await standIn()
    await using proxy = await FaultProxy.before(server.url)
    const admin = client(proxy.url(server.url)).db('admin')
    await admin.command({ ping: 1 })
    server.kill('SIGSTOP')
    await expect(client(server.url, 200).db('admin').command({ ping: 1 })).rejects.toThrow('timed out')
    const answer = admin.command({ ping: 1 })
    server.kill('SIGCONT')
    expect(await answer).toMatchObject({ ok: 1 })
    expect(proxy.accepted).toBeGreaterThan(0)
    server.kill('SIGSTOP')
    await server.stop()
    expect(server.pid).toBe(undefined)
  })

  test.each(['SIGINT', 'SIGKILL'] as const)('ends with the process that started it, by %s', async (signal) => {
    const { child, pid } = await inChild('')
    expect(alive(pid)).toBe(true)
    child.kill(signal)
    await expect.poll(() => alive(pid), { timeout: 20_000 }).toBe(false)
  })

  test('ends with the process that started it though it is frozen', async () => {
    const { child, pid } = await inChild(`server.kill('SIGSTOP')`)
    child.kill('SIGKILL')
    await expect.poll(() => alive(pid), { timeout: 20_000 }).toBe(false)
  })

  test('says why it does not start', async () => {
    const { port } = await standIn()
    await expect(mongoStandIn({ port })).rejects.toThrow('Address already in use')
    vi.stubEnv('JAVA_HOME', '')
    vi.stubEnv('PATH', import.meta.dirname)
    await expect(mongoStandIn()).rejects.toThrow('java did not start')
    const empty = mkdtempSync(join(tmpdir(), 'nebula-mongo-test-'))
    stops.push(async () => rmSync(empty, { recursive: true }))
    vi.stubEnv('TMPDIR', empty)
    await expect(mongoStandIn()).rejects.toThrow('there is no mvn')
  })
})

describe.runIf(noContainer)('where Docker gives no container', () => {
  test('says all that is missing where there is no Java either', async () => {
    vi.stubEnv('MONGO_URL', '')
    vi.stubEnv('MONGO_IMAGE', '')
    vi.stubEnv('JAVA_HOME', '')
    vi.stubEnv('PATH', import.meta.dirname)
    const said = `MONGO_URL is not set, ${noContainer}, and java did not start: spawn java ENOENT. Set MONGO_URL`
    await expect(mongo()).rejects.toThrow(`No MongoDB for tests: ${said}`)
  })

  test('does not take a stand-in for the image that was asked for', async () => {
    vi.stubEnv('MONGO_URL', '')
    vi.stubEnv('MONGO_IMAGE', 'mongo:8')
    await expect(mongo()).rejects.toThrow(`No MongoDB from MONGO_IMAGE: ${noContainer}.`)
  })
})

describe.skipIf(noContainer)('a MongoDB in a container of Docker', () => {
  test('is a replica set that can be killed and frozen, and keeps its data', async () => {
    const server = await mongo({ own: true })
    stops.push(() => server.stop())
    expect(server).toMatchObject({ kind: 'real', replicaSet: true, pid: undefined })
    await client(server.url).db('d').collection('numbers').insertOne({ value: 1 })
    server.kill('SIGKILL')
    await server.restart()
    const numbers = client(server.url).db('d').collection('numbers')
    expect(await numbers.countDocuments()).toBe(1)
    server.kill('SIGSTOP')
    const answer = numbers.countDocuments()
    server.kill('SIGCONT')
    expect(await answer).toBe(1)
    server.kill('SIGSTOP')
  })
})

describe.runIf(given.replicaSet)('on a real replica set of MongoDB, for its transactions', () => {
  test('nothing of an aborted one is left', async () => {
    const connection = client(given.url)
    const things = connection.db(`nebula_${process.pid}`).collection<{ _id: number }>('transacted')
    await things.insertOne({ _id: 1 })
    await connection.withSession(async (session) => {
      session.startTransaction()
      await things.insertOne({ _id: 2 }, { session })
      await session.abortTransaction()
    })
    expect(await things.countDocuments()).toBe(1)
    await things.drop()
  })
})

async function refuses(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return false
  } catch {
    return true
  } finally {
    socket.destroy()
  }
}

/** Runs a process that has a stand-in called `server`, and does `then`. */
async function inChild(then: string): Promise<{ child: ChildProcess; pid: number }> {
  const program = `
    import { whyNoContainer } from '../src/container.ts'
import { mongoStandIn } from '../src/mongo-stand-in.ts'
    const server = await mongoStandIn()
    ${then}
    console.log(server.pid)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--conditions=source', '--input-type=module', '-e', program], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [pid] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, pid: Number(pid) }
}
