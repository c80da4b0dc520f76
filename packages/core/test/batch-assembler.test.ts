import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AssemblerOptions, RecordBatch, RowObject, Schema, StorageMode, Value, ValueInput } from '../src/index.ts'
import { BatchAssembler, BufferPool, parseType, RecordPool, valueAt } from '../src/index.ts'

const MODES: readonly StorageMode[] = ['row', 'columnar', 'hybrid']

function schemaOf(columns: { [name: string]: string }): Schema {
  const fields = Object.entries(columns).map(([name, text]) => {
    const type = parseType(text.replace('!', ''))
    if (!type) throw new Error(`${text} is no type`)
    return { name, type, nullable: !text.endsWith('!') }
  })
  return { fields }
}

function assembler(
  columns: { [name: string]: string },
  mode: StorageMode,
  options: Partial<AssemblerOptions> = {},
): BatchAssembler {
  const limits = { rows: 10_000, bytes: 2 ** 30 }
  const [pool, records] = [new BufferPool(2 ** 30), new RecordPool()]
  return new BatchAssembler({ stream: 's', schema: schemaOf(columns), mode, limits, pool, records, ...options })
}

/** The values of a batch by both ways of reading it, which must agree. */
function valuesOf(batch: RecordBatch): Value[][] {
  const { fields } = batch.schema
  const columns = fields.map((_, i) => batch.column(i))
  return Array.from({ length: batch.rows }, (_, row) => {
    const values = columns.map((column) => valueAt(column, row))
    expect(fields.map(({ name }) => batch.record(row).get(name))).toEqual(values)
    return values
  })
}

function assembled(into: BatchAssembler, rows: readonly RowObject[]): Value[][] {
  const values: Value[][] = []
  const drain = (): void => {
    const batch = into.take()
    if (!batch) return
    values.push(...valuesOf(batch))
    batch.release()
  }
  for (const row of rows) {
    into.add(row)
    while (into.isReady) drain()
  }
  while (into.rows > 0) drain()
  into.free()
  return values
}

function one(type: string, value: ValueInput, mode: StorageMode = 'row'): Value {
  return assembled(assembler({ x: type }, mode), [{ x: value }])[0]?.[0] as Value
}

describe.each(MODES)('%s', (mode) => {
  test('takes values as valueAt gives them, and what is exactly the same', () => {
    expect(one('bool', true, mode)).toBe(true)
    expect(one('int8', -128, mode)).toBe(-128)
    expect(one('uint32', 4294967295n, mode)).toBe(4294967295)
    expect(one('int64', 9007199254740991, mode)).toBe(9007199254740991n)
    expect(one('int64', -(2n ** 63n), mode)).toBe(-(2n ** 63n))
    expect(one('uint64', 2n ** 64n - 1n, mode)).toBe(2n ** 64n - 1n)
    expect(one('int64', '12345678901234567', mode)).toBe(12345678901234567n)
    expect(one('float64', 0.1, mode)).toBe(0.1)
    expect(one('float64', 5n, mode)).toBe(5)
    expect(one('decimal(10,2)', '12.50', mode)).toBe(1250n)
    expect(one('decimal(10,2)', -1250n, mode)).toBe(-1250n)
    expect(one('decimal(10,2)', 12.5, mode)).toBe(1250n)
    expect(one('numeric', 12345678901234567890n, mode)).toBe('12345678901234567890')
    expect(one('utf8', 'ü𝄞 and more than twenty-four', mode)).toBe('ü𝄞 and more than twenty-four')
    expect(one('utf8', '', mode)).toBe('')
    expect(one('binary', Uint8Array.of(0, 255), mode)).toEqual(Uint8Array.of(0, 255))
    expect(one('date', new Date('1969-12-31'), mode)).toBe(-1)
    expect(one('date', '2024-02-29', mode)).toBe(19782)
    expect(one('timestamptz', new Date('2024-01-01T00:00:00.001Z'), mode)).toBe(1704067200001000n)
    expect(one('timestamp', '2024-01-01 00:00:00.000001', mode)).toBe(1704067200000001n)
    expect(one('uuid', '00000000-0000-0000-0000-0000000000ff', mode)).toBe('00000000-0000-0000-0000-0000000000ff')
    const interval = { months: 1, days: -2, micros: 3n }
    expect(one('interval', interval, mode)).toEqual(interval)
    expect(one('json', { a: [1, 'x', null] }, mode)).toBe('{"a":[1,"x",null]}')
    expect(one('json', '{"a": 1}', mode)).toBe('{"a": 1}')
    expect(one('int32', null, mode)).toBeNull()
    expect(one('utf8', undefined, mode)).toBeNull()
    expect(assembled(assembler({ a: 'int32', toString: 'utf8' }, mode), [{}])).toEqual([[null, null]])
  })

  test.each<[string, ValueInput]>([
    ['bool', 1],
    ['int8', 128],
    ['int32', 1.5],
    ['int32', NaN],
    ['uint8', -1],
    ['int64', 2 ** 53],
    ['int64', 2n ** 63n],
    ['uint64', -1n],
    ['float64', 2n ** 53n + 1n],
    ['decimal(4,2)', 10000n],
    ['decimal(4,2)', 0.001],
    ['date', new Date('2024-01-01T12:00:00Z')],
    ['timestamp', new Date(NaN)],
    ['timestamp', 5],
    ['utf8', 5],
    ['utf8', '\ud800'],
    ['utf8', `${'x'.repeat(30)}\ud800`],
    ['binary', 'text'],
    ['uuid', 'not a uuid'],
    ['json', '{'],
    ['json', { a: 1n }],
    ['json', { a: NaN }],
    ['interval', { months: 1.5, days: 0, micros: 0n }],
    ['int32!', null],
  ])('refuses what %s would change, and names row and column: %s', (type, value) => {
    const into = assembler({ id: 'int32', x: type, text: 'utf8' }, mode)
    const good = type.endsWith('!') ? { x: 1 } : {}
    into.add({ id: 1, ...good, text: 'before' })
    expect(() => into.add({ id: 2, x: value, text: 'lost' })).toThrow(/^Row 2, column "x": /)
    expect(into.rows).toBe(1)
    into.add({ id: 3, ...good, text: 'after' })
    const batch = into.take()
    expect(batch && valuesOf(batch).map(([id, , text]) => [id, text])).toEqual([
      [1, 'before'],
      [3, 'after'],
    ])
    expect(batch?.place(1)).toBe('row 2')
    batch?.release()
  })

  test('refuses a name that is no column', () => {
    const into = assembler({ id: 'int32' }, mode)
    expect(() => into.add({ id: 1, extra: 2 })).toThrow('Row 1, column "extra": there is no such column.')
    expect(into.take()).toBeUndefined()
  })

  test('keeps every value of every row, however they are cut into batches', () => {
    const row = fc.record(
      {
        i: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
        f: fc.option(fc.double({ noNaN: true })),
        t: fc.option(fc.oneof(fc.constantFrom('a', 'b', ''), fc.string({ unit: 'grapheme' }))),
        b: fc.option(fc.boolean()),
        y: fc.option(fc.uint8Array()),
      },
      { requiredKeys: [] },
    )
    const columns = { i: 'int64', f: 'float64', t: 'utf8', b: 'bool', y: 'binary' }
    fc.assert(
      fc.property(fc.array(row, { maxLength: 400 }), fc.integer({ min: 1, max: 150 }), (rows, limit) => {
        const into = assembler(columns, mode, { limits: { rows: limit, bytes: 5000 } })
        const expected = rows.map(({ i, f, t, b, y }) => [i, f, t, b, y].map((value) => value ?? null))
        expect(assembled(into, rows)).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  test('gives every buffer and record back', () => {
    const [pool, records] = [new BufferPool(2 ** 30), new RecordPool()]
    const into = assembler({ id: 'int32', text: 'utf8', n: 'numeric' }, mode, { pool, records })
    for (let i = 0; i < 1000; i++) into.add({ id: i, text: `text ${i}`, n: i })
    const batch = into.take()
    batch?.column(1)
    batch?.release()
    into.add({ id: 1 })
    expect(() => into.add({ id: 'x' })).toThrow('Row 1002')
    into.free()
    expect(pool.statistics.used).toBe(0)
    expect(records.statistics.lent).toBe(0)
    expect(() => batch?.record(0).get('id')).toThrow('released')
    expect(() => batch?.release()).toThrow('released')
  })

  test('copies records, and what a batch has', () => {
    const pool = new RecordPool()
    const record = pool.get()
    record.setData('id', 7)
    const into = assembler({ id: 'int32' }, mode)
    into.add(record)
    record.release()
    const batch = into.take('behind 7')
    expect(batch?.position).toBe('behind 7')
    const again = assembler({ id: 'int32' }, mode)
    again.add(batch?.record(0) ?? {})
    batch?.release()
    const copy = again.take()
    expect(copy && valuesOf(copy)).toEqual([[7]])
    copy?.release()
  })

  test('ends a batch at its bytes', () => {
    const into = assembler({ text: 'utf8' }, mode, { limits: { rows: 1000, bytes: 10_000 } })
    let rows = 0
    while (!into.isReady) into.add({ text: `${rows++}`.padEnd(1000, 'x') })
    expect(rows).toBe(10)
    expect(() => into.add({ text: '' })).toThrow('complete')
  })
})

describe('documents, which need not fit the schema', () => {
  const documents: RowObject[] = [{ id: 1 }, { id: 'a text', more: [1, { deep: null }] }, { id: 3, other: 1 }]

  test.each(MODES)('are kept as they are: %s', (mode) => {
    const into = assembler({ id: 'int32' }, mode, { open: true })
    const seen: unknown[] = []
    const drain = (): void => {
      const batch = into.take()
      for (let row = 0; row < (batch?.rows ?? 0); row++) seen.push(batch?.record(row).data)
      batch?.release()
    }
    for (const row of documents) {
      into.add(row)
      while (into.isReady) drain()
    }
    drain()
    expect(seen).toEqual(documents)
  })

  test('a column is built of those that fit, and names the one that does not', () => {
    const into = assembler({ id: 'int32' }, 'row', { open: true })
    for (const row of documents) into.add(row)
    const batch = into.take()
    expect(() => batch?.column(0)).toThrow('row 2, column "id": the value is no int32.')
    batch?.release()
  })

  test('hybrid goes on in columns while they fit, and in records from the first that does not', () => {
    const into = assembler({ id: 'int32' }, 'hybrid', { open: true })
    for (let i = 0; i < 100; i++) into.add({ id: i })
    into.add({ id: 'x' })
    expect(into.isReady).toBe(true)
    const columns = into.take()
    expect(columns?.rows).toBe(100)
    for (let i = 0; i < 100; i++) into.add({ id: i })
    const rows = into.take()
    expect(rows?.rows).toBe(101)
    // A record of the batch itself, not a view that is made each time.
    expect(rows?.record(5)).toBe(rows?.record(5))
    expect(columns?.record(5)).not.toBe(columns?.record(5))
    columns?.release()
    rows?.release()
  })
})

describe('hybrid', () => {
  const layoutOf = (texts: Iterable<string | null>, rows = 2_000_000): { layout?: string; values: Value[] } => {
    const into = assembler({ text: 'utf8' }, 'hybrid', { limits: { rows, bytes: 2 ** 30 } })
    for (const text of texts) into.add({ text })
    const batch = into.take()
    const column = batch?.column(0)
    const values = column ? Array.from({ length: column.length }, (_, row) => valueAt(column, row)) : []
    batch?.release()
    return { ...(column ? { layout: column.layout } : {}), values }
  }

  test('keeps few rows as records, and more in columns', () => {
    const into = assembler({ id: 'int32' }, 'hybrid')
    for (let i = 0; i < 63; i++) into.add({ id: i })
    const few = into.take()
    expect(few?.record(1)).toBe(few?.record(1))
    for (let i = 0; i < 64; i++) into.add({ id: i })
    const more = into.take()
    expect(more?.record(1)).not.toBe(more?.record(1))
    few?.release()
    more?.release()
  })

  test('makes a dictionary of texts that repeat, and only then', () => {
    const repeating = Array.from({ length: 10_000 }, (_, i) => (i % 10 === 0 ? null : `status ${i % 7}`))
    expect(layoutOf(repeating)).toEqual({ layout: 'dictionary', values: repeating })
    const distinct = Array.from({ length: 10_000 }, (_, i) => `text ${i}`)
    expect(layoutOf(distinct)).toEqual({ layout: 'bytes', values: distinct })
    const few = Array.from({ length: 100 }, (_, i) => `text ${i % 50}`)
    expect(layoutOf(few)).toEqual({ layout: 'bytes', values: few })
    const nulls = Array.from({ length: 100 }, () => null)
    expect(layoutOf(nulls)).toEqual({ layout: 'bytes', values: nulls })
    // Alike at first.
    const late = Array.from({ length: 20_000 }, (_, i) => (i < 10_000 ? 'same' : `text ${i}`))
    expect(layoutOf(late)).toEqual({ layout: 'bytes', values: late })
  })

  test('other modes make none', () => {
    const into = assembler({ text: 'utf8' }, 'columnar')
    for (let i = 0; i < 1000; i++) into.add({ text: 'same' })
    expect(into.take()?.column(0).layout).toBe('bytes')
  })

  test('takes a million distinct texts in one batch', () => {
    const { layout, values } = layoutOf(
      (function* () {
        for (let i = 0; i < 1_000_000; i++) yield `text ${i}`
      })(),
    )
    expect([layout, values.length, new Set(values).size]).toEqual(['bytes', 1_000_000, 1_000_000])
  })
})
