import type { Checkpoint, Recalled } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Pipeline, Report } from '@nebula/runtime'
import { lastReport } from '@nebula/runtime'
import { letterFiles } from './letters.ts'
import { lockPipeline, RunRecord, runningProcess } from './run-record.ts'

/** How far one stream of the last run is. */
export interface StreamState {
  readonly stream: string
  readonly target: string
  readonly mode: string
  readonly status: 'finished' | 'begun' | 'not begun'
  /** Undefined where the destination has forgotten the plan: the run ended. */
  readonly partitions: number | undefined
  readonly partitionsDone: number | undefined
  /** Durable rows that were read; undefined for a finished stream of which no report tells. */
  readonly rows: number | undefined
  readonly rejected: number | undefined
}

/** What is known of the last run of a pipeline. */
export interface PipelineState {
  readonly pipeline: string
  readonly status: 'none' | 'running' | 'interrupted' | 'ended'
  /** The process that holds the lock. */
  readonly process?: number
  readonly run?: string
  /** How many processes have worked on the run. */
  readonly epoch?: number
  /** ISO 8601. */
  readonly startedAt?: string
  readonly streams: readonly StreamState[]
  /** Of this and of earlier runs. */
  readonly deadLetters: number
}

/** Looks at the state of a pipeline, where its destination or the state folder keeps it. Changes nothing. */
export async function pipelineState(pipeline: Pipeline): Promise<PipelineState> {
  await using record = await RunRecord.open(pipeline)
  const [recalled, process] = [await record.recall(), await runningProcess(pipeline)]
  const letters = await letterFiles(pipeline)
  const running = process === undefined ? {} : { process }
  const shared = {
    pipeline: pipeline.name,
    ...running,
    deadLetters: letters.reduce((sum, file) => sum + file.letters.length, 0),
  }
  if (!recalled) return { ...shared, status: process === undefined ? 'none' : 'running', streams: [] }
  const { id, epoch, startedAt } = recalled.run
  const stopped = recalled.ended ? 'ended' : 'interrupted'
  return {
    ...shared,
    status: process === undefined ? stopped : 'running',
    run: id,
    epoch,
    ...(startedAt === undefined ? {} : { startedAt: new Date(startedAt).toISOString() }),
    streams: streamStates(recalled, await reportOf(pipeline, id)),
  }
}

/** The report of a run, when it was the last one. */
async function reportOf(pipeline: Pipeline, run: string): Promise<Report | undefined> {
  const report = await lastReport(pipeline)
  return report?.run === run ? report : undefined
}

function streamStates({ run, checkpoints, finished }: Recalled, report: Report | undefined): StreamState[] {
  const reached = new Map(checkpoints.map((checkpoint) => [checkpoint.partition, checkpoint]))
  return run.streams.map(({ request: { stream, mode }, target }): StreamState => {
    const partitions = run.plan.partitions.filter((partition) => partition.stream === stream)
    const own = partitions.flatMap(({ id }) => reached.get(id) ?? [])
    const shared = { stream, target, mode }
    if (!finished.includes(stream)) {
      const done = own.filter((checkpoint) => checkpoint.done).length
      const status = own.length > 0 ? 'begun' : 'not begun'
      return { ...shared, status, partitions: partitions.length, partitionsDone: done, ...sum(own) }
    }
    const told = report?.streams.find((one) => one.stream === stream)
    const all = partitions.length > 0 ? partitions.length : undefined
    const counts = { rows: told?.read, rejected: told?.rejected }
    return { ...shared, status: 'finished', partitions: all, partitionsDone: all, ...counts }
  })
}

function sum(checkpoints: readonly Checkpoint[]): { rows: number; rejected: number } {
  const total = (key: 'read' | 'rejected'): number => checkpoints.reduce((rows, { counts }) => rows + counts[key], 0)
  return { rows: total('read'), rejected: total('rejected') }
}

/**
 * Gives an interrupted run up: its staging and checkpoints go, the targets stay, and the next run begins anew; with
 * `stream`, only what that stream reached, which then begins again when the run goes on. Returns the streams that lost
 * something, none when no run is interrupted. Throws `run_locked`, `stream_not_found`, `unsupported`.
 */
export async function resetState(pipeline: Pipeline, stream?: string): Promise<readonly string[]> {
  const release = await lockPipeline(pipeline)
  try {
    await using record = await RunRecord.open(pipeline)
    const recalled = await record.recall()
    if (!recalled || recalled.ended) return []
    const open = recalled.run.streams
      .map(({ request }) => request.stream)
      .filter((name) => !recalled.finished.includes(name))
    if (stream !== undefined && !open.includes(stream)) {
      const names = open.length === 0 ? 'none' : open.join(', ')
      throw new NebulaError('stream_not_found', {
        message: `The interrupted run has no unfinished stream ${stream}; unfinished are: ${names}.`,
        fix: 'Name one of them, or reset the whole run.',
      })
    }
    if (stream !== undefined && !record.discards) {
      const message = `${pipeline.destination.connector.name} cannot take back what one stream brought.`
      throw new NebulaError('unsupported', { message, fix: 'Reset the whole run; committed rows stay in the target.' })
    }
    const streams = stream === undefined ? open : [stream]
    await record.discard(recalled, streams, stream === undefined)
    return streams
  } finally {
    await release()
  }
}
