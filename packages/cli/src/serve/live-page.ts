import { escapeHtml, htmlPage } from '../pages/page.ts'
import { drawPlot, runPlots } from '../pages/plot.ts'
import { bytesText, countText } from '../style.ts'
import type { ProgressMessage } from './progress-stream.ts'

/** The page that shows a running pipeline: everything inline, fed by `/progress`. */
export function livePage(): string {
  const functions = {
    escapeHtml,
    countText,
    bytesText,
    drawPlot,
    runPlots,
    showProgress,
    mergeHistory,
    streamRow,
    remaining,
  }
  // Named again: what a build tool calls them is not what they call each other.
  const script = Object.entries(functions)
    .map(([name, body]) => `const ${name} = ${body.toString()}`)
    .join('\n')
  return htmlPage('Nebula', `${BODY}\n<script>\n${script}\n${START}\n</script>`)
}

const BODY = `<main>
<h1 id="pipeline">Nebula</h1>
<p role="status"><span id="status" class="status">no run yet</span> <span id="about" class="dim"></span></p>
<p id="link" class="dim">connecting</p>
<div id="error"></div>
<dl id="facts" class="facts"></dl>
<div id="plots"></div>
<h2>Streams</h2>
<div class="scroll"><table><thead><tr><th scope="col">stream</th><th scope="col">status</th><th scope="col">done</th>
<th scope="col">read</th><th scope="col">durable</th><th scope="col">rejected</th><th scope="col">bytes</th><th scope="col">rows/s</th>
<th scope="col">waits for</th></tr></thead>
<tbody id="streams"><tr><td colspan="9" class="dim">none yet</td></tr></tbody></table></div>
</main>`

const START = `
let before
const events = new EventSource('progress')
const link = document.getElementById('link')
events.onopen = () => { link.textContent = before ? '' : 'waiting for a run' }
events.onerror = () => { link.textContent = 'no connection; trying again' }
events.onmessage = (event) => {
  const message = JSON.parse(event.data)
  const history = mergeHistory(before, message)
  const now = { ...message, history }
  showProgress(now, before)
  before = now
  link.textContent = ''
}`

// What follows runs in the browser, and so uses nothing from outside but what `livePage` puts beside it.

interface Element {
  innerHTML: string
  textContent: string
  className: string
}
declare const document: { title: string; getElementById(id: string): Element }

/** All samples that the page has, at most some thousands. */
function mergeHistory(before: ProgressMessage | undefined, message: ProgressMessage): ProgressMessage['history'] {
  const added = message.history
  if (!before || !message.appends || before.startedAt !== message.startedAt) return added
  const old = before.history
  const sparse = old.ms.length > 2000
  const joined = (a: readonly number[], b: readonly number[]): number[] =>
    (sparse ? a.filter((_, i) => i % 2 === 0) : [...a]).concat(b)
  return {
    ms: joined(old.ms, added.ms),
    rows: joined(old.rows, added.rows),
    bytes: joined(old.bytes, added.bytes),
    durable: joined(old.durable, added.durable),
    sourceMs: joined(old.sourceMs, added.sourceMs),
    destinationMs: joined(old.destinationMs, added.destinationMs),
  }
}

function showProgress(now: ProgressMessage, before: ProgressMessage | undefined): void {
  const element = (id: string): Element => document.getElementById(id)
  const seconds = Math.max(0.001, (now.updatedAt - now.startedAt) / 1000)
  const total = (of: (stream: Stream) => number): number => now.streams.reduce((sum, stream) => sum + of(stream), 0)
  const [rows, bytes] = [total(({ read }) => read), total((stream) => stream.bytes)]
  const left = remaining(now)
  document.title = `${now.pipeline}: ${now.status}`
  element('pipeline').textContent = now.pipeline
  element('status').textContent = now.status === 'gone' ? 'its process is gone' : now.status
  element('status').className = `status ${now.status}`
  element('about').textContent = now.run === undefined ? '' : `run ${now.run}`
  const { error } = now
  element('error').innerHTML = error
    ? `<div class="error"><b>${escapeHtml(error.code)}</b>\n${escapeHtml(error.message)}\nWhat to do: ${escapeHtml(error.fix)}</div>`
    : ''
  const facts: [string, string][] = [
    ['rows', countText(rows)],
    ['durable', countText(total(({ durable }) => durable))],
    ['bytes', bytesText(bytes)],
    ['rows/s', countText((rows - (now.history.rows[0] ?? 0)) / seconds)],
    ['bytes/s', bytesText((bytes - (now.history.bytes[0] ?? 0)) / seconds)],
    ['time', `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`],
    ['left', left === undefined ? 'unknown' : left],
    ['streams ended', `${now.streams.filter(({ status }) => status !== 'running').length} of ${now.streams.length}`],
  ]
  element('facts').innerHTML = facts
    .map(([name, value]) => `<div><dt>${name}</dt><dd id="fact-${name.replace(/\W/g, '-')}">${value}</dd></div>`)
    .join('')
  element('plots').innerHTML = runPlots(now.history.ms, now.history).map(drawPlot).join('')
  const elapsed = before?.startedAt === now.startedAt ? (now.updatedAt - before.updatedAt) / 1000 : 0
  const old = new Map(before?.streams.map((stream) => [stream.stream, stream]))
  element('streams').innerHTML =
    now.streams.map((stream) => streamRow(stream, old.get(stream.stream), elapsed)).join('') ||
    '<tr><td colspan="9" class="dim">none</td></tr>'
}

type Stream = ProgressMessage['streams'][number]

/** `elapsed` are the seconds since `old`. */
function streamRow(now: Stream, old: Stream | undefined, elapsed: number): string {
  const ended = now.status === 'done' || now.status === 'finished_before'
  const part = ended ? 1 : now.partitionsDone / Math.max(1, now.partitions)
  const running = now.status === 'running'
  const speed = old && elapsed > 0 && running ? Math.max(0, now.read - old.read) / elapsed : 0
  const source = now.sourceMs - (old?.sourceMs ?? 0)
  const destination = now.destinationMs - (old?.destinationMs ?? 0)
  const waits = source + destination <= 0 || !running ? '' : source > destination ? 'source' : 'destination'
  const target = now.target === now.stream ? '' : ` <span class="dim">to ${escapeHtml(now.target)}</span>`
  const done = `${now.partitionsDone} of ${now.partitions} partitions`
  return (
    `<tr><td>${escapeHtml(now.stream)}${target}</td><td class="${now.status}">${now.status.replace('_', ' ')}</td>` +
    `<td><div class="bar" role="img" title="${done}" aria-label="${done}"><i class="rows" style="width:${(part * 100).toFixed(1)}%"></i></div></td>` +
    `<td>${countText(now.read)}</td><td>${countText(now.durable)}</td><td>${countText(now.rejected)}</td>` +
    `<td>${bytesText(now.bytes)}</td><td>${speed > 0 ? countText(speed) : ''}</td><td>${waits}</td></tr>`
  )
}

/** How long until the end, as far as the partitions that are done foretell; undefined where they do not. */
function remaining(now: ProgressMessage): string | undefined {
  if (now.status === 'planning') return undefined
  if (now.status !== 'running') return 'ended'
  let all = 0
  let done = 0
  for (const { partitions, partitionsDone } of now.streams) {
    all += partitions
    done += partitionsDone
  }
  return done === 0 ? undefined : `${countText(((now.updatedAt - now.startedAt) / 1000) * (all / done - 1))} s`
}
