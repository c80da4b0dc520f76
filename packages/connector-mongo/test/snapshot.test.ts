import type { Plan, ReadStream, RecordBatch } from '@nebula/core'
import type { Document } from 'mongodb'
import { BSON, Long, Timestamp } from 'mongodb'
import { expect, test } from 'vitest'
import { failure, Reader } from './harness.ts'
import type { Answer } from './recording-server.ts'
import { RecordingServer } from './recording-server.ts'

const MOMENT = new Timestamp({ t: 4_000_000_000, i: 7 })
const LATER = new Timestamp({ t: 4_000_000_900, i: 1 })
const SCHEMA = {
  fields: [{ name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int' }],
} as const
const STREAM: ReadStream = {
  request: { stream: 'x', mode: 'overwrite', columns: ['_id'], key: ['_id'] },
  schema: SCHEMA,
  decode: [],
}

/** A replica set with a collection of one document that keeps moments from `oldest` on. */
function answersFrom(oldest: () => Timestamp, now: Timestamp | undefined): Answer {
  return ({ command }) => {
    const cursor = (...documents: Document[]): Document => ({ id: Long.ZERO, ns: 'recorded.x', firstBatch: documents })
    if (command['listCollections'] !== undefined) return { cursor: cursor({ name: 'x', type: 'collection', info: {} }) }
    const { atClusterTime } = (command['readConcern'] ?? {}) as { readonly atClusterTime?: Timestamp }
    if (atClusterTime?.lessThan(oldest())) return { ok: 0, code: 239, errmsg: 'Read timestamp is older than kept' }
    const moment = atClusterTime ?? now
    return { count: 1, size: 10, cursor: { ...cursor({ _id: 1 }), ...(moment && { atClusterTime: moment }) } }
  }
}

const concernsOf = (server: RecordingServer): unknown[] =>
  server.recorded.flatMap(({ command }) => (command['find'] === undefined ? [] : [command['readConcern']]))

async function read(reader: Reader, plan: Plan): Promise<number> {
  let rows = 0
  for (const partition of plan.partitions) {
    const batch = { rows: 10, bytes: 1000, delayMs: 1000 }
    const task = { partition, stream: STREAM, batch, ...(plan.snapshot === undefined ? {} : plan) }
    for await (const one of reader.source.read(task, reader.context) as AsyncIterable<RecordBatch>) {
      rows += one.rows
      one.release()
    }
  }
  return rows
}

test('all reads are of the moment that the first one was given', async () => {
  await using server = await RecordingServer.start(answersFrom(() => MOMENT, MOMENT))
  await using reader = new Reader(server.url, { snapshot: true })
  const plan = await reader.plan(STREAM, 1e9)
  expect(plan.snapshot).toBe(String(MOMENT.toBigInt()))
  server.recorded.length = 0
  expect(await read(reader, JSON.parse(JSON.stringify(plan)) as Plan)).toBe(1)
  expect(BSON.EJSON.stringify(concernsOf(server))).toBe(
    BSON.EJSON.stringify([{ level: 'snapshot', atClusterTime: MOMENT }]),
  )
})

test('a run that goes on reads as of the same moment, or begins again where that is no longer kept', async () => {
  let oldest = MOMENT
  await using server = await RecordingServer.start(answersFrom(() => oldest, LATER))
  await using reader = new Reader(server.url, { snapshot: true })
  const plan: Plan = { ...(await reader.plan(STREAM, 1e9)), snapshot: String(MOMENT.toBigInt()) }
  const committed = plan.partitions.map(({ id }) => ({ partition: id, read: 1 }))
  expect(await reader.plan(STREAM, 1e9, { plan, committed })).toMatchObject({ snapshot: plan.snapshot, restart: [] })
  oldest = LATER
  expect(await failure(read(reader, plan))).toMatchObject({ code: 'source_changed', stream: 'x' })
  const reason = 'the server no longer keeps its snapshot'
  expect(await reader.plan(STREAM, 1e9, { plan, committed })).toMatchObject({
    snapshot: String(LATER.toBigInt()),
    restart: [{ stream: 'x', reason }],
  })
})

test('where there are no snapshots, nothing is read', async () => {
  await using server = await RecordingServer.start(answersFrom(() => MOMENT, undefined))
  await using reader = new Reader(server.url, { snapshot: true })
  expect(await failure(reader.plan(STREAM, 1e9))).toMatchObject({ code: 'unsupported' })
})

test('without the option nothing is asked as of a moment', async () => {
  await using server = await RecordingServer.start(answersFrom(() => MOMENT, MOMENT))
  await using reader = new Reader(server.url)
  const plan = await reader.plan(STREAM, 1e9)
  expect(plan.snapshot).toBeUndefined()
  expect(await read(reader, plan)).toBe(1)
  expect(concernsOf(server).filter((concern) => concern !== undefined)).toEqual([])
})
