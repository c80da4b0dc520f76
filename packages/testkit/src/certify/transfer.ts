import type { Mode, ReadBack, StreamDefinition } from '@nebula/core'
import { BaseConfig } from '@nebula/core'
import type { Endpoint, Pipeline, Report, StreamOptions } from '@nebula/runtime'
import { openPipeline, runPipeline } from '@nebula/runtime'
import type { Faults, Row } from '../memory/memory-connector.ts'
import { memoryConnector } from '../memory/memory-connector.ts'
import { memoryDestination, MemoryTarget } from '../memory/memory-destination.ts'
import type { MemorySource } from '../memory/memory-source.ts'
import { memorySource } from '../memory/memory-source.ts'
import { expectDone } from './expect-done.ts'
import type { Place } from './place.ts'
import type { Keys, Subject } from './subject.ts'
import type { Table } from './table.ts'

/** How tables are moved between memory and a place. */
export interface Transfer {
  readonly mode?: Mode
  /** More of what a pipeline file says, for every stream. */
  readonly stream?: StreamOptions
  readonly pipeline?: Partial<Pipeline>
  /** Read in the types that the source gives, whatever those of the table are. */
  readonly asFound?: boolean
  /** Keys for the memory end: sections of its configuration. */
  readonly memory?: Keys
  /** The subject's end; left out: the place with its own keys. */
  readonly end?: Endpoint
  readonly signal?: AbortSignal
}

/** Retries wait for nobody: what passes has passed at once. */
export const IMPATIENT: Keys = { reliability: { retryDelay: '1ms', maxRetryDelay: '1ms' } }

/** A pipeline from memory into the place. */
function writing(place: Place, source: MemorySource, transfer: Transfer = {}): Pipeline {
  const from = memoryConnector('memory', { source: () => memorySource(source) })
  const { mode = 'overwrite', stream } = transfer
  return {
    ...base(place, 'write', transfer),
    source: { connector: from, config: memoryConfig(transfer) },
    destination: transfer.end ?? place.endpoint(),
    streams: Object.fromEntries(source.streams.map(({ name }) => [name, { mode, ...stream }])),
  }
}

/** Moves tables from memory into the place by one run. */
export function write(place: Place, source: MemorySource, transfer: Transfer = {}): Promise<Report> {
  const { signal } = transfer
  return runPipeline({ ...writing(place, source, transfer), ...transfer.pipeline }, signal ? { signal } : {})
}

/** The same, to its end: throws when a row is missing, or the run is not done. */
export async function writeAll(place: Place, tables: readonly Table[], transfer: Transfer = {}): Promise<Report> {
  const report = await write(place, { streams: [...tables] }, transfer)
  expectDone(report)
  return report
}

/** Where a table is read: as the destination says in which stream it is read back, or by its own name. */
function sourceStream(place: Place, table: string, mode: Mode = 'overwrite'): ReadBack {
  const back = place.subject.connector.destination ? place.destination().readBack?.(table, mode) : undefined
  return { stream: table, ...back }
}

/** A pipeline from the place into memory, whose columns have the types of the tables. */
export async function reading(
  place: Place,
  tables: readonly Pick<Table, 'name' | 'fields'>[],
  destination: { readonly target: MemoryTarget; readonly faults?: Faults },
  transfer: Transfer = {},
): Promise<Pipeline> {
  const to = memoryConnector('memory', { destination: () => memoryDestination(destination) })
  const source = transfer.end ?? place.endpoint()
  const whole = {
    ...base(place, 'read', transfer),
    source,
    destination: { connector: to, config: memoryConfig(transfer) },
  }
  const sought = tables.map(({ name }) => sourceStream(place, name, transfer.mode))
  const defined = sought.flatMap(({ stream, path }) => (path === undefined ? [] : [{ stream, path }]))
  const declares = transfer.asFound ? undefined : (await isUntyped(place.subject, whole, defined)) ? 'types' : 'cast'
  const streams = tables.map(({ name, fields }, i): [string, StreamOptions] => {
    const { stream, path } = sought[i] as ReadBack
    const types = Object.fromEntries(fields.map((field) => [field.name, field.type]))
    const declared = declares ? { columns: Object.keys(types), [declares]: types } : {}
    const options = { mode: 'overwrite' as const, target: name, ...(path === undefined ? {} : { path }) }
    return [stream, { ...options, ...declared, ...transfer.stream }]
  })
  return { ...whole, streams: Object.fromEntries(streams) }
}

/** Subjects whose streams are texts, which take any type, or not. */
const untyped = new WeakMap<Subject, boolean>()

/** Asks the source once. */
async function isUntyped(subject: Subject, whole: Pipeline, defined: readonly StreamDefinition[]): Promise<boolean> {
  const known = untyped.get(subject)
  if (known !== undefined) return known
  const open = await openPipeline(whole, {})
  try {
    const { streams } = await open.drivers.source.discover(open.contexts.source, defined)
    const found = streams.some((stream) => stream.untyped)
    if (streams.length > 0) untyped.set(subject, found)
    return found
  } finally {
    await open.close()
  }
}

/** The rows of tables of the place, as the connector reads them where it can: by name, as canonical texts. */
export async function readAll(
  place: Place,
  tables: readonly Pick<Table, 'name' | 'fields'>[],
  transfer: Transfer = {},
): Promise<(table: string) => readonly Row[]> {
  const { connector, contents } = place.subject
  if (!connector.source && contents) {
    const rows = new Map<string, readonly Row[]>()
    for (const { name, fields } of tables) rows.set(name, await contents(place.keys, { name, fields, rows: [] }))
    return (table) => rows.get(table) ?? []
  }
  const target = new MemoryTarget()
  expectDone(await runPipeline(await reading(place, tables, { target }, transfer)))
  return (table) => target.rows(table)
}

/** The rows of one table. */
export async function rowsOf(
  place: Place,
  table: Pick<Table, 'name' | 'fields'>,
  mode?: Mode,
): Promise<readonly Row[]> {
  return (await readAll(place, [table], mode ? { mode } : {}))(table.name)
}

function memoryConfig({ memory = {} }: Transfer): BaseConfig {
  return BaseConfig.parse({ ...IMPATIENT, ...memory })
}

function base(place: Place, name: string, { pipeline }: Transfer): Pick<Pipeline, 'name' | 'stateFolder'> {
  return { name, stateFolder: place.stateFolder, ...pipeline }
}
