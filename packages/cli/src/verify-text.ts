import type { Difference, StreamVerification, VerifyReport } from '@nebula/verify'
import { errorText } from './report-error.ts'
import { countText, plural } from './style.ts'

/** Buckets that are named; the report as JSON has all. */
const MOST_BUCKETS = 8

/** What was compared, as people read it: one paragraph a stream. */
export function verifyText(report: VerifyReport): string {
  const different = report.streams.filter(({ status }) => status !== 'equal').length
  const summary =
    different === 0
      ? `equal: ${plural(report.streams.length, 'stream')}`
      : `${plural(different, 'stream')} of ${countText(report.streams.length)} not equal`
  return [...report.streams.flatMap(streamLines), `${summary}, in ${report.seconds.toFixed(1)} s`].join('\n')
}

function streamLines(stream: StreamVerification): string[] {
  const { error, rows = { source: 0, destination: 0 }, differing = [], extra = 0, status } = stream
  const name = stream.target === stream.stream ? stream.stream : `${stream.stream} -> ${stream.target}`
  if (error) return [`${name}: ${status}`, errorText({ ...error, stream: stream.stream }, process.stdout)]
  const left = stream.uncompared.map(({ column, why }) => `  not compared: ${column}, because ${why}`)
  const unread = unreadLines(stream)
  if (status === 'equal') {
    const more = extra === 0 ? '' : `; the target holds ${plural(extra, 'other row')}, as it may in mode ${stream.mode}`
    return [`${name}: equal: ${plural(rows.source, 'row')}${more}`, ...unread, ...left]
  }
  const buckets = differing.slice(0, MOST_BUCKETS).map(({ bucket }) => bucket)
  const others = differing.length > MOST_BUCKETS ? ', ...' : ''
  const found = [
    `${plural(rows.source, 'row')} at the source, ${countText(rows.destination)} at the destination`,
    `${countText(differing.length)} of ${countText(stream.buckets ?? 0)} partitions differ (${buckets.join(', ')}${others})`,
    countsText(stream),
  ]
  return [
    `${name}: different: ${found.join('; ')}`,
    ...(stream.differences ?? []).map(differenceLine),
    ...unread,
    ...left,
  ]
}

function countsText({ missing = 0, extra = 0, changed = 0, exact, mode, moreAllowed }: StreamVerification): string {
  const least = exact === false ? 'at least ' : ''
  const more = moreAllowed ? ` (which is no fault in mode ${mode})` : ''
  return `${least}${countText(missing)} missing, ${countText(changed)} changed, ${countText(extra)} extra${more}`
}

function unreadLines({ unreadable = { source: 0, destination: 0 } }: StreamVerification): string[] {
  return (['source', 'destination'] as const)
    .filter((end) => unreadable[end] > 0)
    .map((end) => `  ${plural(unreadable[end], 'row')} of the ${end} could not be read`)
}

function differenceLine({ kind, key, columns, source, destination }: Difference): string {
  const names = Object.entries(key).map(([name, value]) => `${name}=${value ?? 'NULL'}`)
  const places = [
    ...(source === undefined ? [] : [`source ${source}`]),
    ...(destination === undefined ? [] : [`destination ${destination}`]),
  ]
  const what = columns ? ` in ${columns.join(', ')}` : ''
  return `  ${kind} ${names.length > 0 ? `${names.join(', ')}${what} (${places.join('; ')})` : places.join('; ')}`
}
