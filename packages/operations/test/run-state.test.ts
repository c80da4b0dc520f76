import { describe, expect, test } from 'vitest'
import { runPipeline } from '@nebula/runtime'
import type { Pipeline } from '@nebula/runtime'
import { numbered, pipelineOf, useFolder } from '../../runtime/test/harness.ts'
import type { MemoryDestination } from '@nebula/testkit'
import { MemoryTarget } from '@nebula/testkit'
import { pipelineState, resetState } from '../src/index.ts'

const folder = useFolder()

/** A run that was stopped in the middle of its second stream. */
async function interrupted(
  destination: Partial<MemoryDestination>,
): Promise<{ pipeline: Pipeline; target: MemoryTarget }> {
  const target = new MemoryTarget()
  const streams = [numbered('lines', 5), numbered('orders', 40, { cut: 10 })]
  const drain = new AbortController()
  const beforeBatch = async (row: number): Promise<void> => {
    if (row === 10) drain.abort()
  }
  const scene = { folder: folder(), destination: { target, ...destination } }
  await runPipeline(pipelineOf({ ...scene, source: { streams, beforeBatch } }), { drain: drain.signal })
  return { pipeline: pipelineOf({ ...scene, source: { streams } }), target }
}

describe.each([
  ['at the destination', {}],
  ['in the state folder', { recalls: false }],
])('a run that is kept %s', (_, kept) => {
  test('is shown, and given up', async () => {
    const { pipeline, target } = await interrupted(kept)
    const state = await pipelineState(pipeline)
    expect(state).toMatchObject({ status: 'interrupted', epoch: 1, deadLetters: 0 })
    expect(state.streams).toMatchObject([
      { stream: 'lines', status: 'finished', rows: 5, rejected: 0 },
      { stream: 'orders', status: 'begun', partitions: 4, partitionsDone: 2, rows: 20 },
    ])
    expect(await resetState(pipeline)).toEqual(['orders'])
    expect(target.staging.size).toBe(0)
    expect(target.rows('lines')).toHaveLength(5)
    expect(await pipelineState(pipeline)).toMatchObject({ status: 'ended' })
    expect(await resetState(pipeline)).toEqual([])
    expect(await runPipeline(pipeline)).toMatchObject({ status: 'done', resumed: false, rows: 45 })
  })

  test('is given up for one stream', async () => {
    const { pipeline, target } = await interrupted(kept)
    await expect(resetState(pipeline, 'lines')).rejects.toMatchObject({ code: 'stream_not_found' })
    expect(await resetState(pipeline, 'orders')).toEqual(['orders'])
    expect((await pipelineState(pipeline)).streams[1]).toMatchObject({ status: 'not begun', rows: 0 })
    const report = await runPipeline(pipeline)
    expect(report.streams).toMatchObject([{ status: 'finished_before' }, { read: 40, resumed: 0 }])
    expect(target.rows('orders')).toHaveLength(40)
  })
})

test('a destination that cannot take back refuses to give one stream up, and gives the run up', async () => {
  const { pipeline } = await interrupted({ recalls: false, appendOnly: true })
  await expect(resetState(pipeline, 'orders')).rejects.toMatchObject({ code: 'unsupported' })
  expect(await resetState(pipeline)).toEqual(['orders'])
  expect(await pipelineState(pipeline)).toMatchObject({ status: 'ended' })
})
