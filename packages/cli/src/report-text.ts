import type { Report } from '@nebula/runtime'
import { errorText } from './report-error.ts'
import { bytesText, countText, plural, table } from './style.ts'

const STATUS: Readonly<Record<Report['status'], string>> = {
  done: 'done',
  partial: 'done in part',
  failed: 'failed',
  interrupted: 'interrupted; the same command goes on from here',
}

/** A report as people read it. */
export function reportText(report: Report): string {
  const rows = report.streams.map((s) => [
    s.stream,
    s.target === s.stream ? '' : `-> ${s.target}`,
    s.status === 'finished_before' ? 'finished before' : s.status,
    countText(s.read),
    countText(s.written),
    countText(s.filtered),
    countText(s.rejected),
    bytesText(s.bytes),
  ])
  const lines = [table([['stream', '', 'status', 'read', 'written', 'filtered', 'rejected', 'bytes'], ...rows], 3), '']
  for (const stream of report.streams) {
    if (stream.error) lines.push(errorText({ ...stream.error, stream: stream.stream } as never, process.stdout), '')
  }
  for (const { stream, reason } of report.restarted) lines.push(`${stream} began again: ${reason}`)
  const resumed = report.streams.reduce((sum, stream) => sum + stream.resumed, 0)
  if (report.resumed) lines.push(`went on with an interrupted run: ${plural(resumed, 'row')} were already there`)
  if (report.deadLetters) lines.push(`rejected rows are kept in ${report.deadLetters}`)
  lines.push(summary(report))
  return lines.join('\n')
}

function summary(report: Report): string {
  const { seconds, cpuSeconds } = report
  const waits = report.streams.reduce(
    (sum, s) => ({ source: sum.source + s.waitedForSource, destination: sum.destination + s.waitedForDestination }),
    { source: 0, destination: 0 },
  )
  return (
    `${STATUS[report.status]}: ${plural(report.rows, 'row')} in ${seconds.toFixed(1)} s` +
    ` (${countText(report.rowsPerSecond)} rows/s, ${countText(report.rowsPerCpuSecond)} per CPU second),` +
    ` CPU ${cpuSeconds.toFixed(1)} s, peak memory ${bytesText(report.peakMemoryBytes)},` +
    ` waited ${waits.source.toFixed(1)} s for the source, ${waits.destination.toFixed(1)} s for the destination`
  )
}
