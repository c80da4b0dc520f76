import { BufferPool } from '@nebula/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FramerOptions } from '../src/index.ts'
import { BINARY_HEADER, CopyFramer } from '../src/index.ts'

type Format = FramerOptions['format']
type Limits = FramerOptions['limits']

function frame(type: string, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(payload.length + 4, 1)
  return Buffer.concat([head, payload])
}

/** One field per row. */
function tuple(value: Uint8Array): Buffer {
  const head = Buffer.alloc(6)
  head.writeInt16BE(1, 0)
  head.writeInt32BE(value.length, 2)
  return Buffer.concat([head, value])
}

const NOTICE = frame('N', Buffer.from('SNOTICE\0\0'))
const DONE = frame('c', Buffer.alloc(0))
const ROOMY: Limits = { rows: 10, bytes: 1000 }

/** The messages of a copy, and its rows as they are to be framed; a binary one has its header alone or with a row. */
function copy(
  format: Format,
  values: readonly Uint8Array[],
  headAlone: boolean,
): { messages: Buffer[]; rows: Buffer[] } {
  if (format !== 'binary') {
    const messages = values.map((value) => frame('d', value))
    return { messages, rows: format === 'csv' ? values.map((value) => Buffer.from(value)) : messages }
  }
  const payloads = [...values.map((value) => tuple(value)), Buffer.from([0xff, 0xff])]
  const head = headAlone ? BINARY_HEADER : Buffer.concat([BINARY_HEADER, payloads[0] ?? BINARY_HEADER])
  const rest = headAlone ? payloads : payloads.slice(1)
  const messages = [head, ...rest].map((payload) => frame('d', payload))
  return { messages, rows: payloads.slice(0, -1).map((payload) => frame('d', payload)) }
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}

function create(format: Format, limits: Limits): { framer: CopyFramer; pool: BufferPool } {
  const pool = new BufferPool(1e9)
  return { framer: new CopyFramer({ format, columns: 1, limits, pool }), pool }
}

/** Ends the batch: its rows, copied. */
function taken(framer: CopyFramer): Buffer[] {
  const batch = framer.take()
  if (!batch) return []
  const { data, offsets, rows, release } = batch
  const all = Array.from({ length: rows }, (_, i) => Buffer.from(data.slice(offsets[i], offsets[i + 1])))
  release()
  return all
}

/** Drives a framer as a connection does. */
function collect(format: Format, limits: Limits, pieces: readonly Buffer[]): { batches: Buffer[][]; others: Buffer[] } {
  const { framer, pool } = create(format, limits)
  const batches: Buffer[][] = []
  const others: Buffer[] = []
  const next = (): void => {
    batches.push(taken(framer))
    framer.begin()
  }
  framer.begin()
  for (const piece of pieces) {
    if (!framer.push(piece)) {
      next()
      if (!framer.push(piece)) throw new Error('An empty batch takes any piece.')
    }
    for (let found = framer.scan(); found !== 'more'; found = framer.scan()) {
      if (found === 'full') next()
      else others.push(Buffer.from(found))
    }
  }
  batches.push(taken(framer))
  expect(framer.rest()).toHaveLength(0)
  expect(pool.statistics.used).toBe(0)
  return { batches: batches.filter((batch) => batch.length > 0), others }
}

/** The naive twin: a batch ends with the row that reaches a limit. */
function batched(rows: readonly Buffer[], { rows: maxRows, bytes: maxBytes }: Limits): Buffer[][] {
  const batches: Buffer[][] = []
  let size = 0
  let batch: Buffer[] = []
  for (const row of rows) {
    if (batch.length === 0) batches.push(batch)
    batch.push(row)
    size += row.length
    if (batch.length < maxRows && size < maxBytes) continue
    batch = []
    size = 0
  }
  return batches
}

const formats = fc.constantFrom<Format>('binary', 'text', 'csv')
const sizes = (max: number) => fc.array(fc.integer({ min: 1, max }), { minLength: 1, maxLength: 5 })

describe('every cut of the stream gives the same rows', () => {
  test('in batches that end exactly at their limits, with other messages between them', () => {
    const values = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 40 })
    const limits = fc.record({ rows: fc.integer({ min: 1, max: 10 }), bytes: fc.integer({ min: 1, max: 2000 }) })
    const input = fc.record({ format: formats, values, headAlone: fc.boolean(), notices: fc.boolean() })
    fc.assert(
      fc.property(input, limits, sizes(1000), ({ format, notices, ...given }, limit, pieces) => {
        const { messages, rows } = copy(format, given.values, given.headAlone)
        const noticed = messages.flatMap((message) => (notices ? [message, NOTICE] : [message]))
        const found = collect(format, limit, cut(Buffer.concat([...noticed, DONE]), pieces))
        expect(found.batches).toEqual(batched(rows, limit))
        expect(found.others).toEqual([...(notices ? messages.map(() => NOTICE) : []), DONE])
      }),
      { numRuns: 200 },
    )
  })

  test('also of rows and pieces that are larger than the buffer', () => {
    const lengths = fc.array(fc.oneof(fc.nat(100), fc.nat(250_000)), { maxLength: 8 })
    fc.assert(
      fc.property(formats, lengths, sizes(200_000), (format, given, pieces) => {
        const { messages, rows } = copy(
          format,
          given.map((length, i) => Buffer.alloc(length, i + 1)),
          false,
        )
        const found = collect(format, ROOMY, cut(Buffer.concat(messages), [...pieces, 50_000])).batches.flat()
        expect(found.map((row) => row.length)).toEqual(rows.map((row) => row.length))
        expect(Buffer.concat(found).equals(Buffer.concat(rows))).toBe(true)
      }),
      { numRuns: 30 },
    )
  })
})

test.each([
  ['rows', { rows: 2, bytes: 1000 }],
  ['bytes', { rows: 10, bytes: 16 }],
])('a batch is full at its limit of %s, before another byte has come', (_, limits) => {
  const { framer } = create('text', limits)
  const row = frame('d', Buffer.from('abc'))
  framer.begin()
  framer.push(Buffer.concat([row, row.subarray(0, -1)]))
  expect(framer.scan()).toBe('more')
  framer.push(row.subarray(-1))
  expect(framer.scan()).toBe('full')
  expect(taken(framer)).toEqual([row, row])
})

test('what is behind the last row of a batch is in the next, before what comes meanwhile', () => {
  const { framer, pool } = create('csv', { rows: 1, bytes: 1000 })
  const bytes = Buffer.concat(['one', 'two', 'three'].map((line) => frame('d', Buffer.from(line))))
  framer.begin()
  framer.push(bytes.subarray(0, 10))
  expect(framer.scan()).toBe('full')
  expect(taken(framer)).toEqual([Buffer.from('one')])
  // Whoever has the memory next may write into it.
  const reused = pool.take(1000 + 65_536)
  pool.give(reused.fill(0xff))
  expect(framer.push(bytes.subarray(10, 13))).toBe(true)
  expect(framer.push(bytes.subarray(13))).toBe(true)
  for (const line of ['two', 'three']) {
    framer.begin()
    expect(framer.scan()).toBe('full')
    expect(taken(framer)).toEqual([Buffer.from(line)])
  }
  expect(pool.statistics.used).toBe(0)
})

test('bytes for which a batch has no room wait until it was taken', () => {
  const { framer } = create('text', ROOMY)
  const [small, large] = [frame('d', Buffer.from('a')), frame('d', Buffer.alloc(100_000, 7))]
  framer.begin()
  expect(framer.push(small)).toBe(true)
  expect(framer.scan()).toBe('more')
  expect(framer.push(large)).toBe(false)
  expect(taken(framer)).toEqual([small])
  framer.begin()
  expect(framer.push(large)).toBe(true)
  expect(framer.scan()).toBe('full')
  expect(taken(framer).map((row) => row.equals(large))).toEqual([true])
})

test('the first batch begins with a small buffer, and has as many rows as any other', () => {
  const { framer, pool } = create('text', { rows: 100, bytes: 1_000_000 })
  const row = frame('d', Buffer.alloc(50_000, 7))
  for (const first of [true, false]) {
    framer.begin()
    expect(pool.statistics.used < 200_000).toBe(first)
    for (let rows = 0; rows < 20; rows++) {
      expect(framer.scan()).toBe('more')
      expect(framer.push(row)).toBe(true)
    }
    expect(framer.scan()).toBe('full')
    expect(taken(framer).map((found) => found.equals(row))).toEqual(Array.from({ length: 20 }, () => true))
  }
  expect(pool.statistics.used).toBe(0)
})

test('one batch has the rows that lie around another message, without gaps', () => {
  const rows = ['a', 'bc'].map((text) => frame('d', Buffer.from(text)))
  const { batches, others } = collect('text', ROOMY, [Buffer.concat([...rows, NOTICE, ...rows, DONE])])
  expect(batches).toEqual([[...rows, ...rows]])
  expect(others).toEqual([NOTICE, DONE])
})

test('a file header may have an extension', () => {
  const header = Buffer.concat([BINARY_HEADER, Buffer.from('extra')])
  header.writeInt32BE(5, BINARY_HEADER.length - 4)
  const [one, two] = [tuple(Buffer.from('one')), tuple(Buffer.from('two'))]
  const pieces = [frame('d', Buffer.concat([header, one])), frame('d', two)]
  expect(collect('binary', ROOMY, pieces).batches).toEqual([[frame('d', one), frame('d', two)]])
})

test('rest gives all that is behind the last message, once', () => {
  const { framer } = create('text', ROOMY)
  framer.begin()
  framer.push(Buffer.concat([DONE, Buffer.from('for others')]))
  expect(framer.scan()).toEqual(new Uint8Array(DONE))
  expect(Buffer.from(framer.rest()).toString()).toBe('for others')
  expect(framer.rest()).toHaveLength(0)
})

test('a batch without rows is none, and its memory is given back', () => {
  const { framer, pool } = create('binary', ROOMY)
  expect(framer.take()).toBeUndefined()
  framer.begin()
  framer.push(Buffer.concat(copy('binary', [], false).messages))
  expect(framer.scan()).toBe('more')
  expect(pool.statistics.used).toBeGreaterThan(0)
  expect(framer.take()).toBeUndefined()
  expect(pool.statistics.used).toBe(0)
})

test.each([0, 2])('a tuple of %i instead of 1 fields is refused', (fields) => {
  const bytes = frame('d', Buffer.concat([BINARY_HEADER, Buffer.from([0, fields])]))
  expect(() => collect('binary', ROOMY, [bytes])).toThrow(
    expect.objectContaining({
      code: 'data_invalid',
      message: `The server sent a row of ${fields} instead of 1 fields.`,
    }),
  )
})
