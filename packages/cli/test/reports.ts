import type { Report } from '@nebula/runtime'

export type StreamReport = Report['streams'][number]

/** A stream of 1234 rows that is done. */
export function streamReport(name: string, more: Partial<StreamReport> = {}): StreamReport {
  const counts = { read: 1234, written: 1234, filtered: 0, rejected: 0, bytes: 56_789, resumed: 0 }
  const times = { waitedForSource: 1.25, waitedForDestination: 0.5, seconds: 2, rowsPerSecond: 617 }
  const base = { stream: name, target: name, mode: 'append', status: 'done' as const }
  return { ...base, ...counts, ...times, retries: 0, lossy: [], ...more }
}

/** A report of a run that is done. */
export function runReport(streams: StreamReport[], more: Partial<Report> = {}): Report {
  const times = { startedAt: '2026-01-01T00:00:00.000Z', seconds: 12.34, cpuSeconds: 3.21 }
  const sums = { rows: 1234, bytes: 56_789, rowsPerSecond: 100, rowsPerCpuSecond: 384, peakMemoryBytes: 123_400_000 }
  const base = { pipeline: 'shop', run: 'r1', status: 'done' as const, exitCode: 0, resumed: false, restarted: [] }
  return { ...base, streams, history: { ms: [], streams: [] }, ...times, ...sums, ...more }
}
