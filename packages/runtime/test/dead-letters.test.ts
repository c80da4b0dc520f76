import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Column, LogicalType, StreamPlan } from '@nebula/core'
import { BufferPool, columnBuilder, createBatch, utf8 } from '@nebula/core'
import { exactValue } from '@nebula/transforms'
import { textColumn } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import type { DeadLetter } from '../src/dead-letters.ts'
import { deadLetter, DeadLetters, letterLines } from '../src/dead-letters.ts'
import { typed, useFolder } from './harness.ts'

const folder = useFolder()
const pool = new BufferPool(1_000_000)
const column = (type: string, texts: (string | null)[]): Column => textColumn(texts, columnBuilder(typed(type), pool))

describe('exactValue', () => {
  test.each([
    ['int64', '-9223372036854775808'],
    ['uint64', '18446744073709551615'],
    ['decimal(38,10)', '1234567890123456789012345678.0123456789'],
    ['float64', 'NaN'],
    ['float64', '-0'],
    ['timestamp', 'infinity'],
    ['interval', 'P1M2DT0.000003S'],
    ['binary', '\\x00ff'],
    ['utf8', 'ünï"code\n'],
  ])('%s %s is its text', (type, text) => {
    expect(exactValue(column(type, ['', text].slice(1)), 0)).toBe(text)
    expect(exactValue(column(type, [null]), 0)).toBeNull()
  })

  test('what has no text form is JSON of the texts in it', () => {
    const floats = column('float64', ['NaN', '-0', '1.5', '-Infinity'])
    const numbers = column('int64', ['9007199254740993'])
    const bytes: Column = {
      ...column('binary', ['\\x00ff']),
      type: { kind: 'native', vendor: 'postgres', type: 'tsvector' },
    }
    const list = (child: Column, end: number): Column => ({
      layout: 'list',
      type: { kind: 'list', element: child.type },
      length: 1,
      validity: null,
      offsets: Int32Array.of(0, end),
      child,
    })
    const struct: LogicalType = { kind: 'struct', fields: [{ name: 'a', type: typed('int64') }] }
    expect(exactValue(list(floats, 4), 0)).toEqual(['NaN', '-0', '1.5', '-Infinity'])
    expect(exactValue(list(numbers, 1), 0)).toEqual(['9007199254740993'])
    expect(exactValue(bytes, 0)).toBe('\\x00ff')
    expect(exactValue({ layout: 'struct', type: struct, length: 1, validity: null, children: [numbers] }, 0)).toEqual({
      a: '9007199254740993',
    })
  })
})

describe('deadLetter', () => {
  const batch = createBatch({
    stream: 'orders',
    schema: {
      fields: [
        { name: 'id', type: typed('int64'), nullable: true },
        { name: 'note', type: utf8, nullable: true },
      ],
    },
    rows: 2,
    columns: [column('int64', ['1', '9007199254740993']), column('utf8', ['a', null])],
  })
  const rejection = { code: 'refused', reason: 'a constraint', place: 'line 2' }

  test('has the values of a row of the batch, and nothing of the others', async () => {
    expect(await deadLetter(batch, { ...rejection, row: 1, column: 'id' })).toEqual({
      ...rejection,
      stream: 'orders',
      stage: 'write',
      column: 'id',
      values: { id: '9007199254740993', note: null },
    })
  })

  test('has the row as it was read where it is none of the batch, in base64 where it is no UTF-8', async () => {
    expect(await deadLetter(batch, { ...rejection, raw: Buffer.from('é,1') })).toEqual({
      ...rejection,
      stream: 'orders',
      stage: 'read',
      raw: 'é,1',
    })
    expect(await deadLetter(batch, { ...rejection, raw: Uint8Array.of(0xff, 0x41) })).toEqual({
      ...rejection,
      stream: 'orders',
      stage: 'read',
      raw_base64: '/0E=',
    })
    expect(await deadLetter(batch, rejection)).toEqual({ ...rejection, stream: 'orders', stage: 'read' })
  })

  test('has the row as it was read where a transform did not fit, and says what is masked', async () => {
    const values = { id: 'ten', email: 'ab12' }
    const origin = { path: 'a.csv', line: 3, record: 2, byte: 17 }
    const changed = { ...rejection, values, masked: ['email'], origin: async () => origin }
    const expected = { ...rejection, ...origin, stream: 'orders', stage: 'transform', values, masked: ['email'] }
    expect(await deadLetter(batch, changed)).toEqual(expected)
  })

  test('is one line', async () => {
    const letter = await deadLetter(batch, { ...rejection, raw: Buffer.from('two\nlines') })
    expect(letterLines([{ id: '1', partition: 'p', ...letter }]).split('\n')).toHaveLength(2)
  })
})

const LETTER: DeadLetter = { stream: 'a', stage: 'read', place: 'line 1', code: 'row_invalid', reason: 'ragged' }

function planOf(stream: string): StreamPlan {
  const accepted = { columns: [], ddl: [], guarantee: 'exactly_once' as const, problems: [] }
  const request = { stream, mode: 'append' as const, columns: [], key: [] }
  return { request, target: stream, schema: { fields: [] }, accepted, generation: 0 }
}

describe('DeadLetters', () => {
  const letters = (): DeadLetters => new DeadLetters(folder(), 'shop', 'r1')
  const checkpoint = (partition: string, sequence: number) => ({
    partition,
    sequence,
    done: false,
    counts: { read: 0, written: 0, filtered: 0, rejected: 0, bytes: 0 },
  })
  const files = async (): Promise<string[]> =>
    (await readdir(folder(), { recursive: true })).filter((name) => name.endsWith('.jsonl')).sort()

  test('stores nothing for nothing', async () => {
    await letters().store(planOf('orders'), 'orders:0', 1, [])
    expect(await readdir(folder())).toEqual([])
    expect(await letters().any()).toBe(false)
  })

  test('keeps what checkpoints count, and removes all else of the stream', async () => {
    for (const [stream, partition, sequence] of [
      ['a', 'p0', 1],
      ['a', 'p0', 2],
      ['a', 'p0', 3],
      ['a', 'p.1', 1],
      ['b', 'p0', 1],
    ] as const) {
      await letters().store(planOf(stream), partition, sequence, [LETTER])
    }
    await writeFile(join(letters().folder, 'a', 'p0.4.jsonl.tmp'), 'half of a li')
    await letters().keepOnly('a', [checkpoint('p0', 2)])
    expect(await files()).toEqual(
      ['a/p0.1.jsonl', 'a/p0.2.jsonl', 'b/p0.1.jsonl'].map((name) => join('shop.dead-letters', 'r1', name)),
    )
    expect(await readdir(join(letters().folder, 'a'))).toEqual(['p0.1.jsonl', 'p0.2.jsonl', 'stream.json'])
    await letters().keepOnly('b', [])
    await letters().keepOnly('none', [])
    expect(await letters().any()).toBe(true)
    await letters().keepOnly('a', [])
    expect(await letters().any()).toBe(false)
  })

  test('a folder that cannot be used is named', async () => {
    await mkdir(join(letters().folder, '..'), { recursive: true })
    await writeFile(letters().folder, 'in the way')
    await expect(letters().store(planOf('a'), 'p0', 1, [LETTER])).rejects.toMatchObject({ code: 'file_failed' })
    await expect(letters().any()).rejects.toMatchObject({ code: 'file_failed', place: letters().folder })
  })
})
