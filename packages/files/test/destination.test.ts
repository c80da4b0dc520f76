import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '@nebula/core'
import { BufferPool, createBatch } from '@nebula/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { contentsOf, folderOf, temporaryFolder, testContext } from './harness.ts'
import {
  batchOf,
  checkpointOf,
  completeRun,
  counts,
  destinationIn,
  fileOf,
  runOf,
  schema,
  writePartition,
  writerOf,
} from './run-harness.ts'

const context = testContext()

/** Runs everything that is ready to run, and says whether `promise` has settled by then. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = (): void => {
    settled = true
  }
  promise.then(note, note)
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  return settled
}

describe('a run', () => {
  test('leaves one file per stream, and of itself only its state', async () => {
    const folder = join(await temporaryFolder(), 'new', 'out')
    const streams = { a: [['1', '2', '3'], ['4']], 'public.b': [['x']], empty: [] }
    await completeRun(destinationIn(folder), streams)
    expect(await contentsOf(folder)).toEqual({
      'a.csv': 'text\n1\n2\n3\n4\n',
      'empty.csv': 'text\n',
      'public.b.csv': 'text\nx\n',
    })
    expect(await readdir(join(folder, '.nebula'))).toEqual(['shop.json'])
    const recalled = await destinationIn(folder).recall('shop', context)
    expect(recalled).toMatchObject({
      ended: false,
      finished: ['a', 'public.b', 'empty'],
      checkpoints: [],
      run: { id: 'r1', plan: { partitions: [] } },
    })
  })

  test('remembers that a run ended, until the next one', async () => {
    const folder = await temporaryFolder()
    const run = await completeRun(destinationIn(folder), { a: [['1']] })
    const next = { ...run, id: 'r2', epoch: 2 }
    await destinationIn(folder).end(run, context)
    expect((await destinationIn(folder).recall('shop', context))?.ended).toBe(true)
    await destinationIn(folder).prepare(next, context)
    expect((await destinationIn(folder).recall('shop', context))?.ended).toBe(false)
    await expect(destinationIn(folder).end(run, context)).rejects.toMatchObject({ code: 'fenced' })
  })

  test('replaces what stood at its targets at the end, and not before', async () => {
    const folder = await folderOf({ 'a.csv': 'old\n' })
    const destination = destinationIn(folder)
    const run = runOf({ a: [['1']] })
    await destination.prepare(run, context)
    await writePartition(destination, run, 'a#0', { rows: ['1'] })
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'old\n' })
    await destination.finish(run, ['a'], context)
    await destination.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n1\n' })
  })

  test('in append adds a file of its own', async () => {
    const folder = await folderOf({ 'a.csv': 'text\n1\n' })
    const destination = destinationIn(folder)
    const run = runOf({ a: [['2']] }, { id: 'r7' }, 'append')
    await destination.prepare(run, context)
    await writePartition(destination, run, 'a#0', { rows: ['2'] })
    await destination.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n1\n', 'a.r7.csv': 'text\n2\n' })
  })

  test('a target that has only added files is described by them', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const run = runOf({ a: [['2']] }, { id: '0123abcd' }, 'append')
    await destination.prepare(run, context)
    await writePartition(destination, run, 'a#0', { rows: ['2'] })
    await destination.finish(run, ['a'], context)
    const [added, other] = await destination.describe(['a', 'a.0123abcd.b'], context)
    expect(added?.schema.fields.map(({ name }) => name)).toEqual(['text'])
    expect(added?.foreignRows).toBe(false)
    expect(other).toBeUndefined()
  })

  test('follows the options of the format', async () => {
    const folder = await temporaryFolder()
    await completeRun(destinationIn(folder, { delimiter: ';', newline: '\r\n', header: false }), { a: [['1;2']] })
    expect(await contentsOf(folder)).toEqual({ 'a.csv': '"1;2"\r\n' })
  })

  test('appends wire rows as they are', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const plain = runOf({ a: [['']] })
    const streams = plain.streams.map((plan) => ({ ...plan, accepted: { ...plan.accepted, wire: 'csv' } }))
    const run: Run = { ...plain, streams }
    await destination.prepare(run, context)
    const writer = await writerOf(destination, run, 'a#0')
    const data = new TextEncoder().encode('1\n"2, ""x"""\n\n')
    const wire = { format: 'csv', offsets: Int32Array.of(0, 2, 13, 14), data }
    const batch = createBatch({ stream: 'a', schema, rows: 3, wire, columns: () => [] })
    await writer.write(batch, 0, 1)
    await writer.write(batch, 1, 3)
    await writer.commit(checkpointOf('a#0', 3))
    await destination.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': `text\n1\n"2, ""x"""\n\n` })
  })

  test('can be given up: targets are as before, and nothing is left', async () => {
    const folder = await folderOf({ 'a.csv': 'old\n' })
    const destination = destinationIn(folder)
    const run = runOf({ a: [['1'], ['2']], b: [['3']] })
    await destination.prepare(run, context)
    await writePartition(destination, run, 'a#0', { rows: ['1'] })
    await destination.discard(run, ['a', 'b'], context)
    await destination.discard(run, ['a', 'b'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'old\n' })
    expect(await readdir(join(folder, '.nebula'))).toEqual(['shop.json'])
    expect((await destination.recall('shop', context))?.checkpoints).toEqual([])
  })

  test('of another id takes the place of one that was interrupted', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const first = runOf({ a: [['1'], ['2']] })
    await destination.prepare(first, context)
    await writePartition(destination, first, 'a#0', { rows: ['1'] })
    const second = runOf({ a: [['3']] }, { id: 'r2', epoch: 2 })
    await destination.prepare(second, context)
    await writePartition(destination, second, 'a#0', { rows: ['3'] })
    await destination.finish(second, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n3\n' })
    expect(await readdir(join(folder, '.nebula'))).toEqual(['shop.json'])
  })

  test('that begins a stream again drops what an older generation staged', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const first = runOf({ a: [['1'], ['2']] })
    await destination.prepare(first, context)
    await writePartition(destination, first, 'a#0', { rows: ['1'] })
    const again: Run = { ...first, epoch: 2, streams: first.streams.map((plan) => ({ ...plan, generation: 1 })) }
    await destination.prepare(again, context)
    for (const partition of ['a#0', 'a#1']) await writePartition(destination, again, partition, { rows: ['9'] })
    await destination.finish(again, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n9\n9\n' })
  })
})

describe('partitions', () => {
  const table = Array.from({ length: 12 }, (_, p) =>
    Array.from({ length: p % 5 }, (_, i) => `${p}-${i}-${'x'.repeat(p * 7)}`),
  )

  test('lie in their order, whatever the number and the timing of writers', async () => {
    const turns = fc.scheduler()
    await fc.assert(
      fc.asyncProperty(turns, fc.constantFrom(1, 2, 8), async (scheduler, parallel) => {
        const folder = await temporaryFolder()
        const destination = destinationIn(folder)
        const run = runOf({ a: table })
        await destination.prepare(run, context)
        const left = table.map((rows, i) => ({ id: `a#${i}`, rows }))
        const pause = scheduler.scheduleFunction(async () => {})
        const work = async (): Promise<void> => {
          for (let next = left.shift(); next; next = left.shift())
            await writePartition(destination, run, next.id, { rows: next.rows, pause })
        }
        await scheduler.waitFor(Promise.all(Array.from({ length: parallel }, work)))
        await destination.finish(run, ['a'], context)
        expect(await contentsOf(folder)).toEqual({ 'a.csv': fileOf(table) })
      }),
      { numRuns: 30 },
    )
  }, 60_000)

  test('ahead of their turn are held back up to a limit, and then wait', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const long = 'y'.repeat(100_000)
    const run = runOf({ a: [['first'], Array.from({ length: 20 }, () => long)] })
    await destination.prepare(run, context)
    const pool = new BufferPool(4_000_000)
    const second = await writerOf(destination, run, 'a#1', testContext(undefined, pool))
    const batch = batchOf([long, long, long, long])
    expect(await isSettled(second.write(batch, 0, 4))).toBe(true)
    expect(await isSettled(second.write(batch, 0, 4))).toBe(true)
    const third = second.write(batch, 0, 4)
    expect(await isSettled(third)).toBe(false)
    await writePartition(destination, run, 'a#0', { rows: ['first'] })
    await third
    await second.write(batch, 0, 4)
    await second.write(batch, 0, 4)
    await second.commit(checkpointOf('a#1', 20))
    expect(pool.statistics.used).toBe(0)
    await destination.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': fileOf([['first'], Array.from({ length: 20 }, () => long)]) })
  })

  test('whose rows are larger than the memory keep nothing that the next row waits for', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const rows = ['a', 'b', 'c'].map((letter) => letter.repeat(5_000_000))
    const run = runOf({ a: [rows] })
    await destination.prepare(run, context)
    const pool = new BufferPool(4_000_000)
    const writer = await writerOf(destination, run, 'a#0', testContext(undefined, pool))
    for (const row of rows) {
      const batch = batchOf([row], testContext(undefined, pool))
      await writer.write(batch, 0, 1)
      batch.release()
      await pool.ready(AbortSignal.abort())
    }
    expect(pool.statistics.peak).toBeLessThan(3 * 6_000_000)
    await writer.commit(checkpointOf('a#0', rows.length))
    await destination.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': fileOf([rows]) })
  })

  test('that are aborted leave no trace, and keep their turn', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const run = runOf({ a: [['1'], ['2']] })
    await destination.prepare(run, context)
    const long = 'z'.repeat(1_000_000)
    const pool = new BufferPool(2 ** 26)
    const first = await writerOf(destination, run, 'a#0', testContext(undefined, pool))
    const second = await writerOf(destination, run, 'a#1', testContext(undefined, pool))
    const batch = batchOf([long, long, long])
    for (const writer of [first, second]) await writer.write(batch, 0, 3)
    const waiting = second.commit(checkpointOf('a#1', 3))
    await first.abort(new Error('a value was refused'))
    await first.abort(new Error('again'))
    expect(await isSettled(waiting)).toBe(false)
    await second.abort(new Error('its stream failed'))
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' })
    expect(pool.statistics.used).toBe(0)
    await writePartition(destination, run, 'a#0', { rows: ['1'] })
    await writePartition(destination, run, 'a#1', { rows: ['2'] })
    await destination.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n1\n2\n' })
  })

  test('stop waiting when their context is stopped', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const run = runOf({ a: [['1'], ['2']] })
    await destination.prepare(run, context)
    const stop = new AbortController()
    const writer = await writerOf(destination, run, 'a#1', testContext(stop.signal))
    const waiting = writer.commit(checkpointOf('a#1', 0))
    stop.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' })
    await writer.abort(undefined)
  })

  test('that are committed are not written again', async () => {
    const folder = await temporaryFolder()
    const destination = destinationIn(folder)
    const run = runOf({ a: [['1'], ['2']] })
    await destination.prepare(run, context)
    await writePartition(destination, run, 'a#0', { rows: ['1'] })
    await expect(writePartition(destination, run, 'a#0', { rows: ['1'] })).rejects.toMatchObject({
      code: 'already_committed',
      partition: 'a#0',
    })
    await writePartition(destination, run, 'a#1', { rows: ['2'] })
    await destination.finish(run, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n1\n2\n' })
  })

  test('may be committed piece by piece, and go on behind their last position', async () => {
    const folder = await temporaryFolder()
    const first = destinationIn(folder)
    const run = runOf({ a: [['1', '2', '3']] })
    await first.prepare(run, context)
    const writer = await writerOf(first, run, 'a#0')
    const piece = { partition: 'a#0', sequence: 1, done: false, position: 2, counts: counts(2) }
    await writer.write(batchOf(['1', '2']), 0, 2)
    await writer.commit(piece)
    await writer.write(batchOf(['lost']), 0, 1)
    await expect(writer.commit(piece)).rejects.toMatchObject({ code: 'already_committed' })
    const second = destinationIn(folder)
    const recalled = await second.recall('shop', context)
    expect(recalled?.checkpoints).toEqual([piece])
    const next: Run = { ...run, epoch: 2 }
    await second.prepare(next, context)
    const rest = await writerOf(second, next, 'a#0')
    await rest.write(batchOf(['3']), 0, 1)
    await rest.commit({ partition: 'a#0', sequence: 2, done: true, counts: counts(3) })
    await second.finish(next, ['a'], context)
    expect(await contentsOf(folder)).toEqual({ 'a.csv': 'text\n1\n2\n3\n' })
  })
})
