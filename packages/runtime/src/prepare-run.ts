import { randomUUID } from 'node:crypto'
import type { StreamOffer } from '@nebula/base'
import { acceptStream, cursorMarks, respelledKey } from '@nebula/base'
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
  SourceDriver,
  StreamPlan,
  TargetInfo,
  TargetRequest,
} from '@nebula/core'
import { conditionColumns, fieldIndex, isNebulaError, NebulaError, schemaFingerprint } from '@nebula/core'
import { findTransform } from '@nebula/transforms'
import { cursorBasis, fingerprintOf, refuseChanged } from './fingerprint.ts'
import type { Pipeline } from './pipeline.ts'
import { writeMode } from './pipeline.ts'
import type { AgreedStream, StreamProblem } from './plan-stream.ts'
import { agreeStream } from './plan-stream.ts'
import type { SelectedStream } from './select-streams.ts'
import { chooseStreams, definedStreams } from './select-streams.ts'

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

/** What the ends of a pipeline agree about, and everything that stands against it. */
export interface Agreement {
  readonly catalog: Catalog
  readonly agreed: readonly AgreedStream[]
  /** What stands at the target of each of them. */
  readonly standing: readonly (TargetInfo | undefined)[]
  readonly problems: readonly StreamProblem[]
}

interface Contexts {
  readonly source: Context
  readonly destination: Context
}

/** Discovers, agrees and plans; changes nothing at either end. Every problem of every stream is one error. */
export async function prepareRun(
  pipeline: Pipeline,
  drivers: Drivers,
  recalled: Recalled | undefined,
  contexts: Contexts,
): Promise<PreparedRun> {
  const agreement = await agreePipeline(pipeline, drivers, contexts, recalled)
  refuse(agreement)
  return planRun(pipeline, { source: drivers.source, context: contexts.source }, agreement, recalled)
}

/** Discovers, and asks the destination about every stream that is to be read; changes nothing at either end. */
export async function agreePipeline(
  pipeline: Pipeline,
  { source, destination }: Drivers,
  contexts: Contexts,
  recalled: Recalled | undefined,
): Promise<Agreement> {
  const catalog = await source.discover(contexts.source, definedStreams(pipeline))
  const { limit } = pipeline.source.config.performance
  const { selected, problems } = chooseStreams(catalog, { ...pipeline, defaults: { limit, ...pipeline.defaults } })
  const found = await agreeAll(selected, { pipeline, destination, recalled }, contexts.destination)
  return { ...found, catalog, problems: [...problems, ...found.problems] }
}

/** The run of streams that nothing stands against: cut into partitions, or gone on with where it was interrupted. */
export async function planRun(
  pipeline: Pipeline,
  { source, context }: { readonly source: SourceDriver; readonly context: Context },
  { agreed, catalog }: Pick<Agreement, 'agreed' | 'catalog'>,
  recalled: Recalled | undefined,
): Promise<PreparedRun> {
  const fingerprint = fingerprintOf(pipeline, agreed)
  const resuming = resumable(recalled, fingerprint)
  const finished = new Set(resuming?.finished)
  const left = agreed.filter(({ request }) => !finished.has(request.stream))
  const changed = resuming ? changedStreams(resuming.run, left) : []
  const beginning = new Set(changed.map(({ stream }) => stream))
  const proven = left.map(({ request }) => request.stream).filter((stream) => !beginning.has(stream))
  const previous = resuming && previousPlan(resuming, proven)
  const partitionBytes = pipeline.source.config.advanced.partitionBytes ?? askedBytes(left, catalog)
  const plan = await planAll(source, { reads: left.map(readStream), partitionBytes, previous }, context)
  const restarted = [...changed, ...plan.restart]
  const again = new Set(restarted.map(({ stream }) => stream))
  const streams = agreed.map((stream) => streamPlan(stream, resuming?.run, again.has(stream.request.stream)))
  const kept = new Set(plan.partitions.filter(({ stream }) => !again.has(stream)).map(({ id }) => id))
  const checkpoints = resuming?.checkpoints.filter(({ partition }) => kept.has(partition)) ?? []
  const epoch = (recalled?.run.epoch ?? 0) + 1
  const id = resuming?.run.id ?? randomUUID().slice(0, 8)
  const startedAt = resuming?.run.startedAt ?? context.clock.now()
  return {
    run: { pipeline: pipeline.name, id, epoch, startedAt, fingerprint, plan, streams, from: cursorMarks(recalled) },
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

interface Agreeing {
  readonly pipeline: Pipeline
  readonly destination: DestinationDriver
  readonly recalled: Recalled | undefined
}

async function agreeAll(
  selected: readonly SelectedStream[],
  { pipeline, destination, recalled }: Agreeing,
  context: Context,
): Promise<Omit<Agreement, 'catalog'>> {
  const marks = cursorMarks(recalled)
  const targets = selected.map(({ info, options: { target = info.name, mode, deletes } }) => {
    return { target, mode: writeMode(mode), deletes: deletes === 'hard' }
  })
  const checks = (await destination.check?.(targets, context)) ?? []
  const sound = targets.filter((_, i) => checks[i]?.problems.every(({ code }) => code === 'permission_denied') ?? true)
  const names = [...new Set(sound.map(({ target }) => target))]
  const described = await describeTargets(destination, names, context).catch((error: unknown) => {
    // What cannot be looked at because of a problem that is told anyway is no error of its own.
    if (checks.some(({ problems }) => problems.length > 0) && isNebulaError(error)) return []
    throw error
  })
  const existing = new Map(names.map((name, i) => [name, described[i]]))
  const accept = (offer: StreamOffer): Acceptance => acceptStream(destination, offer)
  const code = await Promise.all(
    selected.map(async ({ options }) => options.transform && findTransform(options.transform)),
  )
  const results = selected.map((stream, i) => {
    const { target } = targets[i] as TargetRequest
    const standing = existing.get(target)
    const found = code[i] || undefined
    const basis = cursorBasis(pipeline.source, stream, found)
    const mark = standing && marks[stream.info.name]
    const known = { code: found, basis, mark: mark?.target === target && mark.basis === basis ? mark : undefined }
    const result = agreeStream({ ...stream, ...known }, target, standing, accept)
    const before = recalled?.run.streams.find(({ request }) => request.stream === stream.info.name)
    const again = result.agreed.request.mode === 'merge' && respelledKey(before, result.agreed, standing)
    if (again) result.problems.push({ ...again, text: again.message })
    return result
  })
  const problems = results.flatMap(({ problems: found, agreed: { request } }, i) => [
    ...(checks[i]?.problems ?? []).map(({ code, message }) => ({ code, stream: request.stream, text: message })),
    ...found.map((problem): StreamProblem => ({ ...problem, stream: request.stream })),
  ])
  const identities = targets.map(({ target }, i) => checks[i]?.identity ?? target)
  return {
    agreed: results.map(({ agreed }) => agreed),
    standing: targets.map(({ target }) => existing.get(target)),
    problems: [...collisions(selected, identities), ...problems],
  }
}

async function describeTargets(
  destination: DestinationDriver,
  targets: readonly string[],
  context: Context,
): Promise<(TargetInfo | undefined)[]> {
  return (await destination.describe?.(targets, context)) ?? []
}

function collisions(selected: readonly SelectedStream[], identities: readonly string[]): StreamProblem[] {
  const streams = Map.groupBy(selected, (_, i) => identities[i] as string)
  return [...streams]
    .filter(([, sharing]) => sharing.length > 1)
    .map(([target, sharing]) => {
      const text = `${sharing.map(({ info }) => info.name).join(' and ')} would be written to ${target}.`
      return { code: 'target_collision', text }
    })
}

/** Throws all problems as one error. */
function refuse({ agreed, problems }: Agreement): void {
  const [first] = problems
  if (!first) return
  const only = agreed.length === 1 ? agreed[0]?.request.stream : undefined
  const named = problems.map(({ stream, text }) => (stream === undefined || only ? text : `${stream}: ${text}`))
  throw new NebulaError(first.code, {
    message: named.join('\n'),
    ...(only === undefined ? {} : { stream: only }),
  })
}

export function readStream({ request, readSchema, wire, accepted, transform }: AgreedStream): ReadStream {
  const replaced = wire === undefined ? readSchema.fields.map((_, index) => index) : (accepted.replaced ?? [])
  const cursor = request.cursor === undefined ? [] : [request.cursor]
  const names = [...(transform.where ? conditionColumns(transform.where) : []), ...cursor]
  const looked = names.map((name) => fieldIndex(readSchema, name))
  const decode = looked.length === 0 ? replaced : [...new Set([...replaced, ...looked])]
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

/** The smallest partition that a destination asks for, but none that a source of the streams would rather not cut. */
function askedBytes(agreed: readonly AgreedStream[], { streams }: Catalog): number {
  const names = new Set(agreed.map(({ request }) => request.stream))
  const least = streams.flatMap(({ name, partitionBytes }) => (names.has(name) ? (partitionBytes ?? 0) : []))
  const asked = Math.min(DEFAULT_PARTITION_BYTES, ...agreed.flatMap(({ accepted }) => accepted.partitionBytes ?? []))
  return Math.max(asked, ...least)
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

/** Streams that are no longer what they were in the interrupted run. */
function changedStreams(run: Run, agreed: readonly AgreedStream[]): { stream: string; reason: string }[] {
  const before = new Map(run.streams.map((stream) => [stream.request.stream, stream]))
  return agreed.flatMap(({ request, writeSchema }) => {
    const { stream, since } = request
    const was = before.get(stream)
    if (!was) return []
    if (schemaFingerprint(was.schema) !== schemaFingerprint(writeSchema))
      return [{ stream, reason: 'its columns changed' }]
    return was.request.since === since ? [] : [{ stream, reason: 'its target is not the one that it came to' }]
  })
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
