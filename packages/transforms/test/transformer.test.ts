import { hash } from 'node:crypto'
import type { LogicalType, RecordBatch } from '@nebula/core'
import { BufferPool, createBatch, utf8 } from '@nebula/core'
import { afterEach, describe, expect, test } from 'vitest'
import type { ColumnSteps } from '../src/steps.ts'
import { Transformer } from '../src/transformer.ts'
import { columnTexts, FACTS, textBatch, typed } from './batches.ts'

const pool = new BufferPool(1_000_000)
const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
  if (pool.statistics.used !== 0) throw new Error(`${pool.statistics.used} bytes were not given back`)
})

function batchOf(content: Record<string, (string | null)[]>, more: Parameters<typeof textBatch>[2] = {}): RecordBatch {
  const { batch, free } = textBatch(content, pool, more)
  cleanups.push(free)
  return batch
}

const cast = (name: string): ColumnSteps => [{ kind: 'cast', type: typed(name) }]
const MASK: ColumnSteps = [{ kind: 'sha256' }]

/** Over columns that keep their places, named as in `batchOf`. */
function transformer(steps: readonly ColumnSteps[], types: readonly LogicalType[], own = pool): Transformer {
  const fields = types.map((type, i) => ({ name: `c${i}`, type, nullable: true }))
  const names = ['a', 'b', 'c', 'd']
  const readSchema = { fields: fields.map((f, i) => ({ ...f, name: names[i] as string })) }
  const transform = { origins: steps.map((_, i) => i), steps }
  const made = new Transformer({
    transform,
    readSchema,
    writeSchema: { fields },
    facts: FACTS,
    code: undefined,
    pool: own,
  })
  cleanups.push(() => made.free())
  return made
}

const columnsOf = (batch: RecordBatch): (string | null)[][] =>
  batch.schema.fields.map((_, index) => columnTexts(batch.column(index)))
const sha256 = (text: string | Uint8Array): string => hash('sha256', text, 'hex')

describe('Transformer', () => {
  test('casts columns and passes the others', () => {
    const batch = batchOf({ 'a utf8': ['1', null, '-3'], 'b utf8': ['x', 'y', null] }, { position: { row: 3 } })
    const ready = transformer([cast('int64'), []], [typed('int64'), utf8]).apply(batch)
    expect(columnsOf(ready)).toEqual([
      ['1', null, '-3'],
      ['x', 'y', null],
    ])
    expect(ready.column(0).type).toEqual(typed('int64'))
    expect(ready.column(1)).toBe(batch.column(1))
    expect(ready).toMatchObject({ stream: 'people', rows: 3, position: { row: 3 }, rejected: [] })
    expect(ready.place(2)).toBe('line 4')
  })

  test('leaves columns without steps in their wire rows, and takes rows that do not fit out of those', () => {
    const wire = { format: 'letters', offsets: Int32Array.of(0, 1, 3, 6), data: Buffer.from('abbccc') }
    const content = batchOf({ 'a utf8': ['1', 'x', '3'], 'b utf8': ['p', 'q', 'r'] })
    const asked: boolean[] = []
    const columns = (all: boolean) => (asked.push(all), [content.column(0), all ? content.column(1) : undefined])
    const batch = createBatch({ stream: 'people', schema: content.schema, rows: 3, wire, columns })
    const ready = transformer([cast('int64'), []], [typed('int64'), utf8]).apply(batch)
    expect(ready.wire).toEqual({
      format: 'letters',
      offsets: Int32Array.of(0, 1, 4),
      data: new Uint8Array(Buffer.from('accc')),
    })
    expect(columnTexts(ready.column(0))).toEqual(['1', '3'])
    expect(ready.rejected.map(({ column }) => column)).toEqual(['a'])
    const fitting = transformer([cast('utf8'), []], [utf8, utf8]).apply(batch)
    expect(fitting.wire).toBe(wire)
    // The letter of the rejected row has needed the other column, once.
    expect(asked).toEqual([false, true])
    expect(columnTexts(fitting.column(1))).toEqual(['p', 'q', 'r'])
  })

  test('takes rows that do not fit out of every column, in order', () => {
    const batch = batchOf({
      'a int64': ['1', '2', '3', '4'],
      'b utf8': ['10', 'ten', '30', '40'],
      'c utf8': ['x', '2', '3', '4'],
      'd bool': ['true', 'false', null, 'true'],
    })
    const ready = transformer(
      [[], cast('int32'), cast('int32'), []],
      [typed('int64'), typed('int32'), typed('int32'), typed('bool')],
    ).apply(batch)
    expect(columnsOf(ready)).toEqual([
      ['3', '4'],
      ['30', '40'],
      ['3', '4'],
      [null, 'true'],
    ])
    expect(ready.rows).toBe(2)
    expect(ready.place(0)).toBe('line 4')
    expect(ready.rejected.map(({ place, column, code, reason }) => [place, column, code, reason])).toEqual([
      ['line 2', 'c', 'value_invalid', 'the value of "c" does not fit int32'],
      ['line 3', 'b', 'value_invalid', 'the value of "b" does not fit int32'],
    ])
    expect(ready.rejected.map(({ values }) => values)).toEqual([
      { a: '1', b: '10', c: 'x', d: 'true' },
      { a: '2', b: 'ten', c: '2', d: 'false' },
    ])
  })

  test('a row with two faults is one rejection', () => {
    const ready = transformer([cast('int32'), cast('bool')], [typed('int32'), typed('bool')]).apply(
      batchOf({ 'a utf8': ['x', '1'], 'b utf8': ['y', 't'] }),
    )
    expect(ready.rejected).toHaveLength(1)
    expect(ready.rejected[0]).toMatchObject({ column: 'a' })
    expect(columnsOf(ready)).toEqual([['1'], ['true']])
  })

  test('a batch of which no row fits is empty', () => {
    const ready = transformer([cast('int32')], [typed('int32')]).apply(batchOf({ 'a utf8': ['x', 'y'] }))
    expect(ready.rows).toBe(0)
    expect(columnsOf(ready)).toEqual([[]])
    expect(ready.rejected).toHaveLength(2)
  })

  test('steps follow each other, and the one that does not fit is named', () => {
    const steps: ColumnSteps = [
      { kind: 'cast', type: typed('int32') },
      { kind: 'cast', type: utf8 },
    ]
    const ready = transformer([steps], [utf8]).apply(batchOf({ 'a float64': ['7', '7.5', null] }))
    expect(columnsOf(ready)).toEqual([['7', null]])
    expect(ready.rejected).toMatchObject([{ reason: 'the value of "a" does not fit int32' }])
  })

  test.each<[string, string, Uint8Array | string]>([
    ['utf8', 'Grüße', 'Grüße'],
    ['utf8', '', ''],
    ['utf8', 'x'.repeat(55), 'x'.repeat(55)],
    ['utf8', 'ü'.repeat(28), 'ü'.repeat(28)],
    ['utf8', 'x'.repeat(5000), 'x'.repeat(5000)],
    ['int64', '9007199254740993', '9007199254740993'],
    ['bool', 'true', 'true'],
    ['decimal(10,2)', '1.50', '1.50'],
    ['timestamptz', '2024-02-29 12:00:00+00', '2024-02-29 12:00:00+00'],
    ['binary', '\\x00ff', Uint8Array.of(0, 255)],
  ])('masks %s %j by the SHA-256 of its text or bytes', (type, text, hashed) => {
    const ready = transformer([MASK], [utf8]).apply(batchOf({ [`a ${type}`]: [text, null] }))
    expect(columnsOf(ready)).toEqual([[sha256(hashed), null]])
  })

  test('masks what a builder kept of a larger batch before', () => {
    const mask = transformer([MASK], [utf8])
    mask.apply(batchOf({ 'a utf8': ['one', 'two', 'three'] })).release()
    expect(columnsOf(mask.apply(batchOf({ 'a utf8': [null, 'four'] })))).toEqual([[null, sha256('four')]])
  })

  test('nothing that is masked is in a rejection, whoever made it', () => {
    const rejected = [{ code: 'row_invalid', reason: 'ragged', place: 'line 9', raw: Buffer.from('secret,1') }]
    const batch = batchOf({ 'a utf8': ['secret', 'other'], 'b utf8': ['x', '2'] }, { rejected })
    const ready = transformer([MASK, cast('int32')], [utf8, typed('int32')]).apply(batch)
    expect(ready.rejected[0]).toEqual({ code: 'row_invalid', reason: 'ragged', place: 'line 9' })
    expect(ready.rejected[1]).toMatchObject({ values: { a: sha256('secret'), b: 'x' }, masked: ['a'] })
  })

  test('without masks the row of a rejection stays', () => {
    const rejected = [{ code: 'row_invalid', reason: 'ragged', place: 'line 9', raw: Buffer.from('plain,1') }]
    const ready = transformer([cast('int32')], [typed('int32')]).apply(batchOf({ 'a utf8': ['1'] }, { rejected }))
    expect(ready.rejected).toEqual(rejected)
  })

  test('keeps no buffers for the next batch when memory is short: its source waits for them', () => {
    const small = new BufferPool(20_000)
    const made = transformer([cast('json')], [typed('json')], small)
    const apply = (length: number): number => {
      made.apply(batchOf({ 'a utf8': [`"${'x'.repeat(length)}"`] })).release()
      return small.statistics.used
    }
    expect(apply(100)).toBeGreaterThan(0)
    expect(apply(30_000)).toBe(0)
    expect(apply(100)).toBeGreaterThan(0)
    made.free()
    expect(small.statistics.used).toBe(0)
  })

  test('a type without a column of its own is no step', () => {
    const list: LogicalType = { kind: 'list', element: utf8 }
    expect(() => transformer([[{ kind: 'cast', type: list }]], [list])).toThrow(
      expect.objectContaining({ code: 'unsupported' }),
    )
  })
})
