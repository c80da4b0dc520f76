import type { RunEvent, StreamProgress } from '@nebula/runtime'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { progressLine, watchRun } from '../src/progress.ts'
import { printed } from './harness.ts'

function progress(stream: string, more: Partial<StreamProgress> = {}): StreamProgress {
  const counts = {
    read: 0,
    written: 0,
    filtered: 0,
    rejected: 0,
    bytes: 0,
    durable: 0,
    sourceMs: 0,
    destinationMs: 0,
    retries: 0,
  }
  return { stream, target: stream, ...counts, partitions: 4, partitionsDone: 0, estimatedRows: undefined, ...more }
}

describe('progressLine', () => {
  test('adds up streams, and names those that are under way', () => {
    const streams = [
      progress('orders', { read: 1500, bytes: 2_000_000, partitionsDone: 1 }),
      progress('lines', { read: 500, bytes: 500_000, partitionsDone: 4 }),
    ]
    expect(progressLine(streams, 2000)).toBe('63 % of 8 partitions, 2,000 rows, 2.5 MB, 1,000 rows/s, 1.3 MB/s: orders')
  })

  test('names three of many', () => {
    expect(
      progressLine(
        ['a', 'b', 'c', 'd', 'e'].map((name) => progress(name)),
        1000,
      ),
    ).toMatch(/: a, b, c and 2 more$/)
    expect(
      progressLine(
        ['a', 'b', 'c'].map((name) => progress(name)),
        1000,
      ),
    ).toMatch(/: a, b, c$/)
  })

  test('has neither names nor partitions at the end of nothing', () => {
    expect(progressLine([], 0)).toBe('100 % of 0 partitions, 0 rows, 0 B, 0 rows/s, 0 B/s')
    expect(progressLine([progress('a', { partitionsDone: 4 })], 1000)).toMatch(/\/s$/)
  })

  test('what an interrupted run had brought does not make this one fast', () => {
    const streams = [progress('orders', { read: 1500, bytes: 3000 })]
    expect(progressLine(streams, 1000, { rows: 1400, bytes: 2000 })).toContain(
      '1,500 rows, 3.0 kB, 100 rows/s, 1.0 kB/s',
    )
  })
})

describe('watchRun', () => {
  const planned = (more: object = {}): RunEvent =>
    ({
      kind: 'planned',
      prepared: { restarted: [], resumed: false, ...more },
      progress: () => [progress('orders')],
    }) as unknown as RunEvent
  const ended: RunEvent = {
    kind: 'stream',
    progress: progress('orders', { target: 'o', written: 1234 }),
    status: 'done',
  }

  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  /** What is written to stderr while `action` uses a view; `columns` makes it a terminal. */
  async function seen(action: (view: ReturnType<typeof watchRun>) => void, columns?: number): Promise<string> {
    const { isTTY, columns: before } = process.stderr
    Object.assign(process.stderr, { isTTY: columns !== undefined, columns: columns ?? before })
    try {
      const { stdout, stderr } = await printed(() => {
        action(watchRun({ quiet: false }))
        return 0
      })
      expect(stdout).toBe('')
      return stderr
    } finally {
      Object.assign(process.stderr, { isTTY, columns: before })
    }
  }

  test('a log gets a line for each stream and one now and then, without control characters', async () => {
    const text = await seen((view) => {
      view.onEvent(planned({ resumed: true, restarted: [{ stream: 'lines', reason: 'its columns changed' }] }))
      vi.advanceTimersByTime(25_000)
      view.onEvent(ended)
      view.end()
      vi.advanceTimersByTime(25_000)
    })
    expect(text.split('\n')).toEqual([
      'lines begins again: its columns changed',
      'going on with an interrupted run',
      expect.stringMatching(/^0 % of 4 partitions/) as unknown,
      expect.stringMatching(/^0 % of 4 partitions/) as unknown,
      'orders -> o: done, 1,234 rows',
      '',
    ])
  })

  test('a terminal gets lines that change, cut to its width, and cleared at the end', async () => {
    const text = await seen((view) => {
      view.onEvent(planned())
      vi.advanceTimersByTime(400)
      view.onEvent(ended)
      view.end()
      view.end()
    }, 20)
    const line = '0 % of 4 partition…\n'
    expect(text.replaceAll('\u001B', '^')).toBe(`${line}^[1A^[J${line}^[1A^[Jorders -> o: done, 1,234 rows\n`)
  })

  test('another line does not tear what is drawn', async () => {
    const text = await seen((view) => {
      view.onEvent(planned())
      vi.advanceTimersByTime(200)
      view.say('a warning')
      view.end()
    }, 20)
    expect(text.replaceAll('\u001B', '^')).toBe('0 % of 4 partition…\n^[1A^[Ja warning\n')
  })

  test('--quiet shows nothing', async () => {
    const { stderr } = await printed(() => {
      const view = watchRun({ quiet: true })
      view.onEvent(planned())
      view.onEvent(ended)
      view.end()
      return 0
    })
    expect(stderr).toBe('')
    expect(vi.getTimerCount()).toBe(0)
  })
})
