import { monotonicMs } from '@nebula/base'
import type { Catalog, Context, DestinationDriver, Lifecycle, TargetRequest } from '@nebula/core'
import type { Endpoint, Pipeline } from '@nebula/runtime'
import { chooseStreams, definedStreams, writeMode } from '@nebula/runtime'
import { withEnd } from './open-end.ts'
import type { PlanProblem } from './problems.ts'
import { exitCodeOf, problemOf, withFix } from './problems.ts'
import { streamCalled } from './stream-called.ts'

/** One end, or both, and what is asked of them. */
export interface EndsToCheck extends Pick<Pipeline, 'defaults' | 'streams'> {
  readonly source?: Endpoint
  readonly destination?: Endpoint
  /** The one stream, or target, that is meant. */
  readonly stream?: string | undefined
}

/** What an end answered. JSON; holds no secret. */
export interface CheckedEnd {
  readonly role: 'source' | 'destination'
  readonly connector: string
  /** It could be connected to, and answers. */
  readonly reachable: boolean
  /** Product and version; left out where the connector does not know. */
  readonly version?: string
  /** Milliseconds of one request to the open system; left out where the connector has none. */
  readonly latencyMs?: number
  /** Of a source: streams that its user may read, and the names of those that are there and may not be read. */
  readonly streams?: number
  readonly denied?: readonly string[]
  readonly problems: readonly PlanProblem[]
}

export interface CheckResult {
  readonly ends: readonly CheckedEnd[]
  readonly exitCode: number
}

/** Connects to the ends, asks each whether it answers, and which privileges are missing. Writes nothing. */
export async function checkEnds(ends: EndsToCheck): Promise<CheckResult> {
  const { source, destination, stream } = ends
  const checked: CheckedEnd[] = []
  let targets: TargetRequest[] = stream === undefined ? [] : [{ target: stream, mode: 'append' }]
  if (source) {
    const found = await checkSource(source, ends)
    checked.push(found.end)
    targets = found.targets
  }
  if (destination) checked.push(await checkDestination(destination, targets))
  return { ends: checked, exitCode: exitCodeOf(checked.flatMap(({ problems }) => problems)) }
}

async function checkSource(
  endpoint: Endpoint,
  ends: EndsToCheck,
): Promise<{ readonly end: CheckedEnd; readonly targets: TargetRequest[] }> {
  const end = { role: 'source' as const, connector: endpoint.connector.name }
  try {
    return await withEnd(endpoint, 'source', async (driver, context) => {
      const answer = await answerOf(driver, context)
      const catalog = await driver.discover(context, definedStreams(ends))
      const { targets, problems } = asked(catalog, ends)
      const { streams, denied = [] } = catalog
      return { end: { ...end, ...answer, streams: streams.length, denied, problems }, targets }
    })
  } catch (error) {
    return { end: { ...end, reachable: false, problems: [problemOf(error)] }, targets: [] }
  }
}

/** What is asked of the source and may not be read; the plan tells what is wrong otherwise. */
function asked(catalog: Catalog, ends: EndsToCheck): { targets: TargetRequest[]; problems: PlanProblem[] } {
  if (ends.stream !== undefined) {
    try {
      return { targets: [{ target: streamCalled(catalog, ends.stream).name, mode: 'overwrite' }], problems: [] }
    } catch (error) {
      return { targets: [], problems: [problemOf(error)] }
    }
  }
  const { selected, problems } = chooseStreams(catalog, ends)
  const targets = selected.map(({ info, options: { target = info.name, mode } }) => ({ target, mode: writeMode(mode) }))
  return { targets, problems: problems.filter(({ code }) => code === 'permission_denied').map(withFix) }
}

async function checkDestination(endpoint: Endpoint, targets: readonly TargetRequest[]): Promise<CheckedEnd> {
  const end = { role: 'destination' as const, connector: endpoint.connector.name }
  try {
    return await withEnd(endpoint, 'destination', async (driver, context) => {
      const answer = await answerOf(driver, context)
      return { ...end, ...answer, problems: await missing(driver, targets, context) }
    })
  } catch (error) {
    return { ...end, reachable: false, problems: [problemOf(error)] }
  }
}

async function missing(
  driver: DestinationDriver,
  targets: readonly TargetRequest[],
  context: Context,
): Promise<PlanProblem[]> {
  const checks = (await driver.check?.(targets, context)) ?? []
  const texts = checks.flatMap(({ problems }) => problems.filter(({ code }) => code === 'permission_denied'))
  return [...new Set(texts.map(({ message }) => message))].map((text) => withFix({ code: 'permission_denied', text }))
}

async function answerOf(
  driver: Lifecycle,
  context: Context,
): Promise<Pick<CheckedEnd, 'reachable' | 'version' | 'latencyMs'>> {
  const began = monotonicMs()
  await driver.ping?.(context)
  const latencyMs = Math.round((monotonicMs() - began) * 10) / 10
  const version = await driver.version?.(context)
  return {
    reachable: true,
    ...(version === undefined ? {} : { version }),
    ...(driver.ping ? { latencyMs } : {}),
  }
}
