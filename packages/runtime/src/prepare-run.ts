import { randomUUID } from 'node:crypto'
import type {
  Acceptance,
  Catalog,
  Checkpoint,
  Context,
  DestinationDriver,
  Plan,
  PreviousPlan,
  ReadStream,
  Recalled,
  Run,
  Schema,
  SourceDriver,
  StreamPlan,
  StreamRequest,
  TargetInfo,
} from '@nebula/core'
import { NebulaError, schemaFingerprint, utf8 } from '@nebula/core'
import { fingerprintOf, refuseChanged } from './fingerprint.ts'
import type { Pipeline } from './pipeline.ts'
import type { AgreedStream, StreamProblem } from './plan-stream.ts'
import { agreeStream } from './plan-stream.ts'
import type { SelectedStream } from './select-streams.ts'
import { definedStreams, selectStreams } from './select-streams.ts'

/** A run that the destination has not been told of yet. */
export interface PreparedRun {
  readonly run: Run
  /** One per stream of the run, in its order. */
  readonly agreed: readonly AgreedStream[]
  readonly catalog: Catalog
  /** Of partitions that need not run again, or not from their beginning. */
  readonly checkpoints: ReadonlyMap<string, Checkpoint>
  readonly finished: ReadonlySet<string>
  readonly resumed: boolean
  readonly restarted: readonly { readonly stream: string; readonly reason: string }[]
}

export interface Drivers {
  readonly source: SourceDriver
  readonly destination: DestinationDriver
}

const DEFAULT_PARTITION_BYTES = 32_000_000

/** Discovers, agrees and plans; changes nothing at either end. Every problem of every stream is one error. */
export async function prepareRun(
  pipeline: Pipeline,
  { source, destination }: Drivers,
  recalled: Recalled | undefined,
  contexts: { readonly source: Context; readonly destination: Context },
): Promise<PreparedRun> {
  const catalog = await source.discover(contexts.source, definedStreams(pipeline))
  const selected = selectStreams(catalog, pipeline)
  const agreed = await agreeAll(selected, destination, contexts.destination)
  const fingerprint = fingerprintOf(pipeline, agreed)
  const resuming = resumable(recalled, fingerprint)
  const finished = new Set(resuming?.finished)
  const left = agreed.filter(({ request }) => !finished.has(request.stream))
  const changed = resuming ? changedStreams(resuming.run, left) : []
  const beginning = new Set(changed.map(({ stream }) => stream))
  const proven = left.map(({ request }) => request.stream).filter((stream) => !beginning.has(stream))
  const previous = resuming && previousPlan(resuming, proven)
  const partitionBytes = pipeline.source.config.advanced.partitionBytes ?? askedBytes(agreed)
  const plan = await planAll(source, { reads: left.map(readStream), partitionBytes, previous }, contexts.source)
  const restarted = [...changed, ...plan.restart]
  const again = new Set(restarted.map(({ stream }) => stream))
  const streams = agreed.map((stream) => streamPlan(stream, resuming?.run, again.has(stream.request.stream)))
  const kept = new Set(plan.partitions.filter(({ stream }) => !again.has(stream)).map(({ id }) => id))
  const checkpoints = resuming?.checkpoints.filter(({ partition }) => kept.has(partition)) ?? []
  const epoch = (recalled?.run.epoch ?? 0) + 1
  const startedAt = resuming?.run.startedAt ?? new Date(contexts.source.clock.now()).toISOString()
  const id = resuming?.run.id ?? randomUUID().slice(0, 8)
  return {
    run: { pipeline: pipeline.name, id, epoch, fingerprint, startedAt, plan, streams },
    agreed,
    catalog,
    checkpoints: new Map(checkpoints.map((checkpoint) => [checkpoint.partition, checkpoint])),
    finished,
    resumed: resuming !== undefined,
    restarted,
  }
}

/** The last run when it was interrupted. Throws `config_changed` when it was begun under other settings. */
function resumable(recalled: Recalled | undefined, fingerprint: string): Recalled | undefined {
  if (recalled?.ended !== false) return undefined
  refuseChanged(recalled.run, fingerprint)
  return recalled
}

async function agreeAll(
  selected: readonly SelectedStream[],
  destination: DestinationDriver,
  context: Context,
): Promise<AgreedStream[]> {
  const targets = selected.map(({ info, options }) => options.target ?? info.name)
  refuseCollisions(selected, targets)
  const existing = (await destination.describe?.(targets, context)) ?? []
  const accept = destination.accept?.bind(destination) ?? acceptAsText
  const results = selected.map((stream, i) => agreeStream(stream, targets[i] as string, existing[i], accept))
  const problems = results.flatMap(({ problems: found, agreed }) =>
    found.map((problem): StreamProblem => ({ ...problem, text: `${agreed.request.stream}: ${problem.text}` })),
  )
  const [first] = problems
  if (first) {
    throw new NebulaError(first.code, {
      message: problems.map(({ text }) => text).join('\n'),
      ...(results.length === 1 ? { stream: results[0]?.agreed.request.stream ?? '' } : {}),
    })
  }
  return results.map(({ agreed }) => agreed)
}

function refuseCollisions(selected: readonly SelectedStream[], targets: readonly string[]): void {
  const streams = Map.groupBy(selected, (_, i) => targets[i] as string)
  const problems = [...streams]
    .filter(([, sharing]) => sharing.length > 1)
    .map(([target, sharing]) => `${sharing.map(({ info }) => info.name).join(' and ')} would be written to ${target}.`)
  if (problems.length > 0) throw new NebulaError('target_collision', { message: problems.join('\n') })
}

/** How a destination without `accept` keeps a stream: every column as text. */
function acceptAsText(
  _request: StreamRequest,
  schema: Schema,
  _wire: readonly string[],
  _target?: TargetInfo,
): Acceptance {
  const columns = schema.fields.map(() => ({ as: utf8, type: 'text', fidelity: 'exact' as const }))
  return { columns, ddl: [], guarantee: 'at_least_once', problems: [] }
}

export function readStream({ request, readSchema, wire, accepted }: AgreedStream): ReadStream {
  const decode = wire === undefined ? readSchema.fields.map((_, index) => index) : (accepted.replaced ?? [])
  return { request, schema: readSchema, decode, ...(wire === undefined ? {} : { wire }) }
}

interface PlanQuestion {
  readonly reads: readonly ReadStream[]
  readonly partitionBytes: number
  readonly previous: PreviousPlan | undefined
}

async function planAll(
  source: SourceDriver,
  { reads, partitionBytes, previous }: PlanQuestion,
  context: Context,
): Promise<Plan> {
  if (!source.plan) {
    const partitions = reads.map(({ request: { stream } }) => ({ id: stream, stream, range: null }))
    return { partitions, restart: [] }
  }
  return source.plan(reads, partitionBytes, previous, context)
}

/** The smallest partition that a destination asks for. */
function askedBytes(agreed: readonly AgreedStream[]): number {
  return Math.min(DEFAULT_PARTITION_BYTES, ...agreed.flatMap(({ accepted }) => accepted.partitionBytes ?? []))
}

/** The previous plan of the streams that need proof: neither finished, nor gone, nor about to begin again. */
function previousPlan(recalled: Recalled, proven: readonly string[]): PreviousPlan {
  const { plan } = recalled.run
  const partitions = plan.partitions.filter((partition) => proven.includes(partition.stream))
  const kept = new Set(partitions.map(({ id }) => id))
  const committed = recalled.checkpoints
    .filter((checkpoint) => kept.has(checkpoint.partition))
    .map(({ partition, counts }) => ({ partition, read: counts.read }))
  return { plan: { ...plan, partitions }, committed }
}

/** Streams whose columns are no longer those of the interrupted run. */
function changedStreams(run: Run, agreed: readonly AgreedStream[]): { stream: string; reason: string }[] {
  const before = new Map(run.streams.map((stream) => [stream.request.stream, schemaFingerprint(stream.schema)]))
  return agreed
    .filter(({ request }) => before.has(request.stream))
    .filter(({ request, writeSchema }) => before.get(request.stream) !== schemaFingerprint(writeSchema))
    .map(({ request }) => ({ stream: request.stream, reason: 'its columns changed' }))
}

function streamPlan(
  { request, targetKey, target, writeSchema, accepted }: AgreedStream,
  before: Run | undefined,
  again: boolean,
): StreamPlan {
  const generation = before?.streams.find((stream) => stream.request.stream === request.stream)?.generation ?? 0
  const written = { ...request, key: targetKey }
  return { request: written, target, schema: writeSchema, accepted, generation: generation + (again ? 1 : 0) }
}
