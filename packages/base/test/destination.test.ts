import type { Clock } from '@nebula/core'
import { BaseConfig, createBatch, NebulaError, RecordPool } from '@nebula/core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { BaseDestination } from '../src/index.ts'
import { MemoryTarget } from './memory-drivers.ts'

const columns = { id: 'int32', text: 'text' }

class TestClock implements Clock {
  time = 0
  now(): number {
    return this.time
  }
  async sleep(): Promise<void> {}
}

async function destinationOf(
  target: MemoryTarget,
  config: object = {},
  clock: Clock = new TestClock(),
): Promise<BaseDestination> {
  const options = { name: 'memory', config: BaseConfig.parse(config), driver: target.driver, clock }
  const destination = new BaseDestination(options)
  onTestFinished(() => destination.close())
  await destination.initialize()
  return destination
}

async function preparedOf(
  target: MemoryTarget,
  config: object = {},
  clock: Clock = new TestClock(),
): Promise<BaseDestination> {
  const destination = await destinationOf(target, config, clock)
  await destination.prepare({ stream: 't', schema: columns })
  return destination
}

describe('life', () => {
  test('every method throws before initialize, before prepare, and after close', async () => {
    const target = new MemoryTarget()
    const options = { name: 'memory', config: BaseConfig.parse({}), driver: target.driver }
    const destination = new BaseDestination(options)
    const lifecycle = { code: 'lifecycle', connector: 'memory' }
    const all = async (): Promise<void> => {
      await expect(destination.describe('t')).rejects.toMatchObject(lifecycle)
      await expect(destination.prepare({ stream: 't', schema: columns })).rejects.toMatchObject(lifecycle)
      await expect(destination.write({ id: 1 })).rejects.toMatchObject(lifecycle)
      await expect(destination.commit()).rejects.toMatchObject(lifecycle)
      await expect(destination.finish()).rejects.toMatchObject(lifecycle)
      await expect(destination.health()).rejects.toMatchObject(lifecycle)
    }
    await all()
    await destination.initialize()
    await expect(destination.write({ id: 1 })).rejects.toMatchObject(lifecycle)
    await destination.prepare({ stream: 't', schema: columns })
    await expect(destination.prepare({ stream: 't', schema: columns })).rejects.toMatchObject(lifecycle)
    await destination.close()
    await destination.close()
    await all()
    expect(target.closed).toBe(1)
  })

  test('close without finish leaves nothing behind', async () => {
    const target = new MemoryTarget()
    {
      await using destination = await preparedOf(target, { performance: { batchSize: 1 } })
      await destination.write({ id: 1 })
    }
    expect([target.commits, target.finished, target.discarded, target.aborts]).toEqual([[], [], ['t'], 1])
  })
})

describe('write', () => {
  test('takes a row, several, and those that come one by one; finish commits them', async () => {
    const target = new MemoryTarget()
    const destination = await preparedOf(target)
    await destination.write({ id: 1, text: 'a' })
    await destination.write([{ id: 2 }, { id: 3, text: null }])
    const pool = new RecordPool()
    const record = pool.get()
    record.setData('id', 4)
    await destination.write(record)
    await destination.write(
      (async function* () {
        yield { id: 5, text: 'e' }
      })(),
    )
    expect(target.batches).toEqual([])
    await destination.finish()
    expect(target.rows).toEqual([
      [1, 'a'],
      [2, null],
      [3, null],
      [4, null],
      [5, 'e'],
    ])
    expect(target.commits).toMatchObject([{ sequence: 1, done: true, counts: { read: 5, written: 5 } }])
    expect(target.finished).toEqual(['t'])
    expect(destination.metrics()).toMatchObject({ rows: 5, batches: 1, durable: 5 })
  })

  test('takes batches, of the columns that were prepared', async () => {
    const target = new MemoryTarget()
    const destination = await preparedOf(target)
    const values = Int32Array.of(7)
    const id = { layout: 'fixed', type: { kind: 'int32' }, length: 1, validity: null, values } as const
    const data = new TextEncoder().encode('x')
    const text = {
      layout: 'bytes',
      type: { kind: 'utf8' },
      length: 1,
      validity: null,
      offsets: Int32Array.of(0, 1),
      data,
    } as const
    const fields = [id, text].map(({ type }, i) => ({ name: ['id', 'text'][i] ?? '', type, nullable: true }))
    const batch = createBatch({ stream: 's', schema: { fields }, rows: 1, columns: [id, text] })
    await destination.write({ id: 6 })
    await destination.write(batch)
    await destination.commit()
    expect(target.rows).toEqual([
      [6, null],
      [7, 'x'],
    ])
    const other = createBatch({ stream: 's', schema: { fields: fields.slice(1) }, rows: 1, columns: [text] })
    await expect(destination.write(other)).rejects.toMatchObject({
      code: 'target_incompatible',
      message: 'The batch has the columns text utf8 instead of id int32, text utf8.',
    })
    const rejected = [{ code: 'row_invalid', reason: 'torn', place: 'line 3' }]
    const torn = createBatch({ stream: 's', schema: { fields }, rows: 1, columns: [id, text], rejected })
    await expect(destination.write(torn)).rejects.toMatchObject({ code: 'row_rejected', message: 'line 3: torn.' })
  })

  test('a value that does not fit names row and column; the rows before it are in', async () => {
    const target = new MemoryTarget()
    const destination = await preparedOf(target)
    await destination.write({ id: 1 })
    await expect(destination.write([{ id: 2 }, { id: 'three' }, { id: 4 }])).rejects.toMatchObject({
      code: 'row_rejected',
      message: 'Row 3, column "id": the value is no int32.',
    })
    await expect(destination.write({ id: 1, name: 'x' })).rejects.toThrow('column "name": there is no such column')
    await destination.finish()
    expect(target.rows.map(([id]) => id)).toEqual([1, 2])
    expect(destination.metrics().errors).toEqual({ row_rejected: 2 })
  })

  test('of a system that fails: all since the last commit is gone, and the rest goes on', async () => {
    const target = new MemoryTarget()
    const destination = await preparedOf(target, { performance: { batchSize: 1 } })
    await destination.write({ id: 1 })
    await destination.commit()
    await destination.write({ id: 2 })
    target.failNext = new NebulaError('row_rejected', { message: 'no' })
    await expect(destination.write({ id: 3 })).rejects.toMatchObject({ code: 'row_rejected', stream: 't' })
    expect(target.aborts).toBe(1)
    await destination.write({ id: 4 })
    await destination.finish()
    expect(target.commits.map(({ sequence, counts }) => [sequence, counts.written])).toEqual([
      [1, 1],
      [2, 2],
    ])
  })

  test('says which streams there are', async () => {
    const destination = await destinationOf(new MemoryTarget())
    await destination.prepare([
      { stream: 'a', schema: columns },
      { stream: 'b', schema: columns },
    ])
    await expect(destination.write({ id: 1 })).rejects.toMatchObject({ message: 'Say which stream: a, b.' })
    await expect(destination.write({ id: 1 }, 'c')).rejects.toMatchObject({ code: 'stream_not_found' })
    await destination.write({ id: 1 }, 'b')
    await destination.finish()
  })
})

describe('prepare', () => {
  test('refuses types that it does not know, and two streams of one target', async () => {
    const destination = await destinationOf(new MemoryTarget())
    await expect(destination.prepare({ stream: 't', schema: { id: 'integre' } })).rejects.toMatchObject({
      code: 'config_invalid',
    })
    const twice = ['a', 'b'].map((stream) => ({ stream, target: 't', schema: columns }))
    await expect(destination.prepare(twice)).rejects.toThrow('Two streams would be written to t.')
    await expect(destination.describe('t')).rejects.toMatchObject({ code: 'unsupported' })
  })
})

describe('a destination that takes other types', () => {
  test('is given those, and a value that does not fit names row and column', async () => {
    const target = new MemoryTarget()
    target.accepted = { id: { as: { kind: 'utf8' } }, text: { as: { kind: 'int32' } } }
    const destination = await preparedOf(target, { performance: { batchSize: 2 } })
    await destination.write([
      { id: 1, text: '7' },
      { id: null, text: '-8' },
    ])
    await expect(
      destination.write([
        { id: 3, text: '9' },
        { id: 4, text: 'x' },
      ]),
    ).rejects.toMatchObject({ code: 'row_rejected', message: 'row 4: column "text": the value does not fit int32.' })
    expect(target.rows).toEqual([
      ['1', 7],
      [null, -8],
    ])
    // What was not committed is gone, as one: nothing of it is counted.
    expect(target.aborts).toBe(1)
    await destination.write({ id: 5, text: '10' })
    await destination.finish()
    expect(target.commits.map(({ counts }) => counts.written)).toEqual([1])
  })

  test('is asked first whether something would be lost', async () => {
    const target = new MemoryTarget()
    target.accepted = { text: { fidelity: 'lossy', why: 'letters are cut off' } }
    const destination = await destinationOf(target)
    const stream = { stream: 't', schema: columns }
    await expect(destination.prepare(stream)).rejects.toMatchObject({
      code: 'loss_refused',
      message: 't: column text: letters are cut off',
    })
    const [prepared] = await destination.prepare({ ...stream, target: 'u', allowLoss: ['text'] })
    expect(prepared).toMatchObject({ stream: 't', target: 'u' })
    expect((await destination.health()).status).toBe('healthy')
    await destination.discard()
    expect(target.discarded).toEqual(['t'])
  })
})

describe('advanced.storageMode', () => {
  const repeated = Array.from({ length: 1000 }, (_, i) => ({ id: i, text: `status ${i % 3}` }))

  test('row: what one call gives goes on its way at once', async () => {
    const target = new MemoryTarget()
    const destination = await preparedOf(target, { advanced: { storageMode: 'row' }, memory: { recordPoolSize: 2 } })
    await destination.write([{ id: 1 }, { id: 2 }, { id: 3 }])
    await destination.write({ id: 4 })
    expect(target.batches.map(({ rows }) => rows.map(([id]) => id))).toEqual([[1, 2, 3], [4]])
    // Three were lent and two are kept, of which the fourth row used one.
    expect(destination.metrics().records).toEqual({ lent: 0, idle: 2, hits: 1, misses: 3 })
  })

  test('memory.recordPoolSize: so many records are kept', async () => {
    const target = new MemoryTarget()
    const destination = await preparedOf(target, { advanced: { storageMode: 'row' }, memory: { recordPoolSize: 600 } })
    await destination.write(repeated)
    await destination.write(repeated)
    expect(destination.metrics().records).toEqual({ lent: 0, idle: 600, hits: 600, misses: 1400 })
  })

  test('columnar: rows are gathered, and text is plain', async () => {
    const target = new MemoryTarget()
    const destination = await preparedOf(target, { advanced: { storageMode: 'columnar' } })
    for (const row of repeated) await destination.write(row)
    expect(target.batches).toEqual([])
    await destination.finish()
    expect(target.batches.map(({ layouts }) => layouts)).toEqual([['fixed', 'bytes']])
  })

  test('hybrid, the default: rows are gathered, and text that repeats is a dictionary', async () => {
    const target = new MemoryTarget()
    const destination = await preparedOf(target)
    for (const row of repeated) await destination.write(row)
    await destination.finish()
    expect(target.batches.map(({ layouts }) => layouts)).toEqual([['fixed', 'dictionary']])
    expect(target.rows).toEqual(repeated.map(({ id, text }) => [id, text]))
  })

  test('performance.flushInterval: rows that waited so long go on their way with the next', async () => {
    const [target, clock] = [new MemoryTarget(), new TestClock()]
    const destination = await preparedOf(target, { performance: { flushInterval: '1s' } }, clock)
    await destination.write({ id: 1 })
    clock.time = 999
    await destination.write({ id: 2 })
    expect(target.batches).toEqual([])
    clock.time = 1000
    await destination.write({ id: 3 })
    expect(target.rows.map(([id]) => id)).toEqual([1, 2, 3])
  })
})
