import type { Field, Run, Writer } from '@nebula/core'
import type { Document } from 'mongodb'
import { BSON, Long } from 'mongodb'
import { expect, test } from 'vitest'
import type { Answer, Recorded } from './recording-server.ts'
import { RecordingServer } from './recording-server.ts'
import { checkpoint, codeOf, wireBatch, Writing } from './write-harness.ts'

const OWN: Field[] = [{ name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int' }]
const NO_CURSOR = { id: Long.ZERO, ns: 'recorded.x' }

/** What a replica set answers where nothing is there, with the checkpoint of a partition that was not begun. */
const answers: Answer = ({ command }) => {
  if (command['find'] === undefined) return command['update'] === undefined ? { n: 0 } : { n: 1 }
  const part = { _id: 'part', sequence: 0 }
  return { cursor: { ...NO_CURSOR, firstBatch: [part] } }
}

/** A writer of a run that was prepared, as its commands will say. */
async function writerOf(writing: Writing, isolate: boolean): Promise<Writer> {
  const fields = { fields: OWN }
  const request = { stream: 'stream', mode: 'overwrite' as const, columns: ['_id'], key: [] }
  const accepted = writing.destination.accept(request, fields, ['mongodb/bson'])
  expect(accepted.guarantee).toBe('exactly_once')
  const stream = { request, target: 'target', schema: fields, accepted, generation: 0 }
  const plan = { partitions: [{ id: 'p1', stream: 'stream', range: null }], restart: [] }
  const run: Run = { pipeline: 'test', id: 'run1', epoch: 7, fingerprint: '', plan, streams: [stream] }
  return writing.writer(run, { isolate })
}

const batchOf = (...ids: number[]) => wireBatch(ids.map((_id) => BSON.serialize({ _id })))

/** Each command in short: its name, the number of its transaction, and what is inserted. */
function told({ command, documents }: Recorded): string {
  const [name = ''] = Object.keys(command)
  const { txnNumber, startTransaction, autocommit } = command
  const ids = documents.map((document) => BSON.deserialize(document)['_id'])
  const transaction = txnNumber === undefined ? '' : ` ${startTransaction === true ? 'begins' : 'in'} ${txnNumber}`
  expect(autocommit).toBe(txnNumber === undefined ? undefined : false)
  return `${name}${transaction}${ids.length > 0 ? `: ${ids.join()}` : ''}`
}

test('rows and their checkpoint are one transaction, and the next commit another', async () => {
  await using server = await RecordingServer.start(answers)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, false)
  await writer.write(batchOf(1, 2), 0, 2)
  await writer.write(batchOf(3), 0, 1)
  await writer.commit({ ...checkpoint(1), done: false })
  await writer.write(batchOf(4, 5, 6), 1, 3)
  await writer.commit(checkpoint(2))
  expect(server.recorded.map(told)).toEqual([
    'find',
    'insert begins 1: 1,2',
    'insert in 1: 3',
    'update in 1',
    'commitTransaction in 1',
    'insert begins 2: 5,6',
    'update in 2',
    'commitTransaction in 2',
  ])
  const [, insert, , update, commit] = server.recorded.map(({ command }) => command) as Document[]
  expect(insert).toMatchObject({ ordered: false, bypassDocumentValidation: false, $db: 'recorded' })
  expect([insert?.['writeConcern'], update?.['writeConcern']]).toEqual([undefined, undefined])
  expect(commit?.['writeConcern']).toMatchObject({ w: 'majority', j: true })
  expect(update?.['updates']).toMatchObject([{ q: { _id: '["test/run1","p1"]', epoch: 7, sequence: { $lte: 0 } } }])
})

test('what is too much for one message is several', async () => {
  const bytes = BSON.serialize({ _id: 1 }).length
  // What a message holds beside its documents is counted, too.
  await using server = await RecordingServer.start(answers, { maxMessageSizeBytes: 16_384 + 15 + 2 * bytes })
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, false)
  await writer.write(batchOf(1, 2, 3, 4, 5), 0, 5)
  await writer.commit(checkpoint())
  expect(server.recorded.map(told).slice(1, 4)).toEqual(['insert begins 1: 1,2', 'insert in 1: 3,4', 'insert in 1: 5'])
})

test('a row that the server refuses ends the transaction, which begins again without it', async () => {
  const refuses: Answer = (recorded) => {
    const index = recorded.documents.findIndex((document) => [3, 5].includes(BSON.deserialize(document)['_id']))
    const errmsg = 'E11000 duplicate key error collection: x index: v_1 dup key: { v: "secret" }'
    return index < 0 ? answers(recorded) : { n: 0, writeErrors: [{ index, code: 11_000, errmsg }] }
  }
  await using server = await RecordingServer.start(refuses)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, true)
  expect(await writer.write(batchOf(1, 2), 0, 2)).toEqual([])
  const rejected = await writer.write(batchOf(3, 4, 5, 6), 0, 4)
  const reason = 'Another document has the same values in the unique index v_1.'
  expect(rejected).toEqual([
    { row: 0, code: '11000', reason, place: 'document 0' },
    { row: 2, code: '11000', reason, place: 'document 2' },
  ])
  await writer.commit(checkpoint())
  expect(server.recorded.map(told)).toEqual([
    'find',
    'insert begins 1: 1,2',
    'insert in 1: 3,4,5,6',
    'abortTransaction in 1',
    'insert begins 2: 1,2',
    'insert in 2: 4,5,6',
    'abortTransaction in 2',
    'insert begins 3: 1,2',
    'insert in 3: 4,6',
    'update in 3',
    'commitTransaction in 3',
  ])
})

test('a refusal that names no document ends the transaction, too, and leaves the halving to the runtime', async () => {
  const refuses: Answer = (recorded) =>
    recorded.documents.some((document) => BSON.deserialize(document)['_id'] === 2)
      ? { ok: 0, code: 15, errmsg: 'BSONObj exceeds the maximum nested object depth: 200' }
      : answers(recorded)
  await using server = await RecordingServer.start(refuses)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, true)
  expect(await writer.write(batchOf(1), 0, 1)).toEqual([])
  const batch = batchOf(2, 3)
  expect(await codeOf(writer.write(batch, 0, 2))).toBe('row_rejected')
  expect(await writer.write(batch, 1, 2)).toEqual([])
  await writer.commit(checkpoint())
  expect(server.recorded.map(told)).toEqual([
    'find',
    'insert begins 1: 1',
    'insert in 1: 2,3',
    'abortTransaction in 1',
    'insert begins 2: 1',
    'insert in 2: 3',
    'update in 2',
    'commitTransaction in 2',
  ])
})

test('when nobody isolates, a refused row fails the next call, and abort undoes the transaction', async () => {
  const refuses: Answer = (recorded) =>
    recorded.documents.length === 0
      ? answers(recorded)
      : { n: 0, writeErrors: [{ index: 0, code: 11_000, errmsg: 'E11000 index: _id_ dup key: { _id: 1 }' }] }
  await using server = await RecordingServer.start(refuses)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, false)
  await writer.write(batchOf(1), 0, 1)
  expect(await codeOf(writer.write(batchOf(2), 0, 1))).toBe('row_rejected')
  await writer.abort(undefined)
  expect(server.recorded.map(told)).toEqual(['find', 'insert begins 1: 1', 'abortTransaction in 1'])
})

test('a checkpoint that is there already undoes the rows', async () => {
  const matchesNone: Answer = (recorded) => (recorded.command['update'] === undefined ? answers(recorded) : { n: 0 })
  await using server = await RecordingServer.start(matchesNone)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, false)
  await writer.write(batchOf(1), 0, 1)
  expect(await codeOf(writer.commit(checkpoint()))).toBe('already_committed')
  await writer.abort(undefined)
  expect(server.recorded.map(told).at(-1)).toBe('abortTransaction in 1')
})

test('why the server does not take a checkpoint is told', async () => {
  const writeErrors = [{ index: 0, code: 14_031, errmsg: 'available disk space is too low' }]
  const refuses: Answer = (recorded) => ('update' in recorded.command ? { n: 0, writeErrors } : answers(recorded))
  await using server = await RecordingServer.start(refuses)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, false)
  await writer.write(batchOf(1), 0, 1)
  expect(await codeOf(writer.commit(checkpoint()))).toBe('disk_full')
  await writer.abort(undefined)
})

test('a partition of another epoch is fenced before anything is written', async () => {
  const none: Answer = (recorded) =>
    recorded.command['find'] === undefined ? answers(recorded) : { cursor: { ...NO_CURSOR, firstBatch: [] } }
  await using server = await RecordingServer.start(none)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, false)
  expect(await codeOf(writer.write(batchOf(1), 0, 1))).toBe('fenced')
  await writer.abort(undefined)
  expect(server.recorded.map(told)).toEqual(['find'])
})

test('a commit whose answer is lost fails with what makes the runtime ask for it', async () => {
  const cut: Answer = (recorded) => ('commitTransaction' in recorded.command ? 'cut' : answers(recorded))
  await using server = await RecordingServer.start(cut)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, false)
  await writer.write(batchOf(1), 0, 1)
  const error = await writer.commit(checkpoint()).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ retryable: true })
  await writer.abort(undefined)
})

test('a server that says nothing any more does not hold up who stops', async () => {
  const silent: Answer = (recorded) => ('autocommit' in recorded.command ? 'none' : answers(recorded))
  await using server = await RecordingServer.start(silent)
  await using writing = await Writing.open(server)
  const writer = await writerOf(writing, false)
  await writer.write(batchOf(1), 0, 1)
  const committing = codeOf(writer.commit(checkpoint()))
  writing.controller.abort()
  expect(await committing).toBe('aborted')
  await writer.abort(undefined)
})
