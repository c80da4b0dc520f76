import { join } from 'node:path'
import { NebulaError } from '@nebula/core'
import { Faults, MemoryTarget } from '@nebula/testkit'
import { expect, test } from 'vitest'
import { runPipeline } from '../src/index.ts'
import type { Scene } from './harness.ts'
import { numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()
const OPTIONS = { mode: 'incremental', cursor: 'id', key: ['id'] } as const

test.each([true, false])(
  'killed at any point, an incremental stream comes to where it would have been (recall: %s)',
  async (recalls) => {
    let index = 0
    for (let reached = true; reached; index++) {
      const target = new MemoryTarget()
      const scene = (rows: number, faults: Faults): Scene => ({
        source: { streams: [numbered('orders', rows, { cut: 8, positions: true }), numbered('lines', rows)], faults },
        destination: { target, faults, recalls, commitOften: true },
        folder: join(folder(), String(index)),
        pipeline: { parallel: 2, defaults: OPTIONS },
      })
      const run = async (rows: number, faults = new Faults()): Promise<Record<string, number | undefined>> => {
        const { streams } = await runPipeline(pipelineOf(scene(rows, faults)))
        return Object.fromEntries(streams.map(({ stream, written }) => [stream, written]))
      }
      expect(await run(20)).toEqual({ orders: 20, lines: 20 })
      const killed = Faults.killedAt(index)
      await run(30, killed).catch(() => {})
      reached = killed.points.length > index
      await run(30)
      for (const name of ['orders', 'lines']) expect(target.rows(name)).toEqual(numbered(name, 30).rows)
      expect(await run(30)).toEqual({ orders: 1, lines: 1 })
    }
    expect(index).toBeGreaterThan(20)
  },
  60_000,
)

test('an interrupted run whose target is gone begins again with all rows', async () => {
  const target = new MemoryTarget()
  const scene = (rows: number, faults = new Faults()): Scene => ({
    source: { streams: [numbered('orders', rows, { cut: 8 })], faults },
    destination: { target, faults },
    folder: folder(),
    pipeline: { parallel: 1, defaults: OPTIONS },
  })
  await runPipeline(pipelineOf(scene(20)))
  const commits = new Faults((point, count) =>
    point === 'commit' && count === 3 ? new NebulaError('query_failed', { message: 'no' }) : undefined,
  )
  expect(await runPipeline(pipelineOf(scene(40, commits)))).toMatchObject({ status: 'failed' })
  expect(target.checkpoints.size).toBe(3)
  target.tables.clear()
  const report = await runPipeline(pipelineOf(scene(40)))
  expect(report.restarted).toEqual([{ stream: 'orders', reason: 'its target is not the one that it came to' }])
  expect(target.rows('orders')).toEqual(numbered('orders', 40).rows)
})
