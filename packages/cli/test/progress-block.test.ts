import type { StreamProgress } from '@nebula/runtime'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BlockInput } from '../src/progress-block.ts'
import { progressBlock } from '../src/progress-block.ts'
import { textWidth } from '../src/style.ts'

function stream(name: string, more: Partial<StreamProgress> = {}): StreamProgress {
  const counts = { read: 5000, written: 5000, filtered: 0, rejected: 0, bytes: 2_000_000, durable: 0 }
  const waits = { sourceMs: 0, destinationMs: 0, retries: 0, partitions: 4, partitionsDone: 0 }
  return { stream: name, target: name, ...counts, ...waits, estimatedRows: undefined, ...more }
}

function block(streams: StreamProgress[], more: Partial<BlockInput> = {}): string[] {
  const before = streams.map((s) => ({ ...s, read: 0, bytes: 0, sourceMs: 0, destinationMs: 0 }))
  return progressBlock({
    streams,
    before,
    last: before,
    elapsedMs: 1000,
    total: 'all',
    columns: 120,
    rows: 24,
    ...more,
  })
}

describe('progressBlock', () => {
  test('is a bar with what is left where the size is known, and a counter where not', () => {
    const waits = { sourceMs: 10, destinationMs: 30 }
    expect(block([stream('orders', { estimatedRows: 20_000, ...waits }), stream('log', { sourceMs: 5 })])).toEqual([
      'orders  ████░░░░░░░░░░░░  25 %  5,000 rows  5,000 rows/s  2.0 MB/s  3 s left  waits for the destination',
      `log   ${' '.repeat(24)}  5,000 rows  5,000 rows/s  2.0 MB/s  waits for the source`,
      'all',
    ])
  })

  test('partitions tell how far it is where nobody knows the rows', () => {
    expect(block([stream('log', { partitionsDone: 1 })])[0]).toContain('████░░░░░░░░░░░░  25 %')
  })

  test('shows only streams under way, and a few of many', () => {
    const many = Array.from({ length: 50 }, (_, i) => stream(`s${i}`))
    const ended = stream('ended', { partitionsDone: 4 })
    const waiting = stream('waiting', { read: 0 })
    expect(block([ended, waiting, stream('now')]).map((line) => line.split(' ')[0])).toEqual(['now', 'all'])
    expect(block(many)).toHaveLength(9)
    expect(block(many, { rows: 6 })).toHaveLength(4)
    expect(block(many, { rows: 1 })).toHaveLength(2)
  })

  test('fits any terminal, whatever streams are called, and passes no control character', () => {
    const letters = fc.constantFrom(
      'a',
      'é',
      ' ',
      '受',
      '🙂',
      '\u001B',
      '\n',
      '\u0000',
      '\u009B',
      '\uD800',
      '[2J',
      '$&',
    )
    const name = fc.array(letters, { maxLength: 40 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.array(name, { maxLength: 12 }), fc.integer({ min: 1, max: 150 }), (names, columns) => {
        const streams = names.map((text, i) => stream(text, i % 2 === 0 ? { estimatedRows: 20_000 } : {}))
        const lines = block(streams, { columns })
        const torn = lines.filter((line) => textWidth(line) > Math.max(1, columns - 1) || /\p{Cc}/u.test(line))
        expect(torn).toEqual([])
      }),
      { numRuns: 30 },
    )
  })
})
