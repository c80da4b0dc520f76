import type { RunHistory, StreamMeter } from '@nebula/base'
import { readJsonFile } from '@nebula/base'
import type { NebulaError } from '@nebula/core'
import type { Pipeline } from './pipeline.ts'
import { stateFile } from './state.ts'

export type StreamStatus = 'done' | 'failed' | 'interrupted' | 'finished_before'

export interface StreamReport {
  readonly stream: string
  readonly target: string
  readonly mode: string
  readonly status: StreamStatus
  /** `read` = `written` + `filtered` + `rejected`. */
  readonly read: number
  readonly written: number
  readonly filtered: number
  readonly rejected: number
  readonly bytes: number
  /** Values that their columns could not hold, and that are kept in the overflow column; left out: none. */
  readonly overflowed?: number
  /** Rows of the target that the source had no longer; left out: none were looked for. */
  readonly deleted?: number
  /** Of `read`: rows that an interrupted run had brought before. */
  readonly resumed: number
  /** Seconds that its tasks waited, added up. */
  readonly waitedForSource: number
  readonly waitedForDestination: number
  /** How long its tasks ran, from the first to the last, and the rows of this process in that time. */
  readonly seconds: number
  readonly rowsPerSecond: number
  readonly retries: number
  /** Columns whose values may have changed: the loss was named before the run, and accepted by name. */
  readonly lossy: readonly { readonly column: string; readonly why: string }[]
  readonly error?: { readonly code: string; readonly message: string; readonly fix: string; readonly place?: string }
}

/** What a run did, for people and programs. */
export interface Report {
  readonly pipeline: string
  readonly run: string
  readonly status: 'done' | 'partial' | 'failed' | 'interrupted'
  readonly exitCode: number
  readonly resumed: boolean
  /** Streams that began again although an earlier run had begun them, and why. */
  readonly restarted: readonly { readonly stream: string; readonly reason: string }[]
  readonly startedAt: string
  readonly seconds: number
  readonly streams: readonly StreamReport[]
  readonly rows: number
  readonly bytes: number
  readonly rowsPerSecond: number
  readonly cpuSeconds: number
  readonly rowsPerCpuSecond: number
  readonly peakMemoryBytes: number
  /** How the run went, sampled every `observability.metrics_interval`. */
  readonly history: RunHistory
  /** Where rejected rows are kept; undefined when there are none. */
  readonly deadLetters?: string
}

export interface StreamOutcome {
  readonly meter: StreamMeter
  readonly mode: string
  readonly status: StreamStatus
  readonly resumed: number
  readonly lossy: StreamReport['lossy']
  readonly error: NebulaError | undefined
  /** Rows that were deleted at the target; undefined: none were looked for. */
  readonly deleted: number | undefined
  /** Nothing is left of it for a later process to go on with. */
  readonly over: boolean
}

export interface RunFacts {
  readonly pipeline: string
  readonly run: string
  readonly resumed: boolean
  readonly restarted: Report['restarted']
  readonly startedAt: number
  readonly endedAt: number
  readonly cpu: NodeJS.CpuUsage
  readonly history: RunHistory
  /** Undefined when no row of the run is kept, in this process or an earlier one. */
  readonly deadLetters: string | undefined
}

/** The report of the last run of a pipeline that came to one. */
export async function lastReport(pipeline: Pick<Pipeline, 'stateFolder' | 'name'>): Promise<Report | undefined> {
  return (await readJsonFile(stateFile(pipeline, 'report.json'))) as Report | undefined
}

export function createReport(facts: RunFacts, outcomes: readonly StreamOutcome[]): Report {
  const { pipeline, run, resumed, restarted } = facts
  const streams = outcomes.map(streamReport)
  const seconds = (facts.endedAt - facts.startedAt) / 1000
  const cpuSeconds = (facts.cpu.user + facts.cpu.system) / 1e6
  const rows = streams.reduce((sum, stream) => sum + stream.read - stream.resumed, 0)
  const { deadLetters } = facts
  return {
    pipeline,
    run,
    ...verdict(outcomes, deadLetters !== undefined),
    resumed,
    restarted,
    startedAt: new Date(facts.startedAt).toISOString(),
    seconds,
    streams,
    rows,
    bytes: streams.reduce((sum, stream) => sum + stream.bytes, 0),
    rowsPerSecond: Math.round(rows / Math.max(seconds, 0.001)),
    cpuSeconds,
    rowsPerCpuSecond: Math.round(rows / Math.max(cpuSeconds, 0.001)),
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    history: facts.history,
    ...(deadLetters === undefined ? {} : { deadLetters }),
  }
}

function streamReport({ meter, mode, status, resumed, lossy, error, deleted }: StreamOutcome): StreamReport {
  const { stream, target, counts, sourceMs, destinationMs, seconds, retries } = meter
  const waits = { waitedForSource: sourceMs / 1000, waitedForDestination: destinationMs / 1000 }
  const rowsPerSecond = Math.round((counts.read - resumed) / Math.max(seconds, 0.001))
  const own = { seconds, rowsPerSecond, retries, lossy, ...(deleted === undefined ? {} : { deleted }) }
  const report: StreamReport = { stream, target, mode, status, ...counts, resumed, ...waits, ...own }
  if (!error) return report
  const { code, message, fix, place } = error
  return { ...report, error: { code, message, fix, ...(place === undefined ? {} : { place }) } }
}

function verdict(
  outcomes: readonly StreamOutcome[],
  rejected: boolean,
): { status: Report['status']; exitCode: number } {
  const failed = outcomes.filter(({ status }) => status === 'failed')
  const [first] = failed
  if (first) {
    const others = outcomes.some(({ status }) => status === 'done' || status === 'finished_before')
    return others ? { status: 'partial', exitCode: 5 } : { status: 'failed', exitCode: first.error?.exitCode ?? 1 }
  }
  if (outcomes.some(({ status }) => status === 'interrupted')) return { status: 'interrupted', exitCode: 130 }
  return rejected ? { status: 'partial', exitCode: 5 } : { status: 'done', exitCode: 0 }
}
