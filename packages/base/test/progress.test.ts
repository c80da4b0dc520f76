import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunProgress, StreamProgress } from '../src/index.ts'
import { History, readProgress, writeProgress } from '../src/index.ts'

function progress(read: number): StreamProgress {
  const counts = { read, written: read, filtered: 0, rejected: 0, bytes: read * 10, durable: read - 1 }
  const waits = { sourceMs: read * 2 + 0.4, destinationMs: read * 3, retries: 0 }
  return { stream: 's', target: 's', ...counts, ...waits, partitions: 1, partitionsDone: 0, estimatedRows: undefined }
}

describe('History', () => {
  test('keeps totals, by stream and together', () => {
    const history = new History(['a', 'b'])
    history.sample(0, [progress(1), progress(1)])
    history.sample(1000.2, [progress(10), progress(20)])
    expect(history.total).toEqual({
      ms: [0, 1000],
      rows: [2, 30],
      bytes: [20, 300],
      durable: [0, 28],
      sourceMs: [4, 60],
      destinationMs: [6, 90],
    })
    expect(history.byStream.streams.map(({ stream, rows, sourceMs }) => [stream, rows, sourceMs])).toEqual([
      ['a', [1, 10], [2, 20]],
      ['b', [1, 20], [2, 40]],
    ])
  })

  test('is bounded, even, and keeps its first and its last sample, however long it runs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 300 }), (ticks, streams) => {
        const history = new History(Array.from({ length: streams }, (_, i) => String(i)))
        for (let tick = 0; tick < ticks; tick++) history.sample(tick * 10, [progress(tick)])
        history.sample(ticks * 10, [progress(ticks)], true)
        const { ms, rows } = history.total
        expect(ms.length).toBeLessThanOrEqual(1001)
        expect(ms.length * streams).toBeLessThanOrEqual(Math.max(20_000, 60 * streams) + streams)
        expect([ms[0], ms.at(-1)]).toEqual([0, ticks * 10])
        expect(rows).toEqual(ms.map((at) => at / 10))
        const steps = new Set(ms.slice(1, -1).map((at, i) => at - (ms[i] ?? 0)))
        expect(steps.size).toBeLessThanOrEqual(1)
      }),
      // The last sample is the one by which there are too many.
      { numRuns: 30, examples: [[909, 22]] },
    )
  })
})

describe('the progress file', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nebula-progress-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const running: RunProgress = {
    version: 1,
    pid: 4,
    pipeline: 'shop',
    run: 'r1',
    status: 'running',
    startedAt: 1,
    updatedAt: 2,
    intervalMs: 1000,
    streams: [{ ...progress(3), status: 'running' }],
    history: new History(['s']).total,
  }

  test('is read as it was written, and leaves nothing beside', async () => {
    const path = join(folder, 'state', 'shop.progress.json')
    expect(await readProgress(path)).toBeUndefined()
    await mkdir(dirname(path))
    await writeProgress(path, running)
    await writeProgress(path, { ...running, status: 'done' })
    expect(await readProgress(path)).toEqual({ ...running, status: 'done' })
    expect(await readdir(join(folder, 'state'))).toEqual(['shop.progress.json'])
  })

  test('of a newer version is refused', async () => {
    const path = join(folder, 'shop.progress.json')
    await writeFile(path, JSON.stringify({ ...running, version: 2 }))
    await expect(readProgress(path)).rejects.toMatchObject({ code: 'state_newer', place: path })
  })
})
