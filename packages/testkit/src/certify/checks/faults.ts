import type { ErrorCode, Lifecycle } from '@nebula/core'
import { BaseConfig } from '@nebula/core'
import type { Report } from '@nebula/runtime'
import type { FaultProxy } from '../../fault-proxy.ts'
import { memoryConnector } from '../../memory/memory-connector.ts'
import { memoryDestination, MemoryTarget } from '../../memory/memory-destination.ts'
import type { Row } from '../../memory/memory-connector.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectFailure, expectNebulaError } from '../expect-failure.ts'
import { expectRows } from '../expect-rows.ts'
import { noServer } from '../needs.ts'
import type { Move, Place } from '../place.ts'
import { sampleTable } from '../sample-table.ts'
import type { Keys, Subject } from '../subject.ts'
import { Tap } from '../tap.ts'
import type { TapHooks } from '../tap.ts'
import { rowsAt } from '../table-rows.ts'
import { within } from '../within.ts'

const TABLE = sampleTable('faulty', 2_000, 100)
const BATCH_ROWS = 250
/** Places in the stream of bytes, one way, at which a connection is cut. */
const CUTS = 3
/** For everything that has a limit; a system that does not answer is given up after it. */
const LIMIT_MS = 300
/** By then whoever waits has passed every limit that there is, one after the other. */
const GIVEN_UP_MS = 5_000

/** What a network or server that fails may be called. */
const PASSING: readonly ErrorCode[] = [
  'connection_failed',
  'connection_lost',
  'timeout',
  'server_busy',
  'conflict',
  'source_changed',
  'circuit_open',
]

/** Something to move through the proxy, again and again under one name, and how to see that all of it arrived. */
interface Route {
  readonly move: (move: Move) => Promise<Report>
  readonly rows: () => Promise<readonly Row[]>
}

async function reading(place: Place): Promise<Route> {
  await place.create(TABLE)
  const target = new MemoryTarget()
  const connector = memoryConnector('memory', { destination: () => memoryDestination({ target }) })
  const to = { connector, config: BaseConfig.parse({}) }
  return {
    move: (move) => place.readInto(to, TABLE, move),
    rows: async () => rowsAt(place.subject, target, TABLE, place.streamOf(TABLE.name)),
  }
}

async function writing(place: Place): Promise<Route> {
  return { move: (move) => place.write(TABLE, move), rows: () => place.contents(TABLE) }
}

/** The network and the server fail: what that is called, how long it takes, and that nothing is lost or doubled by it. */
export const faultChecks: readonly Check[] = [
  {
    group: 'faults',
    name: 'says at once that nobody listens',
    exempt: noServer,
    run: async (place) => {
      const { proxy, keys } = await place.proxy({ reliability: { maxRetries: 0 } })
      await using _proxy = proxy
      proxy.refuse()
      for (const driver of drivers(place, keys)) {
        const opening = async (): Promise<void> => {
          await driver.open?.(place.context({ keys }))
          if ('ping' in driver) await driver.ping?.(place.context({ keys }))
        }
        try {
          const refused = expectFailure(opening, 'A server that is not there', ['connection_failed', 'server_busy'])
          const error = await within(GIVEN_UP_MS, 'Connecting to nobody', refused)
          if (!error.retryable) throw new Error(`${error.code} says that trying again cannot help.`)
        } finally {
          await driver.close?.()
        }
      }
    },
  },
  ...both('loses and doubles nothing when connections are cut', noServer, (what) => async (place) => {
    const { route, proxy, keys } = await through(place, what)
    await using _proxy = proxy
    const before = { toClient: proxy.toClient.bytes, toServer: proxy.toServer.bytes }
    expectDone(await route.move({ batchRows: BATCH_ROWS, keys }))
    const way = what === 'reading' ? ('toClient' as const) : ('toServer' as const)
    const bytes = proxy[way].bytes - before[way]
    const patient = { ...keys, reliability: { maxRetries: 3, retryDelay: 1 } }
    for (let i = 0; i < CUTS; i++) {
      const at = Math.floor((bytes * (i + 0.5)) / CUTS)
      const doing = `A connection that was cut after ${at} bytes`
      void proxy[way].after(at, (connection) => connection.cut(i % 2 === 0 ? 'reset' : 'end'))
      const move = { keys: patient, pipeline: pipelineOf(what), batchRows: BATCH_ROWS }
      const code = await within(GIVEN_UP_MS, doing, attempt(route, move))
      if (code !== undefined) {
        expectPassing(code, doing)
        await expectArrival(route, move, doing)
      } else await expectAllThere(route, doing)
    }
  }),
  ...both('gives up a server that is silent, and goes on when it answers', noServer, (what) => async (place) => {
    const { route, proxy, keys } = await through(place, what)
    await using _proxy = proxy
    const before = proxy.toClient.bytes
    expectDone(await route.move({ batchRows: BATCH_ROWS, keys }))
    const half = Math.floor((proxy.toClient.bytes - before) / 2)
    for (const point of SILENT_AT[what]) {
      const tap = new Tap({
        before: ({ method }) => {
          if (method === point) proxy.blackHole()
        },
      })
      // Between two calls all rows may have come already.
      if (point === 'half of the rows') void proxy.toClient.after(half, () => proxy.blackHole())
      const move = { keys: { ...keys, ...limitsAt(point) }, pipeline: pipelineOf(what) }
      const doing = `A server that is silent at ${point}`
      const code = await within(GIVEN_UP_MS, doing, attempt(route, { ...move, tap }))
      if (code === undefined) throw new Error(`${doing} is taken for one that answers.`)
      expectPassing(code, doing)
      proxy.cutAll('reset')
      await proxy.heal()
      await expectArrival(route, { keys, pipeline: move.pipeline, batchRows: BATCH_ROWS }, doing)
    }
  }),
  ...both('gets through a slow network', noServer, (what) => async (place) => {
    const { route, proxy, keys } = await through(place, what)
    await using _proxy = proxy
    proxy.toClient.latencyMs = 5
    proxy.toServer.latencyMs = 5
    expectDone(await route.move({ batchRows: BATCH_ROWS, keys }))
    expectRows(await route.rows(), TABLE.rows)
  }),
  ...both('loses and doubles nothing when the server is killed and starts again', noKills, (what) => async (place) => {
    const route = await (what === 'reading' ? reading(place) : writing(place))
    for (const point of what === 'reading' ? ['read next'] : ['write', 'commit', 'finish']) {
      const hooks: TapHooks = {
        before: ({ method, index }) => {
          if (method === point && index === 0) place.server?.kill('SIGKILL')
        },
      }
      const move = { keys: { reliability: { maxRetries: 0 } }, pipeline: pipelineOf(what), batchRows: BATCH_ROWS }
      const doing = `A server that was killed at ${point}`
      const code = await within(GIVEN_UP_MS, doing, attempt(route, { ...move, tap: new Tap(hooks) }))
      await place.server?.restart()
      if (code !== undefined) expectPassing(code, doing)
      if (code === undefined) await expectAllThere(route, doing)
      else await expectArrival(route, move, doing)
    }
  }),
]

type What = 'reading' | 'writing'

/** ... whose server may not be killed. */
function noKills(subject: Subject): string | undefined {
  return subject.lacks?.includes('kills') ? 'its server may not be killed' : noServer(subject)
}

/** The same check for each end. */
function both(name: string, exempt: typeof noServer, run: (what: What) => Check['run']): readonly Check[] {
  return (['reading', 'writing'] as const).map((what) => ({
    group: 'faults',
    name: `${name}: ${what}`,
    exempt: (subject) => {
      const { source, destination } = subject.connector
      if (!(what === 'reading' ? source : destination))
        return `it is no ${what === 'reading' ? 'source' : 'destination'}`
      return exempt(subject)
    },
    run: run(what),
  }))
}

const SILENT_AT = {
  reading: ['open', 'discover', 'half of the rows'],
  writing: ['recall', 'write', 'commit'],
} as const satisfies Record<What, readonly string[]>

/** A limit to everything that has one. Where rows fall silent, what comes before them is not to be late on a busy machine. */
function limitsAt(point: string): Keys {
  const before = point === 'half of the rows' ? GIVEN_UP_MS / 2 : LIMIT_MS
  return {
    timeouts: { connection: before, request: before, queryTimeout: before, read: LIMIT_MS, write: LIMIT_MS },
    performance: { batchSize: BATCH_ROWS, flushInterval: LIMIT_MS / 4 },
    reliability: { maxRetries: 0 },
  }
}

const pipelineOf = (what: What): { name: string; parallel: number } => ({ name: `faulty-${what}`, parallel: 1 })

async function through(place: Place, what: What): Promise<{ route: Route; proxy: FaultProxy; keys: Keys }> {
  const route = await (what === 'reading' ? reading(place) : writing(place))
  return { route, ...(await place.proxy()) }
}

function drivers(place: Place, keys: Keys): readonly Lifecycle[] {
  const { source, destination } = place.subject.connector
  return [...(source ? [place.source(keys)] : []), ...(destination ? [place.destination(keys)] : [])]
}

/** The code with which a run fails; undefined: it does not. */
async function attempt(route: Route, move: Move): Promise<ErrorCode | undefined> {
  try {
    const report = await route.move(move)
    if (report.status === 'done') return undefined
    const error = report.streams.find((stream) => stream.error)?.error
    return (error?.code ?? 'internal') as ErrorCode
  } catch (error) {
    return expectNebulaError(error, 'The run').code
  }
}

function expectPassing(code: ErrorCode, what: string): void {
  if (!PASSING.includes(code)) throw new Error(`${what} is told as ${code}, which is no failure that passes.`)
}

/** The same command, once the fault is over, comes to the end with every row once. */
async function expectArrival(route: Route, move: Move, what: string): Promise<void> {
  try {
    expectDone(await route.move(move))
  } catch (error) {
    throw new Error(`${what}, and the next run: ${(error as Error).message}`, { cause: error })
  }
  await expectAllThere(route, what)
}

async function expectAllThere(route: Route, what: string): Promise<void> {
  try {
    expectRows(await route.rows(), TABLE.rows)
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error })
  }
}
