import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '@nebula/core'
import { csvFormat } from '@nebula/formats'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { StagedFile } from '../src/index.ts'
import { FileDestination, LocalStore } from '../src/index.ts'
import type { CrashPoint } from './crashing-store.ts'
import { CrashingStore } from './crashing-store.ts'
import { contentsOf, folderOf, temporaryFolder, testContext } from './harness.ts'
import {
  batchOf,
  checkpointOf,
  completeRun,
  destinationIn,
  fileOf,
  runOf,
  writePartition,
  writerOf,
} from './run-harness.ts'

const context = testContext()

describe('a process that was taken for dead', () => {
  async function takenOver(): Promise<{
    folder: string
    zombie: FileDestination
    old: Run
    heir: FileDestination
    run: Run
  }> {
    const folder = await temporaryFolder()
    const zombie = destinationIn(folder)
    const old = runOf({ a: [['1'], ['2']] })
    await zombie.prepare(old, context)
    await writePartition(zombie, old, 'a#0', { rows: ['1'] })
    const heir = destinationIn(folder)
    const run: Run = { ...old, epoch: 2 }
    await heir.prepare(run, context)
    return { folder, zombie, old, heir, run }
  }

  test('can commit nothing, publish nothing, and discard nothing', async () => {
    const { folder, zombie, old, heir, run } = await takenOver()
    await expect(writePartition(zombie, old, 'a#1', { rows: ['zombie'] })).rejects.toMatchObject({ code: 'fenced' })
    await expect(zombie.finish(old, ['a'], context)).rejects.toMatchObject({ code: 'fenced' })
    await expect(zombie.prepare(old, context)).rejects.toMatchObject({ code: 'fenced' })
    await zombie.discard(old, ['a'], context)
    await writePartition(heir, run, 'a#1', { rows: ['2'] })
    await heir.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n1\n2\n' })
  })

  test('does no harm when its writer wakes up', async () => {
    const folder = await temporaryFolder()
    const zombie = destinationIn(folder)
    const old = runOf({ a: [['1'], ['2']] })
    await zombie.prepare(old, context)
    const writer = await writerOf(zombie, old, 'a#0')
    await writer.write(batchOf(['zombie']), 0, 1)
    const heir = destinationIn(folder)
    const run: Run = { ...old, epoch: 2 }
    await heir.prepare(run, context)
    await writePartition(heir, run, 'a#0', { rows: ['1'] })
    await expect(writer.commit(checkpointOf('a#0', 1))).rejects.toMatchObject({ code: 'fenced' })
    await writer.abort(undefined)
    await writePartition(heir, run, 'a#1', { rows: ['2'] })
    await heir.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n1\n2\n' })
  })
})

describe('a process that is killed', () => {
  const streams = { a: [['1', '2', '3'], ['4']], b: [['5']] }
  const whole = { 'a.csv': fileOf(streams.a), 'b.csv': fileOf(streams.b) }

  /** Kills a run at a point, brings it to its end, and returns how many steps it had done. */
  async function crash(point: CrashPoint): Promise<number> {
    const folder = await folderOf({ 'a.csv': 'old\n', 'b.csv': 'old\n' })
    const store = new CrashingStore(point)
    const dying = new FileDestination(store, csvFormat(), folder)
    await completeRun(dying, streams).catch(() => {})
    await dying.close()
    await store.settle()
    const seen = await contentsOf(folder)
    for (const [name, content] of Object.entries(seen))
      expect(['old\n', whole[name as keyof typeof whole]]).toContain(content)
    await completeRun(destinationIn(folder), streams)
    expect(await contentsOf(folder)).toEqual(whole)
    expect(await readdir(join(folder, '.nebula'))).toEqual(['shop.json'])
    expect(store.crashed).toBe(point.step < Infinity)
    return store.steps
  }

  test.each([
    { when: 'before', loses: false },
    { when: 'middle', loses: false },
    { when: 'behind', loses: true },
  ] as const)(
    '$when any step goes on and ends with the same files (unsynced bytes lost: $loses)',
    async (how) => {
      const steps = await crash({ step: Infinity, ...how })
      expect(steps).toBeGreaterThan(20)
      await Promise.all(Array.from({ length: steps }, (_, i) => crash({ step: i + 1, ...how })))
    },
    60_000,
  )

  test('in the middle of moving several streams recognises those that were moved', async () => {
    const folder = await temporaryFolder()
    const run = runOf(streams)
    const prepared = destinationIn(folder)
    await prepared.prepare(run, context)
    for (const [stream, table] of Object.entries(streams))
      for (const [i, rows] of table.entries()) await writePartition(prepared, run, `${stream}#${i}`, { rows })
    // Of the steps of `finish`, the moving is the one that is half done.
    let step = 0
    let store: CrashingStore
    do {
      store = new CrashingStore({ step: ++step, when: 'middle', loses: false })
      const dying = new FileDestination(store, csvFormat(), folder)
      await dying.finish(run, ['a', 'b'], context).catch(() => {})
      await dying.close()
    } while (Object.keys(await contentsOf(folder)).length === 0)
    const heir = destinationIn(folder)
    const recalled = await heir.recall('shop', context)
    expect(recalled?.finished).toEqual(['a'])
    expect(recalled?.checkpoints.map(({ partition }) => partition)).toEqual(['b#0'])
    const next: Run = { ...run, epoch: 2 }
    await heir.prepare(next, context)
    await heir.finish(next, ['a', 'b'], context)
    expect(await contentsOf(folder)).toEqual(whole)
    expect((await heir.describe(['a', 'b'], context)).map((info) => info?.foreignRows)).toEqual([false, false])
  })

  test('and whose staged file was damaged begins the stream again', async () => {
    const folder = await temporaryFolder()
    const first = destinationIn(folder)
    const run = runOf({ a: [['1'], ['2']] })
    await first.prepare(run, context)
    await writePartition(first, run, 'a#0', { rows: ['1'] })
    await first.close()
    const staging = join(folder, '.nebula', 'shop.run')
    const staged = (await readdir(staging)).find((name) => name.endsWith('.staged')) ?? ''
    await writeFile(join(staging, staged), 'te')
    expect((await destinationIn(folder).recall('shop', context))?.checkpoints).toEqual([])
    await completeRun(destinationIn(folder), { a: [['1'], ['2']] })
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n1\n2\n' })
  })
})

test('bytes that could not be made durable on the way are not committed, and may be written again', async () => {
  class FailingStore extends LocalStore {
    fails = true
    failed = 0

    override async stage(path: string): Promise<StagedFile> {
      const file = await super.stage(path)
      const sync = async (): Promise<void> => {
        if (!this.fails) return file.sync()
        this.failed++
        throw new Error('lost')
      }
      return {
        sync,
        write: (bytes, position) => file.write(bytes, position),
        truncate: (length) => file.truncate(length),
        stat: () => file.stat(),
        close: () => file.close(),
      }
    }
  }
  const folder = await temporaryFolder()
  const store = new FailingStore()
  const destination = new FileDestination(store, csvFormat({}), folder)
  onTestFinished(() => destination.close())
  const rows = Array.from({ length: 5 }, (_, i) => String(i).repeat(1_000_000))
  const run = runOf({ a: [rows] })
  await destination.prepare(run, context)
  const writer = await writerOf(destination, run, 'a#0')
  for (const row of rows) await writer.write(batchOf([row]), 0, 1)
  // What fails is the sync that began while rows were written: the disk is well again at the commit.
  await vi.waitFor(() => expect(store.failed).toBeGreaterThan(0))
  store.fails = false
  await expect(writer.commit(checkpointOf('a#0', rows.length))).rejects.toThrow('lost')
  await writer.abort(new Error('lost'))
  await writePartition(destination, run, 'a#0', { rows })
  await destination.finish(run, ['a'], context)
  expect(await contentsOf(folder)).toEqual({ 'a.csv': fileOf([rows]) })
})
