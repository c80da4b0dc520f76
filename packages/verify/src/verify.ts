import { availableParallelism } from 'node:os'
import { createContext, Managed, monotonicMs } from '@nebula/base'
import type { Catalog, Logger, Plan, ReadBack, ReadStream, SourceDriver } from '@nebula/core'
import { ERROR_CODES, NebulaError, toNebulaError } from '@nebula/core'
import type { AgreedStream, OpenPipeline, Pipeline } from '@nebula/runtime'
import { openPipeline, prepareRun, readStream } from '@nebula/runtime'
import { createShaper } from '@nebula/transforms'
import type { Comparison } from './compare.ts'
import { compareSides } from './compare.ts'
import { DigestSide } from './digest-side.ts'
import type { Pair } from './pair.ts'
import { comparedAs, pairStream } from './pair.ts'
import type { End } from './read-all.ts'
import { ReadingSide } from './reading-side.ts'
import type { StreamVerification, VerifyReport } from './report.ts'
import type { Side } from './side.ts'

export interface VerifyOptions {
  readonly signal?: AbortSignal
  readonly logger?: Logger
  /** Called when a stream was compared. */
  readonly onStream?: (stream: StreamVerification) => void
  /** Differences of a stream that are told one by one. */
  readonly limit?: number
}

/** What a report tells of one stream, at most. */
const LIMIT = 100
const DEFAULT_PARTITION_BYTES = 32_000_000
/** A guess at the length of a row, where only bytes are known. */
const ROW_BYTES = 100

/**
 * Compares what a pipeline says should have arrived with what its targets hold. Each end is read under a snapshot of its
 * own; changes nothing. Throws what stops it before the first stream; later failures are in the report.
 */
export async function verifyPipeline(pipeline: Pipeline, options: VerifyOptions = {}): Promise<VerifyReport> {
  const startedAt = Date.now()
  const { signal = new AbortController().signal, logger } = options
  const shared = { signal, ...(logger ? { logger } : {}) }
  const open = await openPipeline(pipeline, shared)
  try {
    const { connector, config } = pipeline.destination
    if (!connector.source) throw new NebulaError('unsupported', { message: cannotRead(connector.name) })
    const context = createContext({ ...shared, config, name: connector.name })
    await using reader = new Managed(connector.name, connector.source(config))
    const driver = await reader.open(context)
    const streams = await verifyOpen(pipeline, options, open, { driver, context, config })
    return createReport(pipeline, startedAt, streams)
  } finally {
    await open.close()
  }
}

function cannotRead(connector: string): string {
  return `The connector ${connector} cannot be read from, so what it holds cannot be compared.`
}

async function verifyOpen(
  pipeline: Pipeline,
  options: VerifyOptions,
  { drivers, contexts }: OpenPipeline,
  reader: Pick<End, 'driver' | 'context' | 'config'>,
): Promise<StreamVerification[]> {
  // A mode that nobody wrote must not keep anybody from looking at a table.
  const asked = { ...pipeline, defaults: { mode: 'overwrite' as const, ...pipeline.defaults } }
  const { agreed, catalog, run } = await prepareRun(asked, drivers, undefined, contexts)
  const backs = agreed.map(({ target, request }): ReadBack => {
    return drivers.destination.readBack?.(target, request.mode) ?? { stream: target }
  })
  const standing = await drivers.destination.describe?.(
    agreed.map(({ target }) => target),
    contexts.destination,
  )
  const sought = backs.filter((_, i) => standing?.[i] || agreed[i]?.request.mode === 'append')
  const targets = await discoverTargets(reader, sought)
  const paired = agreed.map((stream, i) => pairOf(stream, backs[i] as ReadBack, catalog, targets))
  const present = paired.flatMap((pair) => pair?.target ?? [])
  const parallel = Math.max(1, Math.ceil((pipeline.parallel ?? availableParallelism()) / 2))
  const source: End = {
    driver: drivers.source,
    context: contexts.source,
    config: pipeline.source.config,
    plan: run.plan,
    parallel,
  }
  const plan = await planTargets(reader.driver, present, reader.context)
  const found: StreamVerification[] = []
  for (const [i, stream] of agreed.entries()) {
    const pair = paired[i]
    const estimated = estimateOf(stream, catalog)
    const ends = { source, destination: { ...reader, plan, parallel } }
    const verified = await verifyStream(stream, pair, { ends, estimated, limit: options.limit ?? LIMIT })
    options.onStream?.(verified)
    found.push(verified)
  }
  return found
}

async function discoverTargets(
  { driver, context }: Pick<End, 'driver' | 'context'>,
  sought: readonly ReadBack[],
): Promise<Catalog> {
  if (sought.length === 0) return { streams: [] }
  const defined = sought.flatMap(({ stream, path }) => (path === undefined ? [] : [{ stream, path }]))
  return driver.discover(context, defined)
}

function pairOf(agreed: AgreedStream, back: ReadBack, source: Catalog, targets: Catalog): Pair | undefined {
  const info = source.streams.find(({ name }) => name === agreed.request.stream)
  const target = targets.streams.find(({ name }) => name === back.stream)
  return info && target && pairStream(agreed, info, target, back)
}

async function planTargets(driver: SourceDriver, reads: readonly ReadStream[], context: End['context']): Promise<Plan> {
  if (driver.plan && reads.length > 0) return driver.plan(reads, DEFAULT_PARTITION_BYTES, undefined, context)
  return { partitions: reads.map(({ request: { stream } }) => ({ id: stream, stream, range: null })), restart: [] }
}

function estimateOf({ request }: AgreedStream, { streams }: Catalog): number {
  const info = streams.find(({ name }) => name === request.stream)
  return info?.rows ?? (info?.bytes ?? 0) / ROW_BYTES
}

interface StreamTask {
  readonly ends: { readonly source: End; readonly destination: End }
  readonly estimated: number
  readonly limit: number
}

async function verifyStream(
  agreed: AgreedStream,
  pair: Pair | undefined,
  task: StreamTask,
): Promise<StreamVerification> {
  const began = monotonicMs()
  const { request, target } = agreed
  const facts = {
    stream: request.stream,
    target,
    mode: request.mode,
    moreAllowed: mayHoldMore(agreed),
    key: pair?.key ?? [],
    uncompared: pair?.uncompared ?? [],
  }
  const seconds = (): number => (monotonicMs() - began) / 1000
  try {
    const { comparison, ...rest } = await comparePair(agreed, pair, task)
    const { missing, extra, changed, differing } = comparison
    const wrong = missing + changed + (facts.moreAllowed ? 0 : extra) + rest.unreadable.destination
    // Hashes that differ in their sums and in no row would be a fault of the sums: better told than hidden.
    const equal = wrong === 0 && (differing.length === 0 || missing + extra + changed > 0)
    return { ...facts, status: equal ? 'equal' : 'different', ...comparison, ...rest, seconds: seconds() }
  } catch (thrown) {
    const { code, message, fix } = toNebulaError(thrown)
    if (code === 'aborted') throw thrown
    const status = code === 'verify_differs' ? 'different' : 'failed'
    return { ...facts, status, error: { code, message, fix }, seconds: seconds() }
  }
}

/** True when a target may have rows that the source does not have. */
function mayHoldMore({ request, options }: AgreedStream): boolean {
  return request.mode !== 'overwrite' && options.deletes !== 'hard'
}

interface Compared {
  readonly comparison: Comparison
  readonly method: 'database' | 'reading'
  readonly unreadable: { readonly source: number; readonly destination: number }
}

async function comparePair(
  agreed: AgreedStream,
  pair: Pair | undefined,
  { ends, estimated, limit }: StreamTask,
): Promise<Compared> {
  const { target } = agreed
  if (!pair) {
    throw new NebulaError('verify_differs', { message: `There is no ${target} at the destination.` })
  }
  if (pair.absent.length > 0) {
    const message = `${target} has no column ${pair.absent.join(', ')}.`
    throw new NebulaError('verify_differs', { message })
  }
  const { source, destination } = pair.digestible ? digestSides(pair, ends) : await readingSides(pair, ends)
  const comparison = await compareSides(source, destination, {
    columns: pair.columns.map(({ name }) => name),
    key: pair.key,
    estimatedRows: estimated,
    moreAllowed: mayHoldMore(agreed),
    limit,
  })
  const unreadable = { source: source.unreadable, destination: destination.unreadable }
  return { comparison, method: pair.digestible ? 'database' : 'reading', unreadable }
}

interface Sides {
  readonly source: Side
  readonly destination: Side
}

function digestSides({ agreed, columns, key, target }: Pair, ends: StreamTask['ends']): Sides {
  const keyed = columns.filter(({ name }) => key.includes(name))
  return {
    source: new DigestSide({
      end: ends.source,
      stream: withoutWire(readStream(agreed)),
      columns: columns.map(({ source }) => source),
      key: keyed.map(({ source }) => source.name),
    }),
    destination: new DigestSide({
      end: ends.destination,
      stream: target,
      columns: columns.map(({ destination }) => destination),
      key: keyed.map(({ destination }) => destination.name),
    }),
  }
}

async function readingSides({ agreed, columns, key, target }: Pair, ends: StreamTask['ends']): Promise<Sides> {
  const places = columns.flatMap(({ name }, place) => (key.includes(name) ? [place] : []))
  const shaper = await createShaper(agreed)
  return {
    source: new ReadingSide({
      end: ends.source,
      stream: withoutWire(readStream(agreed)),
      columns: columns.map(({ index }) => index),
      key: places,
      ...(shaper && { shaper }),
    }),
    destination: new ReadingSide({
      end: ends.destination,
      stream: target,
      columns: columns.map((_, index) => index),
      key: places,
    }),
  }
}

/** The same columns, all of them decoded. */
function withoutWire({ request, schema }: ReadStream): ReadStream {
  const fields = schema.fields.map((field) => ({ ...field, type: comparedAs(field) }))
  return { request, schema: { fields }, decode: fields.map((_, index) => index) }
}

function createReport(pipeline: Pipeline, startedAt: number, streams: readonly StreamVerification[]): VerifyReport {
  const differs = streams.some(({ status }) => status === 'different')
  const failed = streams.find(({ status }) => status === 'failed')
  const failure = failed?.error ? ERROR_CODES[failed.error.code].exit : 1
  return {
    pipeline: pipeline.name,
    status: failed ? 'failed' : differs ? 'different' : 'equal',
    exitCode: differs ? ERROR_CODES.verify_differs.exit : failed ? failure : 0,
    startedAt: new Date(startedAt).toISOString(),
    seconds: (Date.now() - startedAt) / 1000,
    streams,
  }
}
