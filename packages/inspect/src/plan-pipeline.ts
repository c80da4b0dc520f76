import type { Fidelity, Guarantee, Mode, Recalled, Schema, StreamInfo, StreamRequest } from '@nebula/core'
import { schemaFingerprint, typeName } from '@nebula/core'
import type { AgreedStream, Agreement, OpenPipeline, Pipeline, PreparedRun, Report, RunOptions } from '@nebula/runtime'
import { agreePipeline, chooseStreams, lastReport, LocalState, openPipeline, planRun } from '@nebula/runtime'
import type { PlanProblem } from './problems.ts'
import { exitCodeOf, problemOf, withFix } from './problems.ts'

/** Bytes a second of a pipeline that has no report yet: what a laptop moves between two databases. */
export const ASSUMED_BYTES_PER_SECOND = 50_000_000

/** What a run of a pipeline would do. JSON; holds no secret. */
export interface PipelinePlan {
  readonly pipeline: string
  readonly source: string
  readonly destination: string
  /** `resume`: it goes on with an interrupted run. `unknown`: problems stand against it. */
  readonly run: 'new' | 'resume' | 'unknown'
  readonly streams: readonly PlannedStream[]
  /** Streams that the pipeline asks for by a glob or as a part of all, and that its user may not read. */
  readonly denied: readonly string[]
  readonly estimate: PlanEstimate
  /** Everything that stands against the run; empty: it can begin. */
  readonly problems: readonly PlanProblem[]
  readonly exitCode: number
}

/** Left out is what is not known. */
export interface PlanEstimate {
  readonly rows?: number
  readonly bytes?: number
  readonly seconds?: number
  /** Where the seconds come from: the speed of the last run, or `ASSUMED_BYTES_PER_SECOND`. */
  readonly speed: 'last run' | 'assumed'
}

/** The columns of one side, for people. */
export interface PlannedSchema {
  readonly fingerprint: string
  readonly columns: readonly { readonly name: string; readonly type: string; readonly nullable: boolean }[]
}

export interface PlannedStream {
  readonly stream: string
  readonly target: string
  readonly mode: Mode
  /** The column by which new rows are found, and the value from which on they are read; left out: all are. */
  readonly cursor?: string
  readonly since?: string
  readonly key: readonly string[]
  /** Rows of the target whose key the source has no longer are deleted, whoever wrote them. */
  readonly deletes: boolean
  /** All that the source has. */
  readonly source: PlannedSchema
  /** What stands at the target; left out where nothing does. */
  readonly standing?: PlannedSchema
  readonly columns: readonly PlannedColumn[]
  /** What is executed at the destination, staging aside. */
  readonly ddl: readonly string[]
  readonly guarantee: Guarantee
  /** Of which moments its rows are. */
  readonly consistency?: StreamInfo['consistency']
  /** The vendor's own bytes pass through in this format. */
  readonly wire?: string
  /** Left out where problems stand against the stream. */
  readonly partitions?: number
  /** Of these, partitions that an interrupted run has committed. */
  readonly committed?: number
  /** An interrupted run has put it into its target. */
  readonly finished?: boolean
  /** Why it begins again though an interrupted run had begun it. */
  readonly restarted?: string
  readonly rows?: number
  readonly bytes?: number
}

/** How one column travels. */
export interface PlannedColumn {
  /** Its name at the destination. */
  readonly name: string
  /** Its name at the source; left out for a column that the pipeline adds. */
  readonly source?: string
  /** Its type at the source, in the source's own words where it has some. */
  readonly from?: string
  /** The type in which it is read, and in which it is written. */
  readonly read?: string
  readonly written: string
  /** What is done to it between the two. */
  readonly steps: readonly string[]
  /** The destination's own type. */
  readonly type: string
  readonly fidelity: Fidelity
  readonly why?: string
}

/** Looks at both ends and says what a run would do. Writes nothing at either end, nor into the state folder. */
export async function planPipeline(pipeline: Pipeline, options: RunOptions = {}): Promise<PipelinePlan> {
  const open = await openPipeline(pipeline, options)
  try {
    const recalling = recall(pipeline, open)
    // Why a run cannot be recalled is told when it is to be gone on with.
    const recalled = await recalling.catch(() => undefined)
    const agreement = await agreePipeline(pipeline, open.drivers, open.contexts, recalled)
    const problems = agreement.problems.map(withFix)
    const prepared = await tryPlan(pipeline, open, agreement, recalling).catch((error: unknown) => {
      problems.push(problemOf(error))
      return undefined
    })
    const streams = agreement.agreed.map((stream, i) => plannedStream(stream, i, agreement, prepared))
    const sound = problems.length === 0
    return {
      pipeline: pipeline.name,
      source: pipeline.source.connector.name,
      destination: pipeline.destination.connector.name,
      run: !sound ? 'unknown' : prepared?.resumed ? 'resume' : 'new',
      streams,
      denied: leftOut(pipeline, agreement),
      estimate: estimate(streams, await lastReport(pipeline)),
      problems,
      exitCode: exitCodeOf(problems),
    }
  } finally {
    await open.close()
  }
}

/** Of streams that nothing stands against; a run that cannot begin goes on with none. */
async function tryPlan(
  pipeline: Pipeline,
  open: OpenPipeline,
  { agreed, catalog, problems }: Agreement,
  recalling: Promise<Recalled | undefined>,
): Promise<PreparedRun | undefined> {
  const refused = new Set(problems.map(({ stream }) => stream))
  const sound = agreed.filter(({ request }) => !refused.has(request.stream))
  if (sound.length === 0) return undefined
  const reading = { source: open.drivers.source, context: open.contexts.source }
  const recalled = problems.length === 0 ? await recalling : undefined
  return planRun(pipeline, reading, { agreed: sound, catalog }, recalled)
}

/** What may not be read and is asked for, but not by its name: that is a problem. */
function leftOut(pipeline: Pipeline, { catalog }: Agreement): string[] {
  const denied = (catalog.denied ?? []).map((name) => ({ name, schema: { fields: [] }, key: [], wire: [] }))
  const named = new Set([...Object.keys(pipeline.streams ?? {}), ...(pipeline.only ?? [])])
  const { selected } = chooseStreams({ streams: denied }, pipeline)
  return selected.map(({ info }) => info.name).filter((name) => !named.has(name))
}

async function recall(pipeline: Pipeline, { drivers, contexts }: OpenPipeline): Promise<Recalled | undefined> {
  const { destination } = drivers
  if (destination.recall) return destination.recall(pipeline.name, contexts.destination)
  return new LocalState(pipeline.stateFolder, pipeline.name).recall()
}

function plannedStream(
  stream: AgreedStream,
  index: number,
  { catalog, standing }: Agreement,
  prepared: PreparedRun | undefined,
): PlannedStream {
  const { request, target, accepted, wire } = stream
  const info = catalog.streams.find(({ name }) => name === request.stream)
  const there = standing[index]
  return {
    stream: request.stream,
    target,
    mode: request.mode,
    key: request.key,
    deletes: stream.keys !== undefined,
    ...incremental(request),
    source: schemaOf(info?.schema ?? { fields: [] }),
    ...(there ? { standing: schemaOf(there.schema) } : {}),
    columns: plannedColumns(stream),
    ddl: accepted.ddl,
    guarantee: accepted.guarantee,
    ...(wire === undefined ? {} : { wire }),
    ...progress(request.stream, prepared),
    ...readingOf(info, request),
  }
}

/** How much is read, and as of which moments, as far as the source says. */
function readingOf(info: StreamInfo | undefined, { limit = Infinity }: StreamRequest): Partial<PlannedStream> {
  if (!info) return {}
  const { rows, bytes, consistency } = info
  const wanted = rows === undefined ? undefined : Math.min(rows, limit)
  const share = rows && wanted !== undefined ? wanted / rows : 1
  return {
    ...(consistency === undefined ? {} : { consistency }),
    ...(wanted === undefined ? {} : { rows: wanted }),
    ...(bytes === undefined ? {} : { bytes: Math.round(bytes * share) }),
  }
}

function incremental({ cursor, since }: StreamRequest): Pick<PlannedStream, 'cursor' | 'since'> {
  if (cursor === undefined) return {}
  return since === undefined ? { cursor } : { cursor, since }
}

function progress(
  name: string,
  prepared: PreparedRun | undefined,
): Pick<PlannedStream, 'partitions' | 'committed' | 'finished' | 'restarted'> {
  if (!prepared?.run.streams.some(({ request }) => request.stream === name)) return {}
  const own = prepared.run.plan.partitions.filter(({ stream }) => stream === name)
  const restarted = prepared.restarted.find(({ stream }) => stream === name)
  return {
    partitions: own.length,
    committed: own.filter(({ id }) => prepared.checkpoints.get(id)?.done).length,
    finished: prepared.finished.has(name),
    ...(restarted ? { restarted: restarted.reason } : {}),
  }
}

function plannedColumns({ readSchema, writeSchema, accepted, transform }: AgreedStream): PlannedColumn[] {
  const { origins, steps, function: code } = transform
  return writeSchema.fields.map((field, i) => {
    const origin = origins[i]
    const source = typeof origin === 'number' ? readSchema.fields[origin] : undefined
    const made = typeof origin === 'number' ? (code ? ['function'] : []) : ['add']
    const kept = accepted.columns[i]
    return {
      name: field.name,
      ...(source ? { source: source.name, from: source.declared ?? typeName(source.type) } : {}),
      ...(source ? { read: typeName(source.type) } : {}),
      written: typeName(field.type),
      steps: [
        ...(source ? [] : made),
        ...(steps[i] ?? []).map((step) => (step.kind === 'cast' ? `cast ${typeName(step.type)}` : step.kind)),
      ],
      type: kept?.type ?? '',
      fidelity: kept?.fidelity ?? 'exact',
      ...(kept?.why === undefined ? {} : { why: kept.why }),
    }
  })
}

function schemaOf(schema: Schema): PlannedSchema {
  const columns = schema.fields.map(({ name, type, declared, nullable }) => {
    return { name, type: declared ?? typeName(type), nullable }
  })
  return { fingerprint: schemaFingerprint(schema), columns }
}

function estimate(streams: readonly PlannedStream[], report: Report | undefined): PlanEstimate {
  const rows = total(streams.map((stream) => stream.rows))
  const bytes = total(streams.map((stream) => stream.bytes))
  const measured = report && report.rows > 0 && report.seconds > 0
  const byRows = measured && rows !== undefined ? rows / report.rowsPerSecond : undefined
  const perSecond = measured ? report.bytes / report.seconds : ASSUMED_BYTES_PER_SECOND
  const seconds = byRows ?? (bytes === undefined ? undefined : bytes / perSecond)
  return {
    ...(rows === undefined ? {} : { rows }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(seconds === undefined || !Number.isFinite(seconds) ? {} : { seconds: Math.round(seconds * 10) / 10 }),
    speed: measured ? 'last run' : 'assumed',
  }
}

/** Undefined when one of them is not known. */
function total(parts: readonly (number | undefined)[]): number | undefined {
  return parts.reduce((sum: number | undefined, part) => {
    return sum === undefined || part === undefined ? undefined : sum + part
  }, 0)
}
