import { StreamMeter } from '@nebula/base'
import { NebulaError } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import type { Report, RunFacts, StreamOutcome } from '../src/report.ts'
import { createReport } from '../src/report.ts'

const facts: RunFacts = {
  pipeline: 'shop',
  run: 'r1',
  resumed: false,
  restarted: [],
  startedAt: Date.UTC(2026, 0, 1),
  endedAt: Date.UTC(2026, 0, 1) + 2000,
  cpu: { user: 400_000, system: 100_000 },
  history: { ms: [], streams: [] },
  deadLetters: undefined,
}

function outcome(name: string, more: Partial<StreamOutcome> & { read?: number } = {}): StreamOutcome {
  const { read = 0, ...rest } = more
  const meter = new StreamMeter(name, name, 1, undefined)
  const counts = { read, written: read, filtered: 0, rejected: 0, bytes: read * 10 }
  meter.moved(counts)
  meter.committed(counts)
  return {
    meter,
    mode: 'overwrite',
    status: 'done',
    resumed: 0,
    lossy: [],
    error: undefined,
    deleted: undefined,
    over: true,
    ...rest,
  }
}

const failed = (code: 'row_rejected' | 'connection_lost'): Partial<StreamOutcome> => ({
  status: 'failed',
  error: new NebulaError(code, { message: 'it failed', fix: 'mend it', place: 'line 3' }),
})

describe('createReport', () => {
  test('counts rows of this process, per second and per second of CPU', () => {
    expect(createReport(facts, [outcome('a', { read: 700, resumed: 200 }), outcome('b', { read: 500 })])).toMatchObject(
      {
        startedAt: '2026-01-01T00:00:00.000Z',
        seconds: 2,
        rows: 1000,
        rowsPerSecond: 500,
        cpuSeconds: 0.5,
        rowsPerCpuSecond: 2000,
        status: 'done',
        exitCode: 0,
      },
    )
  })

  test.each<[string, Partial<StreamOutcome>[], string | undefined, [Report['status'], number]]>([
    ['all streams done', [{}, {}], undefined, ['done', 0]],
    ['nothing to do', [{ status: 'finished_before' }], undefined, ['done', 0]],
    ['rows kept as dead letters', [{}, {}], '/letters', ['partial', 5]],
    ['one of two failed', [{}, failed('connection_lost')], undefined, ['partial', 5]],
    [
      'one failed, one finished before',
      [{ status: 'finished_before' }, failed('connection_lost')],
      undefined,
      ['partial', 5],
    ],
    ['the only one failed for its data', [failed('row_rejected')], undefined, ['failed', 4]],
    [
      'the first failed for its connection',
      [failed('connection_lost'), failed('row_rejected')],
      undefined,
      ['failed', 3],
    ],
    ['failed, the other one stopped', [{ status: 'interrupted' }, failed('row_rejected')], undefined, ['failed', 4]],
    ['interrupted', [{}, { status: 'interrupted' }], undefined, ['interrupted', 130]],
    ['interrupted with dead letters', [{ status: 'interrupted' }], '/letters', ['interrupted', 130]],
  ])('%s', (_, outcomes, deadLetters, [status, exitCode]) => {
    const report = createReport(
      { ...facts, deadLetters },
      outcomes.map((more, i) => outcome(`s${i}`, more)),
    )
    expect(report).toMatchObject({ status, exitCode })
    expect(report.deadLetters).toBe(deadLetters)
  })

  test('an error is told without its stack and cause', () => {
    const [stream] = createReport(facts, [outcome('a', failed('row_rejected'))]).streams
    expect(stream?.error).toEqual({ code: 'row_rejected', message: 'it failed', fix: 'mend it', place: 'line 3' })
    expect(createReport(facts, [outcome('a')]).streams[0]).not.toHaveProperty('error')
  })

  test('takes no time for infinite speed', () => {
    const report = createReport({ ...facts, endedAt: facts.startedAt, cpu: { user: 0, system: 0 } }, [
      outcome('a', { read: 5 }),
    ])
    expect(report).toMatchObject({ seconds: 0, rowsPerSecond: 5000, rowsPerCpuSecond: 5000 })
  })
})
