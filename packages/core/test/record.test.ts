import { describe, expect, test } from 'vitest'
import type { Schema } from '../src/index.ts'
import { createBatch, RecordPool, utf8 } from '../src/index.ts'
import { columnOf } from './columns.ts'

const released = expect.objectContaining({ code: 'released' })

describe('a record of a pool', () => {
  test('holds data and metadata', () => {
    const record = new RecordPool().get()
    expect(record.size).toBe(0)
    record.setData('id', 7n)
    record.setData('name', null)
    expect(record.get('id')).toBe(7n)
    expect(record.get('name')).toBeNull()
    expect(record.get('other')).toBeUndefined()
    expect(record.data).toEqual({ id: 7n, name: null })
    expect(record.size).toBe(2)
    expect(record.typeOf('id')).toBeUndefined()
    expect(record.metadata).toEqual({ source: '', timestamp: 0 })
    record.setMetadata('source', 'orders')
    record.setMetadata('timestamp', 1_700_000_000_000)
    record.setMetadata('offset', 12)
    expect(record.metadata.source).toBe('orders')
    expect(record.metadata.timestamp).toBe(1_700_000_000_000)
    expect(record.metadata['offset']).toBe(12)
  })

  test('data is a copy', () => {
    const record = new RecordPool().get()
    record.setData('a', 1)
    record.data['a'] = 2
    expect(record.get('a')).toBe(1)
  })

  test('every use after release throws', () => {
    const record = new RecordPool().get()
    record.release()
    expect(() => record.get('a')).toThrow(released)
    expect(() => record.setData('a', 1)).toThrow(released)
    expect(() => record.data).toThrow(released)
    expect(() => record.metadata).toThrow(released)
    expect(() => record.setMetadata('a', 1)).toThrow(released)
    expect(() => record.size).toThrow(released)
    expect(() => record.typeOf('a')).toThrow(released)
    expect(() => record.release()).toThrow(released)
  })

  test('is reused, and empty then', () => {
    const pool = new RecordPool()
    const record = pool.get()
    record.setData('a', 1)
    record.setMetadata('source', 's')
    record.setMetadata('extra', true)
    record.release()
    const again = pool.get()
    expect(again).toBe(record)
    expect(again.data).toEqual({})
    expect(again.metadata).toEqual({ source: '', timestamp: 0 })
    expect(pool.statistics).toEqual({ lent: 1, idle: 0, hits: 1, misses: 1 })
  })

  test('a pool keeps no more than its capacity', () => {
    const pool = new RecordPool(2)
    const records = Array.from({ length: 5 }, () => pool.get())
    expect(pool.statistics).toEqual({ lent: 5, idle: 0, hits: 0, misses: 5 })
    for (const record of records) record.release()
    expect(pool.statistics).toMatchObject({ lent: 0, idle: 2 })
  })
})

describe('a view of a batch', () => {
  const schema: Schema = {
    fields: [
      { name: 'id', type: { kind: 'int64' }, nullable: false },
      { name: 'name', type: utf8, nullable: true },
    ],
  }
  const columns = [columnOf({ kind: 'int64' }, [1n, 2n ** 60n]), columnOf(utf8, ['a', null])]
  const batch = () => createBatch({ stream: 'public.users', schema, rows: 2, columns })

  test('reads the row', () => {
    const record = batch().record(1)
    expect(record.get('id')).toBe(2n ** 60n)
    expect(record.get('name')).toBeNull()
    expect(record.get('missing')).toBeUndefined()
    expect(record.data).toEqual({ id: 2n ** 60n, name: null })
    expect(record.size).toBe(2)
    expect(record.typeOf('id')).toEqual({ kind: 'int64' })
    expect(record.typeOf('missing')).toBeUndefined()
    expect(record.metadata.source).toBe('public.users')
  })

  test('is read-only, but for metadata', () => {
    const record = batch().record(0)
    expect(() => record.setData('id', 1n)).toThrow(expect.objectContaining({ code: 'lifecycle' }))
    record.setMetadata('timestamp', 5)
    expect(record.metadata.timestamp).toBe(5)
  })

  test('ends with its own release, which leaves the batch', () => {
    const one = batch()
    const record = one.record(0)
    record.release()
    expect(() => record.get('id')).toThrow(released)
    expect(one.record(0).get('id')).toBe(1n)
  })
})
