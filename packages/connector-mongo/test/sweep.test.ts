import type { Field, Run } from '@nebula/core'
import type { Document } from 'mongodb'
import { BSON, Binary, Long } from 'mongodb'
import { expect, test } from 'vitest'
import { Reader } from './harness.ts'
import type { Answer } from './recording-server.ts'
import { RecordingServer } from './recording-server.ts'
import { codeOf, wireBatch, Writing } from './write-harness.ts'

const ID: Field = { name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int' }

/** A server with a target of two documents, of which the keys lack one; `uuids` are those that its keys have in turn. */
function answers({ confirmed = true, uuids = [1] }: { confirmed?: boolean; uuids?: number[] } = {}): Answer {
  const cursor = (documents: Document[]): Document => ({
    cursor: { id: Long.ZERO, ns: 'recorded.x', firstBatch: documents },
  })
  let keys = ''
  let asked = 0
  return ({ command }) => {
    if (command['create'] !== undefined) keys = String(command['create'])
    if (command['update'] !== undefined) return { n: confirmed ? 1 : 0 }
    if (command['aggregate'] !== undefined) return cursor([{ _id: JSON.stringify(command).includes('$limit') ? 1 : 2 }])
    if (command['listCollections'] === undefined) return { n: 1 }
    const uuid = new Binary(Buffer.of(uuids[Math.min(asked, uuids.length - 1)] ?? 0))
    if (keys !== '') asked++
    return cursor(keys === '' ? [] : [{ name: keys, type: 'collection', info: { uuid }, options: {}, idIndex: {} }])
  }
}

/** What a sweep of one key comes to, and the commands that it sends. */
async function sweep(answer: Answer): Promise<{ outcome: unknown; commands: Document[] }> {
  await using server = await RecordingServer.start(answer)
  await using writing = await Writing.open(server)
  const request = { stream: 'stream', mode: 'merge' as const, columns: ['_id'], key: ['_id'] }
  const accepted = writing.destination.accept(request, { fields: [ID] }, ['mongodb/bson'])
  const stream = { request, target: 'target', schema: { fields: [ID] }, accepted, generation: 0 }
  const plan = { partitions: [], restart: [] }
  const run: Run = { pipeline: 'test', id: 'run1', epoch: 7, fingerprint: '', plan, streams: [stream] }
  async function* keys() {
    yield wireBatch([BSON.serialize({ _id: 1 })])
  }
  const work = writing.destination.sweep(run, stream, keys(), writing.context)
  const outcome = (await codeOf(work)) ?? (await work)
  return { outcome, commands: server.recorded.map(({ command }) => command) }
}

const names = (commands: Document[]): string[] =>
  commands.map((command) => Object.keys(command)[0] ?? '').filter((name) => name !== 'listCollections')

test('documents are deleted once the run was confirmed by a write, behind what was found of them', async () => {
  const { outcome, commands } = await sweep(answers())
  expect(outcome).toBe(1)
  expect(names(commands)).toEqual(['create', 'insert', 'aggregate', 'aggregate', 'update', 'delete', 'drop'])
  const [confirm] = commands.filter((command) => command['update'] !== undefined)
  expect(confirm).toMatchObject({
    writeConcern: { w: 'majority' },
    updates: [{ q: { _id: '["test",""]', stream: 'run1', epoch: 7 }, u: { $set: { epoch: 7 } } }],
  })
})

test('an overtaken run deletes nothing', async () => {
  const { outcome, commands } = await sweep(answers({ confirmed: false }))
  expect(outcome).toBe('fenced')
  expect(names(commands)).not.toContain('delete')
})

test('nothing is deleted by keys that somebody dropped, whatever stands there now', async () => {
  const { outcome, commands } = await sweep(answers({ uuids: [1, 2] }))
  expect(outcome).toBe('conflict')
  expect(names(commands)).not.toContain('delete')
})

test('a reading that may miss nothing goes by the index of what never changes', async () => {
  await using server = await RecordingServer.start(() => ({ cursor: { id: Long.ZERO, ns: 'x', firstBatch: [] } }))
  await using reader = new Reader(`${server.url}&readPreference=secondary`)
  const request = { stream: 'rows', mode: 'merge' as const, columns: ['_id'], key: ['_id'], nativeFilter: '{"n": 1}' }
  const partition = { id: 'p', stream: 'rows', range: { filter: '{}', ordered: true, resumable: false } }
  const batch = { rows: 10, bytes: 1000, delayMs: 100 }
  for (const complete of [{}, { complete: true as const }]) {
    const stream = { request: { ...request, ...complete }, schema: { fields: [ID] }, decode: [0] }
    for await (const _ of reader.source.read({ partition, stream, batch }, reader.context)) expect.unreachable()
  }
  const asked = server.recorded.filter(({ command }) => command['find'] !== undefined)
  // To a server by itself the driver says that it would rather have a primary.
  expect(asked.map(({ command }) => [command['hint'], command['$readPreference']])).toEqual([
    [undefined, { mode: 'secondary' }],
    [{ _id: 1 }, { mode: 'primaryPreferred' }],
  ])

  await reader.source.close()
})

test('it is one reading of all types of _id, and of no snapshot, which may be older than what was read before', async () => {
  const rows = { name: 'rows', type: 'collection', info: {}, options: {}, idIndex: {} }
  await using server = await RecordingServer.start(({ command }) =>
    command['collStats'] === undefined
      ? { cursor: { id: Long.ZERO, ns: 'x', firstBatch: [rows] } }
      : { count: 1000, size: 1_000_000 },
  )
  await using reader = new Reader(server.url, { snapshot: true })
  const request = { stream: 'rows', mode: 'merge' as const, columns: ['_id'], key: ['_id'], complete: true as const }
  const stream = { request, schema: { fields: [ID] }, decode: [0] }
  const plan = await reader.source.plan([stream], 1000, undefined, reader.context)
  expect(plan.snapshot).toBeUndefined()
  expect(plan.partitions.map(({ range }) => range)).toMatchObject([
    { filter: '{}', ordered: true, documentBytes: 1000 },
  ])
})
