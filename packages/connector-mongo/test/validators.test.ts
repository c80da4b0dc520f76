import type { StreamPlan } from '@nebula/core'
import type { Document } from 'mongodb'
import { BSON, Long } from 'mongodb'
import { expect, test } from 'vitest'
import { Reader } from './harness.ts'
import type { Answer } from './recording-server.ts'
import { RecordingServer } from './recording-server.ts'
import { Writing } from './write-harness.ts'

const VALIDATOR = { n: { $gt: Long.fromNumber(5) }, at: { $lt: new Date(0) } }
const RULES = BSON.EJSON.stringify({ validator: VALIDATOR, validationLevel: 'moderate' }, { relaxed: false })
const cursor = (...documents: Document[]): Document => ({ id: Long.ZERO, ns: 'recorded.x', firstBatch: documents })

test('are read with their collection, every value of them', async () => {
  const listed = { name: 'x', type: 'collection', info: {} }
  const options = { validator: VALIDATOR, validationLevel: 'moderate' }
  const answers: Answer = ({ command }) =>
    command['listCollections'] === undefined
      ? { count: 1, size: 10, cursor: cursor({ _id: 1 }) }
      : { cursor: cursor({ ...listed, options }, { ...listed, name: 'free' }) }
  await using server = await RecordingServer.start(answers)
  await using reader = new Reader(server.url)
  expect(await reader.stream('x')).toMatchObject({ rules: RULES })
  expect((await reader.stream('free')).rules).toBeUndefined()
})

/** The `create` of the staging of a stream with these rules. */
async function created(validators: boolean, isWire = true): Promise<Document> {
  const answers: Answer = ({ command }) =>
    command['find'] === undefined && command['listCollections'] === undefined ? { n: 1 } : { cursor: cursor() }
  await using server = await RecordingServer.start(answers)
  await using writing = await Writing.open(server, { validators })
  const request = { stream: 'stream', mode: 'overwrite', columns: ['_id'], key: ['_id'], rules: RULES } as const
  const fields = [{ name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int' }] as const
  const accepted = writing.destination.accept(request, { fields }, ['mongodb/bson'])
  expect(accepted.problems).toEqual([])
  const { wire: _wire, ...encoded } = accepted
  const plan: StreamPlan = {
    request,
    target: 'target',
    schema: { fields },
    accepted: isWire ? accepted : encoded,
    generation: 0,
  }
  await writing.run(plan)
  return server.recorded.map(({ command }) => command).find((command) => 'create' in command) ?? {}
}

test('are given to a new collection where that is asked for, and documents pass as they are', async () => {
  const { validator, validationLevel } = await created(true)
  // The server of the test promotes numbers.
  const relaxed = BSON.EJSON.stringify(BSON.EJSON.parse(RULES), { relaxed: true })
  expect(BSON.EJSON.stringify({ validator, validationLevel }, { relaxed: true })).toBe(relaxed)
  expect(await created(false)).not.toHaveProperty('validator')
  expect(await created(true, false)).not.toHaveProperty('validator')
})
