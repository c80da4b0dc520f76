import type { PlannedStream } from '@nebula/inspect'
import type { Report } from '@nebula/runtime'
import type { RoutePlace } from './route-place.ts'

/** Where collections stay on their way: under which names, and what brings them back. */
export interface Stopover {
  readonly destination: object
  readonly source: object
  /** The name of a stream there, and what the way back says of it. */
  back(stream: PlannedStream): readonly [name: string, options: object]
}

/** What a way there and back did. */
export interface Journey {
  /** What the way there was planned to do, and the way back. */
  readonly there: readonly PlannedStream[]
  readonly back: readonly PlannedStream[]
  readonly reports: readonly [Report, Report]
}

export async function postgresStopover(place: RoutePlace): Promise<Stopover> {
  const end = { connector: 'postgres', url: await place.postgres() }
  return {
    source: end,
    destination: end,
    back: ({ target, columns }) => {
      const dates = columns.filter(({ from }) => from === 'date').map(({ name }) => name)
      const extended = columns.some(({ from }) => from === 'extended')
      return [`public.${target}`, { allow_loss: dates, ...(extended ? { cast: { _id: 'json' } } : {}) }]
    },
  }
}

export function csvStopover(place: RoutePlace): Stopover {
  return {
    destination: { connector: 'csv', path: place.folder },
    source: { connector: 'csv', path: place.folder },
    back: ({ target, columns }) => {
      const dates = columns.filter(({ from }) => from === 'date').map(({ name }) => name)
      // A file does not say what its texts are.
      const types = columns.map(({ name, from, written }) => [name, from === 'extended' ? 'json' : written])
      return [target, { allow_loss: dates, types: Object.fromEntries(types) }]
    },
  }
}

/**
 * Moves collections to another system, and from there back into collections whose names end with `_back`; with more
 * options of the source on the way there, and of the destination on the way back.
 */
export async function thereAndBack(
  place: RoutePlace,
  stopover: Stopover,
  collections: { readonly [name: string]: object },
  { source, destination }: { readonly source?: object; readonly destination?: object } = {},
): Promise<Journey> {
  const mongo = { connector: 'mongo', url: place.url }
  const defaults = { mode: 'overwrite', max_errors: 100 }
  const out = { source: { ...mongo, ...source }, destination: stopover.destination, defaults, streams: collections }
  const there = (await place.plan(out)).streams
  const first = await place.run(out)
  const streams = Object.fromEntries(
    there.map((stream) => {
      const [name, options] = stopover.back(stream)
      return [name, { target: `${stream.target}_back`, ...options }]
    }),
  )
  const ids = there.flatMap(({ columns }) => columns.filter(({ from }) => from === 'objectId').map(({ name }) => name))
  const end = { ...mongo, ...destination, object_ids: [...new Set(ids)] }
  const home = { source: stopover.source, destination: end, defaults, streams }
  const back = (await place.plan(home)).streams
  return { there, back, reports: [first, await place.run(home)] }
}
