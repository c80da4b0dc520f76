import { NebulaError } from '@nebula/core'
import { Ledger, ManualClock, MemoryTarget } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import { runPipeline } from '../src/index.ts'
import type { Scene } from './harness.ts'
import { numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()
const streams = [numbered('orders', 60, { cut: 20 }), numbered('lines', 20)]

describe('a run that is told to stop', () => {
  test.each([1, 4])(
    'ends as interrupted with exit code 130, and the same command goes on (%i at once)',
    async (parallel) => {
      const target = new MemoryTarget()
      const ledger = new Ledger()
      const stop = new AbortController()
      const scene: Scene = {
        source: {
          streams,
          beforeBatch: async (row) => {
            if (row === 30) stop.abort()
          },
        },
        destination: { target },
        folder: folder(),
        pipeline: { parallel },
        ledger,
      }
      const report = await runPipeline(pipelineOf(scene), { signal: stop.signal })
      expect(report).toMatchObject({ status: 'interrupted', exitCode: 130 })
      expect(report.streams[0]).toMatchObject({ status: 'interrupted', error: { code: 'aborted' } })
      expect(ledger.released).toBe(ledger.yielded)
      expect(ledger.bytesUsed).toBe(0)
      expect(target.tables.has('orders')).toBe(false)

      const next = await runPipeline(pipelineOf({ ...scene, source: { streams } }))
      expect(next).toMatchObject({ status: 'done', exitCode: 0, resumed: true })
      for (const { name, rows } of streams) expect(target.rows(name)).toEqual(rows)
    },
  )

  test('ends though a source waits for something that never comes', async () => {
    const stop = new AbortController()
    const source = {
      streams,
      beforeBatch: (_: number, { signal }: { signal: AbortSignal }) => {
        queueMicrotask(() => stop.abort())
        return new Promise<void>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('the socket was closed')))
        })
      },
    }
    const scene = { source, destination: { target: new MemoryTarget() }, folder: folder() }
    expect(await runPipeline(pipelineOf(scene), { signal: stop.signal })).toMatchObject({
      status: 'interrupted',
      exitCode: 130,
    })
  })

  test('ends though a destination waits for something that never comes', async () => {
    const stop = new AbortController()
    const destination = {
      target: new MemoryTarget(),
      beforeWrite: ({ signal }: { signal: AbortSignal }) => {
        queueMicrotask(() => stop.abort())
        return new Promise<void>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('the socket was closed')))
        })
      },
    }
    const ledger = new Ledger()
    const scene = { source: { streams }, destination, folder: folder(), ledger }
    const report = await runPipeline(pipelineOf(scene), { signal: stop.signal })
    expect(report).toMatchObject({ status: 'interrupted', exitCode: 130 })
    expect(ledger.released).toBe(ledger.yielded)
  })

  test('ends between two batches though neither driver looks at the signal', async () => {
    const stop = new AbortController()
    const target = new MemoryTarget()
    let written = 0
    const destination = {
      target,
      beforeWrite: async () => {
        written++
        if (written === 2) stop.abort()
      },
    }
    const scene = { source: { streams: [numbered('orders', 1000)] }, destination, folder: folder() }
    expect(await runPipeline(pipelineOf(scene), { signal: stop.signal })).toMatchObject({ status: 'interrupted' })
    expect(written).toBe(2)
  })

  test('before it begins reads nothing', async () => {
    const ledger = new Ledger()
    const scene = { source: { streams }, destination: { target: new MemoryTarget() }, folder: folder(), ledger }
    const report = await runPipeline(pipelineOf(scene), { signal: AbortSignal.abort() })
    expect(report).toMatchObject({ status: 'interrupted', exitCode: 130 })
    expect(ledger.yielded).toBe(0)
  })

  test('keeps what is committed behind positions', async () => {
    const stop = new AbortController()
    const target = new MemoryTarget()
    const positioned = [numbered('orders', 60, { positions: true })]
    const beforeBatch = async (row: number): Promise<void> => {
      if (row === 40) stop.abort()
    }
    const scene = {
      source: { streams: positioned, beforeBatch },
      destination: { target, commitOften: true },
      folder: folder(),
    }
    const report = await runPipeline(pipelineOf(scene), { signal: stop.signal })
    const kept = report.streams[0]?.written ?? 0
    expect(kept).toBeGreaterThan(0)
    const next = await runPipeline(pipelineOf({ ...scene, source: { streams: positioned } }))
    expect(next.streams[0]).toMatchObject({ read: 60, resumed: kept })
    expect(target.rows('orders')).toEqual(positioned[0]?.rows)
  })
})

describe('a run that is to end', () => {
  test.each([1, 2])('ends its tasks at their next commit, and begins no other (%i at once)', async (parallel) => {
    const target = new MemoryTarget()
    const drain = new AbortController()
    const ledger = new Ledger()
    const beforeBatch = async (row: number): Promise<void> => {
      if (row === 30) drain.abort()
    }
    const scene: Scene = {
      source: { streams, beforeBatch },
      destination: { target },
      folder: folder(),
      pipeline: { parallel },
      ledger,
    }
    const report = await runPipeline(pipelineOf(scene), { drain: drain.signal })
    expect(report).toMatchObject({ status: 'interrupted', exitCode: 130 })
    // The partition of rows 20 to 39 was under way, and came in whole.
    expect(report.streams[0]).toMatchObject({ status: 'interrupted', read: 40, written: 40 })
    expect(report.streams[0]).not.toHaveProperty('error')
    expect(report.streams[1]).toMatchObject({ status: 'interrupted', read: 0 })
    expect(ledger.released).toBe(ledger.yielded)
    expect(ledger.bytesUsed).toBe(0)
    const next = await runPipeline(pipelineOf({ ...scene, source: { streams } }))
    expect(next.streams[0]).toMatchObject({ resumed: 40, read: 60 })
    expect(target.rows('orders')).toEqual(streams[0]?.rows)
  })

  test('commits behind the next position where there is one', async () => {
    const target = new MemoryTarget()
    const drain = new AbortController()
    const positioned = [numbered('orders', 60, { positions: true })]
    const destination = {
      target,
      beforeWrite: async () => drain.abort(),
    }
    const scene = { source: { streams: positioned }, destination, folder: folder() }
    const report = await runPipeline(pipelineOf(scene), { drain: drain.signal })
    expect(report).toMatchObject({ status: 'interrupted', rows: 10 })
    const next = await runPipeline(pipelineOf({ ...scene, destination: { target } }))
    expect(next.streams[0]).toMatchObject({ resumed: 10, read: 60 })
    expect(target.rows('orders')).toEqual(positioned[0]?.rows)
  })

  test('waits ten seconds for a commit, and no longer', async () => {
    const target = new MemoryTarget()
    const drain = new AbortController()
    const clock = new ManualClock()
    const beforeBatch = (row: number, { signal }: { signal: AbortSignal }): Promise<void> => {
      if (row < 10) return Promise.resolve()
      drain.abort()
      void clock.advance(10_000)
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('the socket was closed')))
      })
    }
    const scene = { source: { streams, beforeBatch }, destination: { target }, folder: folder() }
    const report = await runPipeline(pipelineOf(scene), { drain: drain.signal, clock })
    expect(report).toMatchObject({ status: 'interrupted', exitCode: 130, rows: 0 })
  })

  test('is done when nothing was left to do', async () => {
    const target = new MemoryTarget()
    const drain = new AbortController()
    const destination = { target, beforeWrite: async () => drain.abort() }
    const scene = { source: { streams: [numbered('orders', 10)] }, destination, folder: folder() }
    expect(await runPipeline(pipelineOf(scene), { drain: drain.signal })).toMatchObject({ status: 'done', exitCode: 0 })
    expect(target.rows('orders')).toHaveLength(10)
  })

  test('still fails when a task does', async () => {
    const drain = new AbortController()
    const destination = {
      target: new MemoryTarget(),
      beforeWrite: async () => {
        drain.abort()
        throw new NebulaError('connection_lost', { message: 'gone' })
      },
    }
    const scene = { source: { streams }, destination, folder: folder() }
    expect(await runPipeline(pipelineOf(scene), { drain: drain.signal })).toMatchObject({
      status: 'failed',
      exitCode: 3,
    })
  })
})
