import type { Record, RecordBatch, SchemaChange, Value } from '@nebula/core'
import { BaseConfig, createBatch, valueAt } from '@nebula/core'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { BaseSource } from '../src/index.ts'
import { Memory } from './memory-drivers.ts'

interface Options {
  readonly config?: object
  readonly signal?: AbortSignal
}

function numbers(count: number): Value[][] {
  return Array.from({ length: count }, (_, i) => [i, `text ${i}`])
}

function memoryOf(rows: number, streams = ['t']): Memory {
  const memory = new Memory()
  const table = { columns: { id: 'int32', text: 'utf8' }, rows: numbers(rows) }
  memory.tables = Object.fromEntries(streams.map((name) => [name, table]))
  return memory
}

async function sourceOf(memory: Memory, { config = {}, signal }: Options = {}): Promise<BaseSource> {
  const shared = { name: 'memory', config: BaseConfig.parse(config), driver: memory.driver }
  const source = new BaseSource({ ...shared, ...(signal ? { signal } : {}) })
  onTestFinished(() => source.close())
  await source.initialize()
  return source
}

function rowsOf(batch: RecordBatch): Value[][] {
  const columns = batch.schema.fields.map((_, i) => batch.column(i))
  return Array.from({ length: batch.rows }, (_, row) => columns.map((column) => valueAt(column, row)))
}

describe('life', () => {
  test('every method throws before initialize and after close', async () => {
    const memory = memoryOf(1)
    const source = new BaseSource({ name: 'memory', config: BaseConfig.parse({}), driver: memory.driver })
    const lifecycle = { code: 'lifecycle', connector: 'memory' }
    const all = async (): Promise<void> => {
      await expect(source.discover()).rejects.toMatchObject(lifecycle)
      await expect(source.schema('t')).rejects.toMatchObject(lifecycle)
      await expect(source.readBatch(1)).rejects.toMatchObject(lifecycle)
      await expect(source.health()).rejects.toMatchObject(lifecycle)
      expect(() => source.read('t')).toThrow(expect.objectContaining({ code: 'lifecycle' }))
      expect(() => source.records()).toThrow(expect.objectContaining({ code: 'lifecycle' }))
      expect(() => source.readChanges()).toThrow(expect.objectContaining({ code: 'lifecycle' }))
    }
    await all()
    expect([source.metrics().startedAt, memory.opened]).toEqual([undefined, 0])
    await source.initialize()
    await expect(source.initialize()).rejects.toMatchObject(lifecycle)
    await source.close()
    await source.close()
    await all()
    expect([memory.opened, memory.closed]).toEqual([1, 1])
  })

  test('await using closes, also what is being read', async () => {
    const memory = memoryOf(100)
    {
      await using source = await sourceOf(memory)
      const reading = source.read('t')[Symbol.asyncIterator]()
      const { value } = (await reading.next()) as { value: RecordBatch }
      value.release()
      await source.readBatch(3)
    }
    expect(memory.closed).toBe(memory.opened)
    expect(memory.opened).toBe(3)
  })
})

describe('read', () => {
  test('gives the batches of the stream, of the columns and as many rows as asked', async () => {
    const source = await sourceOf(memoryOf(25))
    const seen: Value[][] = []
    for await (const batch of source.read('t', { columns: ['text', 'id'], limit: 12 })) {
      seen.push(...rowsOf(batch))
      batch.release()
    }
    expect(seen).toEqual(
      numbers(25)
        .slice(0, 12)
        .map(([id, text]) => [text, id]),
    )
    await expect(
      source
        .read('t', { columns: ['no'] })
        [Symbol.asyncIterator]()
        .next(),
    ).rejects.toMatchObject({
      code: 'column_not_found',
    })
    await expect(source.schema('x')).rejects.toMatchObject({
      code: 'stream_not_found',
      message: 'No stream "x" at the source; it has t.',
    })
    expect(source.metrics()).toMatchObject({
      batches: 2,
      rows: 12,
      errors: { column_not_found: 1, stream_not_found: 1 },
    })
  })

  test('left early, it frees everything', async () => {
    const memory = memoryOf(100)
    const source = await sourceOf(memory)
    for await (const batch of source.read('t')) {
      batch.release()
      break
    }
    for await (const record of source.records()) {
      expect(record.get('id')).toBe(0)
      break
    }
    expect([memory.freed, memory.lent, memory.opened - memory.closed]).toEqual([2, 0, 1])
  })

  test('stops when its signal fires, or that of the source', async () => {
    const stop = new AbortController()
    const memory = memoryOf(100)
    const source = await sourceOf(memory, { signal: stop.signal })
    const own = new AbortController()
    const reading = source.read('t', { signal: own.signal })[Symbol.asyncIterator]()
    ;((await reading.next()) as { value: RecordBatch }).value.release()
    own.abort()
    await expect(reading.next()).rejects.toThrow('abort')
    const other = source.read('t')[Symbol.asyncIterator]()
    ;((await other.next()) as { value: RecordBatch }).value.release()
    stop.abort()
    await expect(other.next()).rejects.toThrow('abort')
    expect([memory.freed, memory.opened - memory.closed]).toEqual([2, 1])
  })
})

describe('records', () => {
  test('gives row by row, in records that are used again', async () => {
    const source = await sourceOf(memoryOf(25), { config: { memory: { recordPoolSize: 7 } } })
    const seen: unknown[] = []
    for await (const record of source.records()) seen.push([record.get('id'), record.data['text']])
    expect(seen).toEqual(numbers(25))
    expect(source.metrics().records).toEqual({ lent: 0, idle: 1, hits: 24, misses: 1 })
  })

  test('a record is valid until the next one', async () => {
    const source = await sourceOf(memoryOf(1))
    const kept: Record[] = []
    for await (const record of source.records('t')) kept.push(record)
    expect(() => kept[0]?.get('id')).toThrow('after its release')
  })

  test('without a stream needs exactly one', async () => {
    const several = await sourceOf(memoryOf(1, ['a', 'b']))
    const first = several.records()[Symbol.asyncIterator]()
    await expect(first.next()).rejects.toMatchObject({ message: 'The source has 2 streams; say which.' })
    await expect((await sourceOf(memoryOf(1, []))).readBatch(1)).rejects.toMatchObject({ code: 'stream_not_found' })
  })

  test('a row that cannot be read ends it, unless maxErrors allows it', async () => {
    const memory = memoryOf(3)
    const fault = { code: 'row_invalid', reason: 'no number.', place: 'line 4' }
    memory.tables['t'] = { columns: { id: 'int32' }, rows: [[1], [2]], rejected: [fault] }
    const strict = await sourceOf(memory)
    const reading = strict.records()[Symbol.asyncIterator]()
    await expect(reading.next()).rejects.toMatchObject({ code: 'row_rejected', message: 'line 4: no number.' })
    expect(memory.lent).toBe(0)
    const lenient = await sourceOf(memory, { config: { reliability: { maxErrors: 1 } } })
    const [ids, told]: unknown[][] = [[], []]
    for await (const record of lenient.records('t', { onRejected: (rejection) => told?.push(rejection) }))
      ids?.push(record.get('id'))
    expect([ids, told]).toEqual([[1, 2], [fault]])
    expect(lenient.metrics().rejected).toBe(1)
  })
})

describe('readBatch', () => {
  test('gives exactly as many rows as asked, going on where it ended, however the source cuts its batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1 }),
        async (count, batchRows, sizes) => {
          const memory = memoryOf(count)
          memory.batchRows = batchRows
          const source = await sourceOf(memory)
          const seen: Value[][] = []
          for (let i = 0; ; i++) {
            const size = sizes[i % sizes.length] as number
            const batch = await source.readBatch(size)
            if (!batch) break
            expect(batch.rows).toBe(Math.min(size, count - seen.length))
            seen.push(...rowsOf(batch))
            batch.release()
          }
          expect(seen).toEqual(numbers(count))
          await source.close()
          expect([memory.lent, memory.opened - memory.closed]).toEqual([0, 0])
        },
      ),
      { numRuns: 50 },
    )
  })

  test('begins again behind the end, and keeps streams apart', async () => {
    const source = await sourceOf(memoryOf(3, ['a', 'b']))
    const ids = async (stream: string, rows: number): Promise<unknown> => {
      const batch = await source.readBatch(rows, stream)
      const values = batch && rowsOf(batch).map(([id]) => id)
      batch?.release()
      return values
    }
    expect(await ids('a', 2)).toEqual([0, 1])
    expect(await ids('b', 1)).toEqual([0])
    expect(await ids('a', 2)).toEqual([2])
    expect(await ids('a', 2)).toBeUndefined()
    expect(await ids('a', 5)).toEqual([0, 1, 2])
    expect(await ids('b', 5)).toEqual([1, 2])
    await expect(source.readBatch(0, 'a')).rejects.toMatchObject({ code: 'config_invalid' })
  })

  test('two calls at once get rows after rows', async () => {
    const source = await sourceOf(memoryOf(20))
    await source.discover()
    const [first, second] = await Promise.all([source.readBatch(5, 't'), source.readBatch(5, 't')])
    expect([first, second].map((batch) => batch && rowsOf(batch)[0]?.[0])).toEqual([0, 5])
    expect([first?.place(0), second?.place(4)]).toEqual(['row 1 of t', 'row 10 of t'])
    first?.release()
    second?.release()
  })
})

describe('handleSchemaChange', () => {
  test('tells what changed since the last look, and may refuse it', async () => {
    const memory = memoryOf(2, ['t', 'gone'])
    const source = await sourceOf(memory)
    const changes: SchemaChange[] = []
    source.handleSchemaChange((change) => void changes.push(change))
    await source.discover()
    expect(changes).toEqual([])
    memory.tables = { t: { columns: { id: 'int64' }, rows: [] }, new: { columns: { a: 'bool' }, rows: [] } }
    await source.schema('t')
    expect(changes.map(({ stream, before, after }) => [stream, before.fields.length, after?.fields.length])).toEqual([
      ['t', 2, 1],
      ['gone', 2, undefined],
    ])
    memory.tables = memoryOf(2).tables
    source.handleSchemaChange(({ stream }) => {
      throw new Error(`${stream} changed`)
    })
    await expect(source.read('t')[Symbol.asyncIterator]().next()).rejects.toThrow('t changed')
  })
})

describe('readChanges', () => {
  test('throws where the driver has none, and reads them where it has', async () => {
    const memory = memoryOf(2)
    const plain = await sourceOf(memory)
    expect(() => plain.readChanges()).toThrow(expect.objectContaining({ code: 'unsupported' }))
    const seen: unknown[] = []
    const driver = (): ReturnType<Memory['driver']> => ({
      ...memory.driver(),
      async *readChanges(position) {
        seen.push(position)
        yield createBatch({ stream: 't', schema: { fields: [] }, rows: 0, columns: [], position: '0/2' })
      },
    })
    const source = new BaseSource({ name: 'memory', config: BaseConfig.parse({}), driver })
    onTestFinished(() => source.close())
    await source.initialize()
    for await (const { position } of source.readChanges('0/1')) seen.push(position)
    expect(seen).toEqual(['0/1', '0/2'])
  })
})

describe('health', () => {
  test('is what pings say', async () => {
    const memory = memoryOf(1)
    const source = await sourceOf(memory)
    expect(await source.health()).toMatchObject({ status: 'healthy', checks: [{}] })
    memory.down = true
    expect(await source.health()).toMatchObject({ status: 'degraded', checks: [{}, { error: 'internal' }] })
    await source.health()
    expect((await source.health()).status).toBe('unhealthy')
    memory.down = false
    expect((await source.health()).status).toBe('healthy')
    expect(source.metrics().errors).toEqual({})
  })
})
