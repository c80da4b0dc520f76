import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BaseConfig, NebulaError } from '@nebula/core'
import { Faults, Ledger, memoryConnector, memoryDestination, memorySource, MemoryTarget } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import type { Pipeline, Report, RunEvent } from '../src/index.ts'
import { runPipeline } from '../src/index.ts'
import { field, numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()

describe('a run', () => {
  test.each([1, 2, 8])('moves every row of every stream with %i tasks at once', async (parallel) => {
    const streams = [numbered('orders', 95, { cut: 20 }), numbered('lines', 40, { cut: 7 }), numbered('empty', 0)]
    const target = new MemoryTarget()
    const ledger = new Ledger()
    const scene = { source: { streams }, destination: { target }, folder: folder(), pipeline: { parallel }, ledger }
    const report = await runPipeline(pipelineOf(scene))

    for (const { name, rows } of streams) expect(target.rows(name)).toEqual(rows)
    expect(report).toMatchObject({ status: 'done', exitCode: 0, resumed: false, restarted: [], rows: 135 })
    expect(report.streams.map(({ stream, status, read, written }) => [stream, status, read, written])).toEqual([
      ['orders', 'done', 95, 95],
      ['lines', 'done', 40, 40],
      ['empty', 'done', 0, 0],
    ])
    expect(target.staging.size).toBe(0)
    expect(ledger.yielded).toBe(16)
    expect(ledger.released).toBe(ledger.yielded)
    expect(ledger.bytesUsed).toBe(0)
  })

  test('the report adds up and lies in the state folder', async () => {
    const target = new MemoryTarget()
    const streams = [numbered('orders', 25, { unreadable: [3, 14] }), numbered('lines', 5)]
    const pipeline = { defaults: { maxErrors: 5 } }
    const report = await runPipeline(
      pipelineOf({ source: { streams }, destination: { target }, folder: folder(), pipeline }),
    )
    for (const stream of report.streams) expect(stream.read).toBe(stream.written + stream.rejected)
    expect(report.streams[0]).toMatchObject({ read: 25, written: 23, rejected: 2, target: 'orders', mode: 'overwrite' })
    expect(report.rows).toBe(30)
    expect(report.bytes).toBe(report.streams.reduce((sum, { bytes }) => sum + bytes, 0))
    expect(report.bytes).toBeGreaterThan(0)
    const stored = await readFile(join(folder(), '.nebula', 'shop.report.json'), 'utf8')
    expect(JSON.parse(stored) as Report).toEqual(JSON.parse(JSON.stringify(report)))
  })

  test('the report counts the values that are kept in the overflow column, also after a kill', async () => {
    const target = new MemoryTarget()
    const source = { streams: [numbered('orders', 35, { cut: 20, positions: true })] }
    const scene = (faults?: Faults): Pipeline => {
      const pipeline = pipelineOf({ source, destination: { target, ...(faults ? { faults } : {}) }, folder: folder() })
      const connector = memoryConnector('memory-source', {
        source: () => {
          const driver = memorySource(source)
          const read = driver.read.bind(driver)
          driver.read = async function* (task, context) {
            for await (const batch of read(task, context)) yield Object.assign(batch, { overflowed: batch.rows })
          }
          return driver
        },
      })
      return { ...pipeline, source: { ...pipeline.source, connector } }
    }
    const faults = new Faults((point, before) =>
      point === 'commit' && before === 1 ? new NebulaError('connection_lost', { message: 'gone' }) : undefined,
    )
    await runPipeline(scene(faults))
    const report = await runPipeline(scene())
    expect(report.streams[0]).toMatchObject({ read: 35, resumed: 20, overflowed: 35 })
  })

  test('an ended run leaves no lock; the same command again is a new run', async () => {
    const source = { streams: [numbered('orders', 5)] }
    const target = new MemoryTarget()
    const scene = { source, destination: { target }, folder: folder() }
    const first = await runPipeline(pipelineOf(scene))
    expect(await readdir(join(folder(), '.nebula'))).toEqual([
      'shop.progress.json',
      'shop.report.json',
      'shop.schemas.json',
    ])
    source.streams = [numbered('orders', 7)]
    const second = await runPipeline(pipelineOf(scene))
    expect(second.resumed).toBe(false)
    expect(second.run).not.toBe(first.run)
    expect(target.rows('orders')).toHaveLength(7)
    expect(target.run?.epoch).toBe(2)
  })

  test('append adds to what is there', async () => {
    const source = { streams: [numbered('orders', 3, { cut: 2 })] }
    const target = new MemoryTarget()
    const scene = {
      source,
      destination: { target },
      folder: folder(),
      pipeline: { defaults: { mode: 'append' as const } },
    }
    await runPipeline(pipelineOf(scene))
    await runPipeline(pipelineOf(scene))
    expect(target.rows('orders').map(([id]) => id)).toEqual(['0', '1', '2', '0', '1', '2'])
  })

  test('wire rows pass through unseen, and only where nothing looks inside', async () => {
    const stream = numbered('orders', 25, { wire: ['lines'] })
    const target = new MemoryTarget()
    const destination = { target, wire: 'lines' }
    await runPipeline(pipelineOf({ source: { streams: [stream] }, destination, folder: folder() }))
    expect(target.rows('orders')).toEqual(stream.rows)
    expect(target.run?.streams[0]?.accepted.wire).toBe('lines')

    const pipeline = { defaults: { mask: { name: 'sha256' as const } } }
    await runPipeline(pipelineOf({ source: { streams: [stream] }, destination, folder: folder(), pipeline }))
    expect(target.run?.streams[0]?.accepted.wire).toBeUndefined()
    expect(target.rows('orders')[0]?.[1]).toMatch(/^[0-9a-f]{64}$/)
  })

  test('a source without plan is one partition a stream', async () => {
    const stream = numbered('orders', 25)
    const target = new MemoryTarget()
    await runPipeline(
      pipelineOf({ source: { streams: [stream], withoutPlan: true }, destination: { target }, folder: folder() }),
    )
    expect(target.rows('orders')).toEqual(stream.rows)
    expect(target.run?.plan.partitions).toEqual([{ id: 'orders', stream: 'orders', range: null }])
  })

  test('tells when it is planned, and when a stream ends', async () => {
    const events: RunEvent[] = []
    const streams = [numbered('orders', 15), numbered('lines', 5)]
    const scene = { source: { streams }, destination: { target: new MemoryTarget() }, folder: folder() }
    await runPipeline(pipelineOf(scene), { onEvent: (event) => events.push(event) })
    expect(
      events.map((event) => (event.kind === 'stream' ? `${event.progress.stream} ${event.status}` : event.kind)),
    ).toEqual(['planned', 'orders done', 'lines done', 'report'])
    const [planned] = events
    const progress = planned?.kind === 'planned' ? planned.progress() : []
    expect(
      progress.map(({ stream, read, durable, partitions, partitionsDone, estimatedRows }) => [
        stream,
        read,
        durable,
        partitions,
        partitionsDone,
        estimatedRows,
      ]),
    ).toEqual([
      ['orders', 15, 15, 1, 1, 15],
      ['lines', 5, 5, 1, 1, 5],
    ])
  })

  test('rows that wait for their turn do not outgrow the memory of a task', async () => {
    const ledger = new Ledger()
    const wide = {
      name: 'wide',
      fields: [field('text utf8')],
      rows: Array.from({ length: 30 }, () => ['x'.repeat(1_000_000)]),
    }
    await runPipeline(
      pipelineOf({
        source: { streams: [wide] },
        destination: { target: new MemoryTarget() },
        folder: folder(),
        ledger,
        config: { performance: { batchSize: 1 } },
      }),
    )
    const [pool] = ledger.pools
    expect(pool?.statistics.peak).toBeLessThan(20_000_000)
    expect(ledger.bytesUsed).toBe(0)
  })

  test('the destination works under its own time limit and name', async () => {
    const contexts: unknown[] = []
    const pipeline = pipelineOf({
      source: { streams: [numbered('orders', 1)] },
      destination: {
        target: new MemoryTarget(),
        beforeWrite: async (context) => {
          contexts.push(
            await context
              .call((signal) => new Promise((_, reject) => signal.addEventListener('abort', reject)))
              .catch((error: unknown) => error),
          )
        },
      },
      folder: folder(),
    })
    const config = BaseConfig.parse({ timeouts: { request: 1 }, reliability: { maxRetries: 0 } })
    await runPipeline({ ...pipeline, destination: { ...pipeline.destination, config } })
    expect(contexts).toMatchObject([
      { code: 'timeout', message: 'A request to memory-destination took longer than 1 ms.' },
    ])
  })
})

describe('before the first row', () => {
  const refused = (): NebulaError => new NebulaError('authentication_failed', { message: 'wrong password' })

  test.each([
    ['source.open', 'memory-source'],
    ['destination.open', 'memory-destination'],
  ])('when %s fails, both are closed and the error says which', async (point, connector) => {
    const faults = new Faults((at) => (at === point ? refused() : undefined))
    const scene = {
      source: { streams: [numbered('orders', 5)], faults },
      destination: { target: new MemoryTarget(), faults },
      folder: folder(),
    }
    await expect(runPipeline(pipelineOf(scene))).rejects.toMatchObject({ code: 'authentication_failed', connector })
    expect(faults.points.filter((at) => at.endsWith('.close')).sort()).toEqual(['destination.close', 'source.close'])
    expect(await readdir(join(folder(), '.nebula'))).toEqual(['shop.progress.json'])
  })

  test('an error of planning is thrown, both ends are closed and the lock is free', async () => {
    const faults = new Faults((at) => (at === 'plan' ? new Error('unexpected') : undefined))
    const scene = {
      source: { streams: [numbered('orders', 5)], faults },
      destination: { target: new MemoryTarget(), faults },
      folder: folder(),
    }
    await expect(runPipeline(pipelineOf(scene))).rejects.toThrow('unexpected')
    expect(faults.points.filter((at) => at.endsWith('.close')).sort()).toEqual(['destination.close', 'source.close'])
    expect(await readdir(join(folder(), '.nebula'))).toEqual(['shop.progress.json'])
  })

  test('a connector that cannot be closed does not turn the run into a failure', async () => {
    const faults = new Faults((at) => (at === 'source.close' ? new Error('still busy') : undefined))
    const warnings: string[] = []
    const logger = { debug() {}, info() {}, error() {}, warn: (message: string) => warnings.push(message) }
    const scene = {
      source: { streams: [numbered('orders', 5)], faults },
      destination: { target: new MemoryTarget(), faults },
      folder: folder(),
    }
    expect(await runPipeline(pipelineOf(scene), { logger })).toMatchObject({ status: 'done' })
    expect(faults.points).toContain('destination.close')
    expect(warnings).toEqual(['a connector could not be closed'])
  })

  test('an end that the connector does not have is named', async () => {
    const pipeline = pipelineOf({
      source: { streams: [numbered('orders', 5)] },
      destination: { target: new MemoryTarget() },
      folder: folder(),
    })
    const writeOnly = { connector: memoryConnector('write-only', {}), config: BaseConfig.parse({}) }
    await expect(runPipeline({ ...pipeline, source: writeOnly })).rejects.toMatchObject({
      code: 'unsupported',
      message: 'The connector write-only cannot be read from.',
    })
    await expect(runPipeline({ ...pipeline, destination: writeOnly })).rejects.toMatchObject({
      code: 'unsupported',
      message: 'The connector write-only cannot be written to.',
    })
    const endless = memoryDestination({ target: new MemoryTarget() })
    delete endless.end
    const recalling = {
      connector: memoryConnector('endless', { destination: () => endless }),
      config: BaseConfig.parse({}),
    }
    await expect(runPipeline({ ...pipeline, destination: recalling })).rejects.toMatchObject({
      code: 'unsupported',
      message: 'The connector endless cannot end the runs that it recalls.',
    })
  })

  test('a destination without accept takes everything as text', async () => {
    const stream = {
      name: 'orders',
      fields: [field('id int64'), field('paid bool')],
      rows: [['9007199254740993', 'true']],
    }
    const written: unknown[] = []
    const pipeline = pipelineOf({
      source: { streams: [stream] },
      destination: { target: new MemoryTarget() },
      folder: folder(),
    })
    const plain = memoryConnector('plain', {
      destination: () => ({
        async prepare() {},
        async writer() {
          return {
            async write(batch) {
              written.push(batch.record(0).data)
              return []
            },
            async commit() {},
            async abort() {},
          }
        },
      }),
    })
    const report = await runPipeline({ ...pipeline, destination: { connector: plain, config: BaseConfig.parse({}) } })
    expect(report.status).toBe('done')
    expect(written).toEqual([{ id: '9007199254740993', paid: 'true' }])
  })
})

describe('when a stream fails', () => {
  const streams = [numbered('first', 30, { cut: 10 }), numbered('second', 30, { cut: 10 })]
  const failing = (): Faults =>
    new Faults((at, count) =>
      at === 'write' && count === 1 ? new NebulaError('disk_full', { message: 'no space' }) : undefined,
    )

  test('the others go on', async () => {
    const target = new MemoryTarget()
    const report = await runPipeline(
      pipelineOf({ source: { streams }, destination: { target, faults: failing() }, folder: folder() }),
    )
    expect(report).toMatchObject({ status: 'partial', exitCode: 5 })
    expect(report.streams[0]).toMatchObject({ status: 'failed', error: { code: 'disk_full' }, read: 10, written: 10 })
    expect(report.streams[1]).toMatchObject({ status: 'done', written: 30 })
    expect(target.rows('second')).toEqual(streams[1]?.rows)
    expect(target.tables.has('first')).toBe(false)
  })

  test('the others stop where the pipeline says so, and go on with the next run', async () => {
    const target = new MemoryTarget()
    const pipeline = { onStreamError: 'stop' as const }
    const report = await runPipeline(
      pipelineOf({ source: { streams }, destination: { target, faults: failing() }, folder: folder(), pipeline }),
    )
    expect(report).toMatchObject({ status: 'failed', exitCode: 3 })
    expect(report.streams.map(({ status }) => status)).toEqual(['failed', 'interrupted'])
    const next = await runPipeline(
      pipelineOf({ source: { streams }, destination: { target }, folder: folder(), pipeline }),
    )
    expect(next).toMatchObject({ status: 'done', resumed: true, rows: 50 })
    for (const { name, rows } of streams) expect(target.rows(name)).toEqual(rows)
  })

  test('the exit code says what failed when nothing came through', async () => {
    const faults = new Faults((at) => (at === 'write' ? new Error('a bug') : undefined))
    const report = await runPipeline(
      pipelineOf({ source: { streams }, destination: { target: new MemoryTarget(), faults }, folder: folder() }),
    )
    expect(report).toMatchObject({ status: 'failed', exitCode: 1 })
    expect(report.streams[0]?.error).toMatchObject({ code: 'internal', message: 'Unexpected: a bug' })
  })

  test('a destination that fails is heard at once, however long the source would wait', async () => {
    const faults = new Faults((at) =>
      at === 'write' ? new NebulaError('disk_full', { message: 'no space' }) : undefined,
    )
    const ledger = new Ledger()
    const source = {
      streams: [numbered('orders', 100)],
      // The second batch never comes.
      beforeBatch: (row: number, { signal }: { signal: AbortSignal }) =>
        row === 0
          ? Promise.resolve()
          : new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
    }
    const report = await runPipeline(
      pipelineOf({ source, destination: { target: new MemoryTarget(), faults }, folder: folder(), ledger }),
    )
    expect(report.streams[0]?.error).toMatchObject({ code: 'disk_full' })
    expect(ledger.released).toBe(1)
  })

  test('a writer that cannot be aborted does not hide why it was', async () => {
    const faults = new Faults((at) =>
      at === 'write'
        ? new NebulaError('disk_full', { message: 'no space' })
        : at === 'abort'
          ? new Error('worse')
          : undefined,
    )
    const report = await runPipeline(
      pipelineOf({ source: { streams }, destination: { target: new MemoryTarget(), faults }, folder: folder() }),
    )
    expect(report.streams[0]?.error).toMatchObject({ code: 'disk_full' })
  })

  test('a source that fails releases what was read', async () => {
    const faults = new Faults((at, count) =>
      at === 'read' && count === 2 ? new NebulaError('connection_lost', { message: 'gone' }) : undefined,
    )
    const ledger = new Ledger()
    const report = await runPipeline(
      pipelineOf({
        source: { streams: [numbered('orders', 100)], faults },
        destination: { target: new MemoryTarget() },
        folder: folder(),
        ledger,
      }),
    )
    expect(report).toMatchObject({ status: 'failed', exitCode: 3, rows: 0 })
    expect(ledger.yielded).toBe(2)
    expect(ledger.released).toBe(2)
    expect(ledger.bytesUsed).toBe(0)
  })
})
