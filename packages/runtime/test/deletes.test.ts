import { join } from 'node:path'
import { NebulaError } from '@nebula/core'
import type { MemoryStream } from '@nebula/testkit'
import { Faults, Ledger, MemoryTarget } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import type { Report, StreamOptions } from '../src/index.ts'
import { runPipeline } from '../src/index.ts'
import type { Scene } from './harness.ts'
import { numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()
const MERGE = { mode: 'merge', key: ['id'], deletes: 'hard' } as const
const INCREMENTAL = { ...MERGE, mode: 'incremental', cursor: 'id' } as const

/** The last rows of a numbered stream. */
function last(count: number, of: number, more: Partial<MemoryStream> = {}): MemoryStream {
  const stream = numbered('orders', of, more)
  return { ...stream, rows: stream.rows.slice(of - count) }
}

/** Runs `streams` into one target, by each call another process. */
function route(options: StreamOptions = MERGE, more: Partial<Scene['destination']> = {}) {
  const target = new MemoryTarget()
  const run = async (streams: MemoryStream[], faults = new Faults(), ledger = new Ledger()): Promise<Report> =>
    runPipeline(
      pipelineOf({
        source: { streams, faults },
        destination: { target, faults, ...more },
        folder: folder(),
        pipeline: { defaults: options },
        ledger,
      }),
    )
  return { target, run, ids: () => target.rows('orders').map(([id]) => Number(id)) }
}

const failing = (point: string, error: NebulaError): Faults =>
  new Faults((at, count) => (at === point && count === 0 ? error : undefined))
const lost = (): NebulaError => new NebulaError('connection_lost', { message: 'The line is dead.' })

describe('rows that the source has no longer', () => {
  test.each([MERGE, INCREMENTAL])('are deleted, and counted, in mode $mode', async (options) => {
    const { run, ids } = route(options)
    const ledger = new Ledger()
    expect((await run([numbered('orders', 30, { cut: 7 })], new Faults(), ledger)).streams[0]?.deleted).toBe(0)
    const report = await run([last(6, 32, { cut: 4 })], new Faults(), ledger)
    expect(report).toMatchObject({ status: 'done', streams: [{ deleted: 26 }] })
    expect(ids()).toEqual([26, 27, 28, 29, 30, 31])
    expect([ledger.released, ledger.bytesUsed]).toEqual([ledger.yielded, 0])
  })

  test('stay where nobody asks', async () => {
    const { run, ids } = route({ ...MERGE, deletes: 'ignore' })
    await run([numbered('orders', 5)])
    expect((await run([last(2, 5)])).streams[0]).not.toHaveProperty('deleted')
    expect(ids()).toHaveLength(5)
  })

  test('are those that the condition, the function and the names of the stream leave', async () => {
    const { parseCondition } = await import('@nebula/core')
    const { target, run } = route({
      ...MERGE,
      where: parseCondition("name <> 'row 3'"),
      rename: { id: 'number' },
      mask: { id: 'sha256' },
    })
    await run([numbered('orders', 3)])
    const { streams } = await run([numbered('orders', 5)])
    expect(streams[0]).toMatchObject({ written: 4, deleted: 0 })
    const { rows, ...stream } = numbered('orders', 5)
    expect((await run([{ ...stream, rows: [['0', 'row 3'], ...rows.slice(1)] }])).streams[0]).toMatchObject({
      deleted: 1,
    })
    expect(target.rows('orders').map(([, name]) => name)).toEqual(['row 1', 'row 2', 'row 4'])
  })

  test('are read from wire rows, where those pass through', async () => {
    const wire = { wire: ['lines'] }
    const { run, ids } = route({ ...MERGE, columns: ['id'] }, { wire: 'lines' })
    const only = (stream: MemoryStream): MemoryStream => ({
      ...stream,
      ...wire,
      fields: stream.fields.slice(0, 1),
      rows: stream.rows.map(([id = null]) => [id]),
    })
    await run([only(numbered('orders', 5))])
    expect((await run([only(last(2, 5))])).streams[0]).toMatchObject({ deleted: 3 })
    expect(ids()).toEqual([3, 4])
  })
})

describe('nothing is deleted', () => {
  test('while a key cannot be read; and the next run is a new one', async () => {
    const { run, ids } = route({ ...MERGE, maxErrors: 5 })
    await run([numbered('orders', 5)])
    const damaged = await run([last(3, 5, { unreadable: [1] })])
    expect(damaged).toMatchObject({ status: 'failed', exitCode: 4, streams: [{ written: 2, rejected: 1 }] })
    expect(damaged.streams[0]?.error).toMatchObject({ code: 'deletes_refused', place: 'orders:1' })
    expect(ids()).toHaveLength(5)
    const mended = await run([last(3, 6)])
    expect(mended).toMatchObject({ status: 'done', resumed: false, streams: [{ written: 3, deleted: 3 }] })
  })

  test('while a key cannot be transformed', async () => {
    const { run, ids } = route({ ...MERGE, cast: { id: { kind: 'int8' } }, maxErrors: 5 })
    await run([numbered('orders', 5)])
    const { rows, ...stream } = last(3, 5)
    const report = await run([{ ...stream, rows: [...rows, ['300', 'too large']] }])
    expect(report.streams[0]?.error).toMatchObject({ code: 'deletes_refused' })
    expect(ids()).toHaveLength(5)
  })

  test('where the target would be empty', async () => {
    const { run, ids } = route()
    await run([{ ...numbered('orders', 0) }])
    await run([numbered('orders', 5)])
    const report = await run([numbered('orders', 0)])
    expect(report).toMatchObject({ exitCode: 4, streams: [{ error: { code: 'deletes_refused' } }] })
    expect(ids()).toHaveLength(5)
  })

  test('when reading fails for good; the same command looks again, and merges nothing', async () => {
    const { run, ids } = route()
    await run([numbered('orders', 30)])
    // The first batch is that of the row, the second that of its key.
    const faults = new Faults((at, count) => (at === 'read' && count > 1 ? lost() : undefined))
    expect(await run([last(12, 30)], faults)).toMatchObject({
      status: 'failed',
      streams: [{ error: { code: 'connection_lost' } }],
    })
    expect(ids()).toHaveLength(30)
    const report = await run([last(12, 32)])
    expect(report).toMatchObject({ resumed: true, streams: [{ status: 'finished_before', read: 0, deleted: 20 }] })
    expect(ids()).toHaveLength(10)
    expect((await run([last(12, 32)])).streams[0]).toMatchObject({ status: 'done', written: 12, deleted: 0 })
  })

  test('by a run that was overtaken', async () => {
    const { target, run, ids } = route()
    await run([numbered('orders', 5)])
    const overtaken = new Faults((at) => {
      if (at === 'keys' && target.run) target.run = { ...target.run, epoch: target.run.epoch + 1 }
      return undefined
    })
    expect((await run([last(3, 5)], overtaken)).streams[0]?.error).toMatchObject({ code: 'fenced' })
    expect(ids()).toHaveLength(5)
  })

  test('when the run is stopped among the keys', async () => {
    const { target, run, ids } = route()
    await run([numbered('orders', 30)])
    const stop = new AbortController()
    const faults = new Faults((at, count) => void (at === 'read' && count === 2 && stop.abort()))
    const stopped = pipelineOf({
      source: { streams: [last(12, 30)], faults },
      destination: { target, faults },
      folder: folder(),
      pipeline: { defaults: MERGE },
    })
    expect(await runPipeline(stopped, { signal: stop.signal })).toMatchObject({ status: 'interrupted', exitCode: 130 })
    expect(ids()).toHaveLength(30)
    expect(await run([last(12, 30)])).toMatchObject({ resumed: true, streams: [{ deleted: 18 }] })
  })

  test('once the run is to end', async () => {
    const { target, ids } = route()
    const drain = new AbortController()
    const scene = (rows: number, faults = new Faults()): Parameters<typeof pipelineOf>[0] => ({
      source: { streams: [last(rows, 5)] },
      destination: { target, faults },
      folder: folder(),
      pipeline: { defaults: MERGE },
    })
    await runPipeline(pipelineOf(scene(5)))
    const faults = new Faults((at) => void (at === 'finished' && drain.abort()))
    const report = await runPipeline(pipelineOf(scene(3, faults)), { drain: drain.signal })
    expect(report).toMatchObject({ status: 'interrupted', streams: [{ written: 3 }] })
    expect([ids().length, faults.points.includes('sweep')]).toEqual([5, false])
    expect((await runPipeline(pipelineOf(scene(3)))).streams[0]).toMatchObject({ deleted: 2 })
  })
})

test('what may pass is tried again from the beginning', async () => {
  const target = new MemoryTarget()
  const run = (streams: MemoryStream[], faults = new Faults()): Promise<Report> =>
    runPipeline(
      pipelineOf({
        source: { streams, faults },
        destination: { target, faults },
        folder: folder(),
        pipeline: { defaults: MERGE },
        config: { reliability: { maxRetries: 1, retryDelay: 0 } },
        destinationConfig: { reliability: { maxRetries: 1, retryDelay: 0 } },
      }),
    )
  await run([numbered('orders', 30)])
  for (const point of ['keys', 'swept']) {
    const faults = failing(point, lost())
    const report = await run([last(point === 'keys' ? 20 : 10, 30)], faults)
    expect(report).toMatchObject({ status: 'done', streams: [{ retries: 1 }] })
    expect(faults.points.filter((at) => at === 'sweep')).toHaveLength(2)
  }
  expect(target.rows('orders')).toHaveLength(10)
})

test.each([true, false])(
  'killed at any point, what is gone at the source is gone, and nothing else (recall: %s)',
  async (recalls) => {
    let index = 0
    for (let reached = true; reached; index++) {
      const target = new MemoryTarget()
      const run = (orders: MemoryStream, faults = new Faults()): Promise<Report> =>
        runPipeline(
          pipelineOf({
            source: { streams: [orders, numbered('lines', 12)], faults },
            destination: { target, faults, recalls },
            folder: join(folder(), String(index)),
            pipeline: { parallel: 2, defaults: MERGE },
          }),
        )
      await run(numbered('orders', 30, { cut: 8 }))
      const killed = Faults.killedAt(index)
      await run(last(25, 40, { cut: 8 }), killed).catch(() => {})
      reached = killed.points.length > index
      const kept = target.rows('orders').map(([id]) => Number(id))
      for (let id = 15; id < 30; id++) expect(kept).toContain(id)
      expect(await run(last(25, 40, { cut: 8 }))).toMatchObject({ status: 'done' })
      expect(target.rows('orders')).toEqual(last(25, 40).rows)
      expect(target.rows('lines')).toEqual(numbered('lines', 12).rows)
    }
    expect(index).toBeGreaterThan(30)
  },
  60_000,
)

describe('is refused before anything is written', () => {
  test.each<[string, StreamOptions, string]>([
    ['with overwrite', { deletes: 'hard' }, 'write deletes: ignore'],
    ['with append', { deletes: 'hard', mode: 'append' }, 'write mode: merge'],
    ['with a limit', { ...MERGE, limit: 5 }, 'has no limit'],
  ])('%s', async (_, options, told) => {
    const { target, run } = route(options)
    await expect(run([numbered('orders', 5)])).rejects.toThrow(told)
    expect(target.tables.size).toBe(0)
  })

  test('by a destination that cannot', async () => {
    const { run } = route(MERGE, { appendOnly: true })
    await expect(run([numbered('orders', 5)])).rejects.toThrow('has no longer: write deletes: ignore')
  })
})
