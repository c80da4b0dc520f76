import type { CrashSubject, Program } from '@nebula/testkit'
import { CRASH_CHILD, runCommand, Scene } from '@nebula/testkit'
import { MongoClient } from 'mongodb'
import { expect, inject, test } from 'vitest'

const server = inject('mongo')
const child: Program = {
  command: [process.execPath, '--conditions=source', CRASH_CHILD],
  env: { NODE_OPTIONS: '' },
}

/** Where the point behind the first rows is as a rule; steps that run at once come in any order. */
const USUAL = 20

/** Kills runs at one point after the other, each from the beginning, until one died at this one. */
async function killAt(point: RegExp, subject: CrashSubject): Promise<void> {
  const others = Array.from({ length: USUAL }, (_, i) => [USUAL + i + 1, USUAL - i - 1])
  for (const i of [USUAL, ...others.flat()]) {
    await subject.reset()
    const { signal, stderr } = await runCommand(subject.commandAt?.(i) ?? subject.command)
    if (signal === 'SIGKILL' && point.test(stderr)) return
  }
  throw new Error(`No run comes to ${String(point)}.`)
}

test('what the plan promises, where documents change between a kill behind their rows and the next run', async () => {
  const rows = 50
  const servers = { source: server.url, target: server.url }
  await using scene = await Scene.create(
    { from: 'mongo', to: 'mongo', mode: 'overwrite' },
    { servers, nebula: child, child, rows },
  )
  expect(await scene.guarantee()).toBe(server.replicaSet ? 'exactly_once' : 'at_least_once')
  const settings = { pipeline: { defaults: { max_errors: 1 } } }
  await killAt(/^killed behind insert nebula_stage/m, await scene.subject(settings))

  await using source = new MongoClient(scene.source)
  const orders = source.db().collection('orders')
  await orders.updateOne({ id: 1 }, { $set: { note: 'changed' } })
  await orders.deleteOne({ id: 2 })
  const { code, report } = await scene.runHere(settings)
  await using target = new MongoClient(scene.target)
  const found = await target.db().collection('orders').find().sort({ _id: 1 }).toArray()
  const changed = { one: found[0]?.['note'] === 'changed', two: found[1]?.['id'] === 2 }
  const counts = { code, rejected: report?.streams[0]?.rejected, rows: found.length, ...changed }
  expect(counts).toEqual(
    server.replicaSet
      ? { code: 0, rejected: 0, rows: rows - 1, one: true, two: false }
      : // The old one stays, and the new one is a rejected row; the deleted one stays.
        { code: 5, rejected: 1, rows, one: false, two: true },
  )
})
