import type { Report } from '@nebula/runtime'
import { errorText } from './report-error.ts'
import { bytesText, countText, deletedText, overflowText, plural, printable, resumedText, table } from './style.ts'

const STATUS: Readonly<Record<Report['status'], string>> = {
  done: 'done',
  partial: 'done in part',
  failed: 'failed',
  interrupted: 'interrupted; the same command goes on from here',
}

/** A report as people read it. `page` is where it lies as a page. */
export function reportText(report: Report, page?: string): string {
  const rows = report.streams.map((s) => [
    printable(s.stream),
    s.target === s.stream ? '' : `-> ${printable(s.target)}`,
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
  for (const { stream, lossy } of report.streams) {
    for (const { column, why } of lossy) lines.push(`${stream}.${column}: values may have changed, as allowed: ${why}`)
  }
  for (const { stream, overflowed = 0 } of report.streams) {
    if (overflowed > 0) lines.push(`${stream}: ${overflowText(overflowed)}`)
  }
  for (const { stream, deleted } of report.streams) {
    if (deleted !== undefined) lines.push(`${stream}: ${deletedText(deleted)}`)
  }
  const resumed = report.streams.reduce((sum, stream) => sum + stream.resumed, 0)
  if (report.resumed) lines.push(`went on with an interrupted run: ${resumedText(resumed)}`)
  if (report.deadLetters) lines.push(`rejected rows are kept in ${report.deadLetters}`)
  if (page !== undefined) lines.push(`report with plots: ${page}`)
  lines.push(summary(report))
  return lines.join('\n')
}

function summary(report: Report): string {
  const { seconds, cpuSeconds } = report
  const waits = { source: 0, destination: 0, retries: 0 }
  for (const stream of report.streams) {
    waits.source += stream.waitedForSource
    waits.destination += stream.waitedForDestination
    waits.retries += stream.retries
  }
  return (
    `${STATUS[report.status]}: ${plural(report.rows, 'row')} in ${seconds.toFixed(1)} s` +
    ` (${countText(report.rowsPerSecond)} rows/s, ${countText(report.rowsPerCpuSecond)} per CPU second),` +
    ` CPU ${cpuSeconds.toFixed(1)} s, peak memory ${bytesText(report.peakMemoryBytes)},` +
    ` waited ${waits.source.toFixed(1)} s for the source, ${waits.destination.toFixed(1)} s for the destination` +
    (waits.retries > 0 ? `, ${waits.retries === 1 ? '1 retry' : `${countText(waits.retries)} retries`}` : '')
  )
}
