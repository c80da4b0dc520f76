import type { MemoryDestination, MemorySource } from '@nebula/testkit'
import { Faults, MemoryTarget } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import { runPipeline } from '../src/index.ts'
import type { Pipeline } from '../src/index.ts'
import { field, numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()
const streams = [numbered('orders', 3), numbered('lines', 3), numbered('notes', 3)]

/** Why a pipeline does not begin, and what its destination was asked by then. */
async function refusal(
  pipeline: Partial<Pipeline>,
  destination: Partial<MemoryDestination> = {},
  source: MemorySource = { streams },
): Promise<{ code: string; message: string; stream?: string; points: string[] }> {
  const faults = new Faults()
  const all = { target: new MemoryTarget(), ...destination, faults }
  const error = await runPipeline(pipelineOf({ source, destination: all, folder: folder(), pipeline })).then(
    () => new Error('it ran'),
    (thrown: unknown) => thrown as Error,
  )
  const { code, stream } = error as unknown as { code: string; stream?: string }
  return { code, message: error.message, ...(stream === undefined ? {} : { stream }), points: faults.points }
}

describe('a plan that cannot be run', () => {
  test('is refused for all reasons of all streams at once, before anything is written', async () => {
    const target = new MemoryTarget()
    target.tables.set('notes', { schema: { fields: [] }, rows: [['a']], foreign: true })
    const { code, message, points } = await refusal(
      { streams: { orders: { columns: ['di'] }, lines: { rename: { id: 'name' } }, notes: {} } },
      { target, accepts: ({ name }) => (name === 'name' ? { fidelity: 'lossy', why: 'it is cut' } : {}) },
    )
    expect(code).toBe('column_not_found')
    expect(message.split('\n')).toEqual([
      'orders: columns names a column "di" that the stream does not have; did you mean id?',
      'lines: two columns would be called "name" at the destination',
      'lines: column id: it is cut',
      'lines: column name: it is cut',
      'notes: notes holds rows that Nebula did not write.',
      'notes: column name: it is cut',
    ])
    expect(points).not.toContain('prepare')
    expect(points).not.toContain('plan')
  })

  test('names the stream when there is only one', async () => {
    const { stream } = await refusal({ streams: { orders: { columns: ['di'] } } })
    expect(stream).toBe('orders')
  })

  test('has all targets that streams would share', async () => {
    const { code, message } = await refusal({ streams: { '*': { target: 'all' } } })
    expect(code).toBe('target_collision')
    expect(message).toBe('orders and lines and notes would be written to all.')
    const both = await refusal(
      { streams: { orders: {}, lines: { target: 'orders' }, notes: {} } },
      {},
      { streams: [...streams, numbered('more', 1)] },
    )
    expect(both.message).toBe('orders and lines would be written to orders.')
  })

  test('has all streams that are not there', async () => {
    const { code, message } = await refusal({ streams: { order: {}, line: {} } })
    expect(code).toBe('stream_not_found')
    expect(message.split('\n')).toHaveLength(2)
  })

  test('may ask for partitions of its own size', async () => {
    const asked: number[] = []
    const given: MemorySource = { streams }
    const pipeline = pipelineOf({ source: given, destination: { target: new MemoryTarget() }, folder: folder() })
    const { connector } = pipeline.source
    const spying = (config: Parameters<NonNullable<typeof connector.source>>[0]) => {
      const driver = connector.source?.(config)
      if (!driver?.plan) throw new Error('no plan')
      const plan = driver.plan.bind(driver)
      driver.plan = (...question) => {
        asked.push(question[1])
        return plan(...question)
      }
      return driver
    }
    const source = { ...pipeline.source, connector: { ...connector, source: spying } }
    await runPipeline({ ...pipeline, source })
    const small = { ...source.config, advanced: { ...source.config.advanced, partitionBytes: 1234 } }
    await runPipeline({ ...pipeline, source: { ...source, config: small } })
    await runPipeline({
      ...pipeline,
      source,
      destination: pipelineOf({
        source: { streams },
        destination: { target: new MemoryTarget(), commitOften: true },
        folder: folder(),
      }).destination,
    })
    given.streams = streams.map((stream) => ({ ...stream, partitionBytes: 50_000_000 }))
    await runPipeline({ ...pipeline, source })
    await runPipeline({ ...pipeline, source: { ...source, config: small } })
    expect(asked).toEqual([32_000_000, 1234, 1, 50_000_000, 1234])
  })
})

test('a stream of a file has the types that the pipeline declares', async () => {
  const prices = {
    name: 'prices',
    fields: [field('id int64'), field('price float64')],
    rows: [['0042', '1.50']],
    untyped: true,
  }
  const target = new MemoryTarget()
  const pipeline = {
    streams: {
      prices: {
        types: { id: { kind: 'utf8' as const }, price: { kind: 'decimal' as const, precision: 10, scale: 2 } },
      },
    },
  }
  await runPipeline(pipelineOf({ source: { streams: [prices] }, destination: { target }, folder: folder(), pipeline }))
  expect(target.rows('prices')).toEqual([['0042', '1.50']])
})
