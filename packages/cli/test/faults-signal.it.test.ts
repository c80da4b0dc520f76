import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { FaultyRoute, FaultyScene } from '@nebula/testkit'
import { NO_RETRY, query, RETRIES } from '@nebula/testkit'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { createFaultyScene } from './nebula.ts'

const closing: AsyncDisposable[] = []
afterEach(async () => {
  for (const item of closing.splice(0).toReversed()) await item[Symbol.asyncDispose]()
})

async function create(route: FaultyRoute): Promise<FaultyScene> {
  const faulty = await createFaultyScene(route, inject('postgres')['18'])
  closing.push(faulty)
  return faulty
}

const ROUTES: readonly FaultyRoute[] = [
  { from: 'postgres', to: 'csv', mode: 'append', faulty: 'source' },
  { from: 'csv', to: 'postgres', mode: 'overwrite', faulty: 'destination' },
  { from: 'postgres', to: 'postgres', mode: 'append', faulty: 'destination' },
]

describe.each(ROUTES)('$from -> $to, $mode', (route) => {
  test.each(['SIGINT', 'SIGTERM'] as const)('%s in the middle: the same command goes on', async (signal) => {
    const faulty = await create(route)
    const { code, report, stderr } = await faulty.runUntil(NO_RETRY, (_, run) => void run.kill(signal))
    expect({ code, status: report?.status }).toEqual({ code: 130, status: 'interrupted' })
    expect(stderr).not.toMatch(/^ {4}at /m)
    const { report: second } = await faulty.rerun()
    expect(second?.streams[0]?.resumed).toBeGreaterThan(0)
  })

  test('SIGKILL in the middle: the same command goes on at once', async () => {
    const faulty = await create(route)
    const { code } = await faulty.runUntil(NO_RETRY, (_, run) => void run.kill('SIGKILL'))
    expect(code).toBe(null)
    const { report } = await faulty.rerun()
    expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
  })

  test('stopped, taken over by another computer, and continued: it sees that it is fenced', async () => {
    const faulty = await create(route)
    const settings = faulty.settings(RETRIES)
    const stopped = Promise.withResolvers<ChildProcess>()
    const zombie = faulty.runUntil(RETRIES, (_, run) => {
      run.kill('SIGSTOP')
      stopped.resolve(run)
    })
    const run = await stopped.promise
    // A state folder of its own: it does not see the lock of the other.
    const other = await faulty.scene.run({ ...settings, state: join(faulty.scene.folder, 'other') })
    run.kill('SIGCONT')
    faulty.scene.expectDone(other)
    expect(other.report?.streams[0]?.resumed).toBeGreaterThan(0)
    const { code, failure } = await zombie
    expect({ code, failure: failure?.code }).toEqual({ code: 4, failure: 'fenced' })
    await faulty.scene.expectSame()
    await faulty.scene.expectNothingLeft()
  })
})

test('a second run of the same pipeline says so and stops', async () => {
  const faulty = await create({ from: 'csv', to: 'postgres', mode: 'append', faulty: 'destination' })
  const first = await faulty.runUntil(NO_RETRY, async () => {
    const second = await faulty.scene.run()
    expect({ code: second.code, failure: second.failure?.code }).toEqual({ code: 2, failure: 'run_locked' })
    expect(second.failure?.message).toMatch(/process \d+/)
  })
  faulty.scene.expectDone(first)
  await faulty.scene.expectSame()
  expect(await query(faulty.scene.target, `SELECT relname FROM pg_class WHERE relname LIKE 'nebula_stage%'`)).toEqual(
    [],
  )
})
