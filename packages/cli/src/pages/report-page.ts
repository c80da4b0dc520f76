import type { Series } from '@nebula/base'
import type { Report, StreamReport } from '@nebula/runtime'
import { bytesText, countText, deletedText, overflowText, resumedText } from '../style.ts'
import { escapeHtml, htmlPage } from './page.ts'
import type { Plot } from './plot.ts'
import { drawPlot, runPlots } from './plot.ts'

/** A report as a page that opens from disk: one file, without network and without script. */
export function reportPage(report: Report): string {
  const { pipeline, run, status, startedAt } = report
  const head =
    `<h1>${escapeHtml(pipeline)}</h1>\n<p><span class="status ${status}">${status}</span> ` +
    `<span class="dim">run ${escapeHtml(run)}, begun ${escapeHtml(startedAt)}</span></p>`
  const body = [
    head,
    facts(report),
    ...notes(report),
    ...report.streams.flatMap(errorNote),
    ...plots(report).map(drawPlot),
    '<h2>Streams</h2>',
    streamTable(report.streams),
  ]
  return htmlPage(`${pipeline}: ${status}`, `<main>\n${body.join('\n')}\n</main>`)
}

function facts(report: Report): string {
  const sum = (of: (stream: StreamReport) => number): number => report.streams.reduce((all, s) => all + of(s), 0)
  const list: [string, string][] = [
    ['rows', countText(report.rows)],
    ['bytes', bytesText(report.bytes)],
    ['time', `${report.seconds.toFixed(1)} s`],
    ['rows/s', countText(report.rowsPerSecond)],
    ['rows per CPU second', countText(report.rowsPerCpuSecond)],
    ['peak memory', bytesText(report.peakMemoryBytes)],
    ['waited for the source', `${sum((s) => s.waitedForSource).toFixed(1)} s`],
    ['waited for the destination', `${sum((s) => s.waitedForDestination).toFixed(1)} s`],
    ['rejected rows', countText(sum((s) => s.rejected))],
    ['retries', countText(sum((s) => s.retries))],
  ]
  return `<dl class="facts">${list.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join('')}</dl>`
}

function notes(report: Report): string[] {
  const resumed = report.streams.reduce((sum, stream) => sum + stream.resumed, 0)
  const lossy = report.streams.flatMap((s) => s.lossy.map(({ column, why }) => `${s.stream}.${column}: ${why}`))
  const overflowed = report.streams.flatMap(({ stream, overflowed: values = 0 }) =>
    values > 0 ? [`${stream}: ${overflowText(values)}`] : [],
  )
  return [
    ...report.restarted.map(({ stream, reason }) => `${stream} began again: ${reason}`),
    ...(report.resumed ? [`Went on with an interrupted run: ${resumedText(resumed)}.`] : []),
    ...(report.deadLetters === undefined ? [] : [`Rejected rows are kept in ${report.deadLetters}`]),
    ...(lossy.length === 0 ? ['No value was changed but as the pipeline asks.'] : []),
    ...overflowed,
    ...report.streams.flatMap(({ stream, deleted }) =>
      deleted === undefined ? [] : [`${stream}: ${deletedText(deleted)}`],
    ),
    ...lossy.map((text) => `Values may have changed, as allow_loss accepts: ${text}`),
  ].map((text) => `<p>${escapeHtml(text)}</p>`)
}

function errorNote({ stream, error }: StreamReport): string[] {
  if (!error) return []
  const { code, message, fix } = error
  const title = `<b>${escapeHtml(stream)}: ${escapeHtml(code)}</b>`
  return [`<div class="error">${title}\n${escapeHtml(message)}\nWhat to do: ${escapeHtml(fix)}</div>`]
}

function plots({ history: { ms, streams } }: Report): Plot[] {
  const total = (of: (series: Series) => readonly number[]): number[] =>
    ms.map((_, i) => streams.reduce((sum, series) => sum + (of(series)[i] ?? 0), 0))
  return runPlots(ms, {
    rows: total((s) => s.rows),
    sourceMs: total((s) => s.sourceMs),
    destinationMs: total((s) => s.destinationMs),
  })
}

const HEADS = ['stream', 'status', 'read', 'written', 'filtered', 'rejected', 'bytes', 'rows/s', 'retries', 'waited']

function streamTable(streams: readonly StreamReport[]): string {
  const heads = HEADS.map((name) => `<th scope="col">${name}</th>`).join('')
  return `<div class="scroll"><table><thead><tr>${heads}</tr></thead><tbody>${streams.map(streamRow).join('\n')}</tbody></table></div>`
}

function streamRow(s: StreamReport): string {
  const target = s.target === s.stream ? '' : ` <span class="dim">to ${escapeHtml(s.target)}</span>`
  const numbers = [s.read, s.written, s.filtered, s.rejected].map((count) => `<td>${countText(count)}</td>`).join('')
  return (
    `<tr><td>${escapeHtml(s.stream)}${target}</td><td class="${s.status}">${s.status.replace('_', ' ')}</td>${numbers}` +
    `<td>${bytesText(s.bytes)}</td><td>${countText(s.rowsPerSecond)}</td><td>${countText(s.retries)}</td>` +
    `<td>${waitBar(s.waitedForSource, s.waitedForDestination)}</td></tr>`
  )
}

/** Whom the stream waited for, as parts of all its waiting. */
function waitBar(source: number, destination: number): string {
  const all = source + destination
  const part = (kind: string, value: number): string =>
    `<i class="${kind}" style="width:${all > 0 ? ((100 * value) / all).toFixed(1) : 0}%"></i>`
  const label = `${source.toFixed(1)} s for the source, ${destination.toFixed(1)} s for the destination`
  return `<div class="bar" role="img" title="${label}" aria-label="${label}">${part('source', source)}${part('destination', destination)}</div>`
}
