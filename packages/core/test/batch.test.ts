import { describe, expect, test, vi } from 'vitest'
import type { BatchInput, Schema } from '../src/index.ts'
import { createBatch, utf8 } from '../src/index.ts'
import { columnOf } from './columns.ts'

const schema: Schema = {
  fields: [
    { name: 'id', type: { kind: 'int32' }, nullable: false },
    { name: 'name', type: utf8, nullable: true },
  ],
}
const columns = [columnOf({ kind: 'int32' }, [1, 2]), columnOf(utf8, ['a', null])]
const input = (rest: Partial<BatchInput> = {}): BatchInput => ({ stream: 's', schema, rows: 2, columns, ...rest })
const released = expect.objectContaining({ code: 'released' })

test('gives columns, records and places', () => {
  const batch = createBatch(input({ position: { lsn: '0/1' } }))
  expect(batch).toMatchObject({ stream: 's', rows: 2, position: { lsn: '0/1' }, rejected: [] })
  expect(batch.schema).toBe(schema)
  expect(batch.column(0)).toBe(columns[0])
  expect(batch.record(1).data).toEqual({ id: 2, name: null })
  expect(batch.place(1)).toBe('row 2 of the batch')
  expect(createBatch(input({ place: (row) => `line ${row + 10}` })).place(1)).toBe('line 11')
  expect(() => batch.column(2)).toThrow(expect.objectContaining({ code: 'internal' }))
})

test('what is not there is left out', () => {
  const batch = createBatch(input())
  expect(batch.position).toBeUndefined()
  expect(batch.wire).toBeUndefined()
  expect(batch.changes).toBeUndefined()
})

test('changes and rejections are handed over', () => {
  const changes = { operations: Uint8Array.of(0, 2), unchanged: [], before: [], transactions: [] }
  const rejected = [{ code: 'value_invalid', reason: 'no number', place: 'line 3' }]
  const batch = createBatch(input({ changes, rejected }))
  expect(batch.changes).toBe(changes)
  expect(batch.rejected).toBe(rejected)
})

describe('decoding late', () => {
  test('happens once, when the first column is asked for', () => {
    const decode = vi.fn(() => columns)
    const batch = createBatch(input({ columns: decode }))
    expect(decode).not.toHaveBeenCalled()
    expect(batch.column(1)).toBe(columns[1])
    expect(batch.column(0)).toBe(columns[0])
    expect(batch.byteLength).toBeGreaterThan(0)
    expect(decode).toHaveBeenCalledTimes(1)
  })

  test('decodes all columns only when one of the others is asked for', () => {
    const decode = vi.fn((all: boolean) => (all ? columns : [columns[0], undefined]))
    const batch = createBatch(input({ columns: decode }))
    expect(batch.column(0)).toBe(columns[0])
    expect(decode.mock.calls).toEqual([[false]])
    expect(batch.column(1)).toBe(columns[1])
    expect(batch.column(0)).toBe(columns[0])
    expect(decode.mock.calls).toEqual([[false], [true]])
  })

  test('does not happen for the size of wire rows', () => {
    const wire = { format: 'lines', offsets: Int32Array.of(3, 5, 12), data: new Uint8Array(20) }
    const batch = createBatch(input({ wire, columns: () => expect.unreachable() }))
    expect(batch.byteLength).toBe(9)
    expect(batch.wire).toBe(wire)
  })
})

test('byteLength is what the columns hold', () => {
  // id: 2 * 4. name: a bitmap, 3 offsets, one byte.
  expect(createBatch(input()).byteLength).toBe(8 + 1 + 12 + 1)
})

describe('release', () => {
  test('calls back once, and use afterwards throws', () => {
    const onRelease = vi.fn()
    const batch = createBatch(input({ onRelease }))
    const record = batch.record(0)
    batch.release()
    expect(onRelease).toHaveBeenCalledTimes(1)
    expect(() => batch.column(0)).toThrow(released)
    expect(() => batch.byteLength).toThrow(released)
    expect(() => record.get('id')).toThrow(released)
    expect(() => batch.release()).toThrow(released)
    expect(onRelease).toHaveBeenCalledTimes(1)
  })

  test('without a look nothing is decoded', () => {
    createBatch(input({ columns: () => expect.unreachable() })).release()
  })
})
