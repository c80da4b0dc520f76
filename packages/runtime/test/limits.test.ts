import type { BatchLimits } from '@nebula/core'
import { Faults, Ledger, memoryConnector, memorySource, MemoryTarget } from '@nebula/testkit'
import { expect, test } from 'vitest'
import { runPipeline } from '../src/index.ts'
import { numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()

/** What a task was given under a configuration of the source. */
async function givenUnder(config: { readonly [section: string]: unknown }): Promise<{
  batch: BatchLimits | undefined
  pool: number | undefined
  batches: number
}> {
  const source = { streams: [numbered('orders', 20)] }
  const ledger = new Ledger()
  const pipeline = pipelineOf({ source, destination: { target: new MemoryTarget() }, folder: folder(), config })
  let batch: BatchLimits | undefined
  const connector = memoryConnector('memory-source', {
    source: () => {
      const driver = memorySource(source, ledger)
      return {
        ...driver,
        read: (task, context) => {
          batch = task.batch
          return driver.read(task, context)
        },
      }
    },
  })
  await runPipeline({ ...pipeline, source: { ...pipeline.source, connector } })
  return { batch, pool: [...ledger.pools][0]?.limit, batches: ledger.yielded }
}

test('performance.batch_size bounds the rows of a batch', async () => {
  expect(await givenUnder({ performance: { batchSize: 7 } })).toMatchObject({ batch: { rows: 7 }, batches: 3 })
  expect(await givenUnder({ performance: {} })).toMatchObject({ batch: { rows: 10_000 }, batches: 1 })
})

test('performance.batch_bytes bounds their bytes, up to an eighth of the memory of a task', async () => {
  expect((await givenUnder({ performance: { batchBytes: '1MB' } })).batch?.bytes).toBe(1_000_000)
  expect((await givenUnder({ performance: { batchBytes: '1GB' } })).batch?.bytes).toBe(4_000_000)
})

test('memory.buffer_pool_bytes is the memory of the tasks', async () => {
  expect((await givenUnder({})).pool).toBe(32_000_000)
  expect((await givenUnder({ memory: { bufferPoolBytes: '80MB' } })).pool).toBe(80_000_000)
})

test('memory.max_memory makes it smaller', async () => {
  const held = process.memoryUsage.rss()
  const { pool = 0 } = await givenUnder({ memory: { maxMemory: held + 60_000_000 } })
  expect(pool).toBeGreaterThanOrEqual(4_000_000)
  expect(pool).toBeLessThan(32_000_000)
})

test.each(['source', 'destination'] as const)(
  'a max_memory of the %s that is too small is refused before anything is written',
  async (side) => {
    const faults = new Faults()
    const scene = { source: { streams: [numbered('orders', 20)] }, destination: { target: new MemoryTarget(), faults } }
    const pipeline = pipelineOf({ ...scene, folder: folder() })
    const { connector, config } = pipeline[side]
    const limited = { connector, config: { ...config, memory: { ...config.memory, maxMemory: 1_000_000 } } }
    await expect(runPipeline({ ...pipeline, [side]: limited })).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/^memory\.max_memory is 1MB; this run needs \d+MB at least\.$/),
    })
    expect(faults.points).not.toContain('prepare')
  },
)
