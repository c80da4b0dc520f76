import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { Lifecycle } from '@nebula/core'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectNebulaError } from '../expect-failure.ts'
import { expectRows } from '../expect-rows.ts'
import { noDestination, noServer, noSource } from '../needs.ts'
import type { Move, Place } from '../place.ts'
import { Resources } from '../resources.ts'
import { sampleTable } from '../sample-table.ts'
import type { Keys } from '../subject.ts'
import { Tap } from '../tap.ts'
import type { TappedCall } from '../tap.ts'
import { within } from '../within.ts'

/** A second, and another for a machine that is busy. */
const STOPPING_MS = 2_000
/** Nobody waits longer for a driver that does not stop. */
const HANGING_MS = 5_000

const TABLE = sampleTable('stopped', 3_000)

/** Stopping a driver in the middle of everything that it does; where there is a server, while that is silent. */
export const abortChecks: readonly Check[] = [
  {
    group: 'contract',
    name: 'ends reading within a second of being stopped, wherever it is',
    exempt: noSource,
    run: async (place) => {
      await place.create(TABLE)
      await stopEverywhere(place, async (move) => (await place.read(TABLE, move)).report)
    },
  },
  {
    group: 'contract',
    name: 'ends writing within a second of being stopped, wherever it is',
    exempt: noDestination,
    run: async (place) => {
      const pipeline = { name: 'stopped', parallel: 1 }
      await stopEverywhere(place, (move) => place.write(TABLE, { ...move, pipeline }))
      expectRows(await place.contents(TABLE), TABLE.rows)
    },
  },
  {
    group: 'contract',
    name: 'lets go of a connection that is being made when it is stopped',
    exempt: noServer,
    run: async (place) => {
      const { source, destination } = place.subject.connector
      if (source) await stopConnecting(place, (keys) => place.source(keys))
      if (destination) await stopConnecting(place, (keys) => place.destination(keys))
    },
  },
]

/** Before a server that accepts and says nothing. */
async function stopConnecting(place: Place, construct: (keys: Keys) => Lifecycle): Promise<void> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
    socket.resume()
  })
  await using _listener = server
  server.listen(0, '127.0.0.1')
  const accepted = once(server, 'connection')
  await once(server, 'listening')
  const keys = place.subject.through?.(place.keys, (server.address() as AddressInfo).port) ?? {}
  const stop = new AbortController()
  const driver = construct(keys)
  const opening = driver.open?.(place.context({ keys, signal: stop.signal })).catch(() => {})
  await accepted
  stop.abort()
  try {
    await within(STOPPING_MS, 'Connecting', opening ?? Promise.resolve())
    await within(STOPPING_MS, 'Closing', driver.close?.() ?? Promise.resolve())
    const gone = Promise.all([...sockets].map((socket) => once(socket, 'close')))
    await within(STOPPING_MS, 'A connection that was being made', gone)
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

async function stopEverywhere(place: Place, run: (move: Move) => ReturnType<Place['run']>): Promise<void> {
  const proxied = place.server ? await place.proxy() : undefined
  await using _proxy = proxied?.proxy
  const shared: Move = { batchRows: 1_000, ...(proxied ? { keys: proxied.keys } : {}) }
  const seen = new Tap()
  expectDone(await run({ ...shared, tap: seen }))
  const before = Resources.now()
  for (const point of points(seen.calls)) {
    const stop = new AbortController()
    let stoppedAt = Infinity
    const isPoint = ({ method, index }: TappedCall): boolean => method === point.method && index === point.index
    const tap = new Tap({
      before: (call) => isPoint(call) && proxied?.proxy.blackHole(),
      during: (call) => {
        if (!isPoint(call)) return
        setImmediate(() => {
          stoppedAt = performance.now()
          stop.abort()
        })
      },
    })
    const ended = run({ ...shared, tap, signal: stop.signal }).then(undefined, (error: unknown) => {
      const { code } = expectNebulaError(error, `A run that was stopped during ${point.method}`)
      if (code !== 'aborted')
        throw new Error(`Stopped during ${point.method}, it failed with ${code}.`, { cause: error })
    })
    await within(HANGING_MS, `Stopped during ${point.method}, the run`, ended)
    for (const { method, beganAt, endedAt = Infinity } of tap.calls) {
      if (endedAt - Math.max(beganAt, stoppedAt) > STOPPING_MS)
        throw new Error(`Stopped during ${point.method}, ${method} went on for more than a second.`)
    }
    proxied?.proxy.cutAll('reset')
    await proxied?.proxy.heal()
  }
  await before.expectNothingLeft('What was stopped')
  // And the same command comes to its end.
  expectDone(await run(shared))
}

/** Every method that was asked; of those that were asked often, the first two and the last time. */
function points(calls: readonly TappedCall[]): readonly TappedCall[] {
  const methods = Map.groupBy(
    calls.filter(({ method }) => method !== 'close'),
    ({ method }) => method,
  )
  return [...methods.values()].flatMap((all) => [...new Set([...all.slice(0, 2), ...all.slice(-1)])])
}
