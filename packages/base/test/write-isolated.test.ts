import type { RecordBatch, Writer } from '@nebula/core'
import { createBatch, NebulaError } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { writeIsolated } from '../src/index.ts'

const batch = (rows: number): RecordBatch =>
  createBatch({ stream: 'orders', schema: { fields: [] }, rows, columns: [], place: (row) => `line ${row}` })

/** A writer that refuses a range when one of `bad` is in it, and keeps what it took. */
function refusing(
  bad: readonly number[],
  error = (): unknown => new NebulaError('row_rejected', { message: 'one of them' }),
): { writer: Writer; taken: number[]; calls: number } {
  const result = {
    taken: [] as number[],
    calls: 0,
    writer: {
      async write(_: RecordBatch, from: number, to: number) {
        result.calls++
        const rows = Array.from({ length: to - from }, (_row, i) => from + i)
        if (rows.some((row) => bad.includes(row))) throw error()
        result.taken.push(...rows)
        return []
      },
      async commit() {},
      async abort() {},
    },
  }
  return result
}

describe('writeIsolated', () => {
  test.each([
    [8, []],
    [8, [0]],
    [8, [7]],
    [9, [4]],
    [10, [2, 3, 9]],
    [3, [0, 1, 2]],
    [1, [0]],
  ])('of %i rows finds %j', async (rows, bad) => {
    const { writer, taken } = refusing(bad)
    const rejected = await writeIsolated(writer, batch(rows), 0, rows)
    expect(rejected.map(({ row }) => row)).toEqual(bad)
    expect(taken).toEqual(Array.from({ length: rows }, (_, i) => i).filter((row) => !bad.includes(row)))
    expect(rejected.map(({ place, code, reason }) => [place, code, reason])).toEqual(
      bad.map((row) => [`line ${row}`, 'row_rejected', 'one of them']),
    )
  })

  test('asks about logarithmically often', async () => {
    const result = refusing([700])
    await writeIsolated(result.writer, batch(1024), 0, 1024)
    expect(result.calls).toBe(21)
  })

  test('takes a whole batch in one call, and none for no rows', async () => {
    const result = refusing([])
    await writeIsolated(result.writer, batch(100), 0, 100)
    expect(result.calls).toBe(1)
    expect(await writeIsolated(result.writer, batch(0), 0, 0)).toEqual([])
    expect(result.calls).toBe(1)
  })

  test('passes on what the writer names itself', async () => {
    const named = [{ row: 3, code: 'refused', reason: 'a constraint', place: 'line 3' }]
    const writer: Writer = { write: async () => named, async commit() {}, async abort() {} }
    expect(await writeIsolated(writer, batch(5), 0, 5)).toBe(named)
  })

  test('another error is no refusal', async () => {
    const { writer } = refusing([2], () => new NebulaError('connection_lost', { message: 'gone' }))
    await expect(writeIsolated(writer, batch(5), 0, 5)).rejects.toMatchObject({ code: 'connection_lost' })
  })
})
