import type { Field, LogicalType, Mode, ReadBack, StreamDefinition, StreamInfo } from '@nebula/core'
import { BaseConfig, sameType } from '@nebula/core'
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
import { rowsAt } from './table-rows.ts'

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
  const typesOf = transfer.asFound ? () => ({}) : await typing(place.subject, whole, defined)
  const streams = tables.map(({ name, fields }, i): [string, StreamOptions] => {
    const { stream, path } = sought[i] as ReadBack
    const declared = typesOf(stream, fields)
    const options = { mode: 'overwrite' as const, target: name, ...(path === undefined ? {} : { path }) }
    return [stream, { ...options, ...declared, ...transfer.stream }]
  })
  return { ...whole, streams: Object.fromEntries(streams) }
}

/** Subjects whose streams are texts, which take any type, or not. */
const untyped = new WeakMap<Subject, boolean>()

/** How a pipeline says that the columns of a stream have the types of a table. */
type Typing = (stream: string, fields: readonly Field[]) => Pick<StreamOptions, 'columns' | 'types' | 'cast'>

/** Asks the source; one whose streams have a schema only once. */
async function typing(subject: Subject, whole: Pipeline, defined: readonly StreamDefinition[]): Promise<Typing> {
  const { schemaless } = subject
  const known = schemaless ? undefined : untyped.get(subject)
  const streams = known === undefined ? await discover(whole, defined) : []
  if (schemaless)
    return (name, fields) => ({
      cast: castsOf(
        streams.find((stream) => stream.name === name),
        fields,
      ),
    })
  const isUntyped = known ?? streams.some((stream) => stream.untyped)
  if (streams.length > 0) untyped.set(subject, isUntyped)
  return (_, fields) => {
    const types = Object.fromEntries(fields.map(({ name, type }) => [name, type]))
    return { columns: Object.keys(types), [isUntyped ? 'types' : 'cast']: types }
  }
}

async function discover(whole: Pipeline, defined: readonly StreamDefinition[]): Promise<readonly StreamInfo[]> {
  const open = await openPipeline(whole, {})
  try {
    return (await open.drivers.source.discover(open.contexts.source, defined)).streams
  } finally {
    await open.close()
  }
}

/** Columns that are there, and not as they should be; JSON, whatever it is kept as, is compared as it is. */
function castsOf(info: StreamInfo | undefined, fields: readonly Field[]): { [column: string]: LogicalType } {
  const wrong = fields.filter(({ name, type }) => {
    const found = info?.schema.fields.find((field) => field.name === name)
    return found && type.kind !== 'json' && !sameType(found.type, type)
  })
  return Object.fromEntries(wrong.map(({ name, type }) => [name, type]))
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
  const report = await runPipeline(await reading(place, tables, { target }, transfer))
  expectDone(report)
  const rows = new Map<string, readonly Row[]>()
  for (const table of tables) {
    const found = rowsAt(place.subject, target, table)
    const { overflowed = 0 } = report.streams.find((stream) => stream.target === table.name) ?? {}
    rows.set(table.name, overflowed > 0 ? await withOverflow(place, table, found, overflowed) : found)
  }
  return (table) => rows.get(table) ?? []
}

/** Looks values up that are kept aside; as many as the report counts. */
async function withOverflow(
  place: Place,
  table: Pick<Table, 'name' | 'fields'>,
  rows: readonly Row[],
  overflowed: number,
): Promise<readonly Row[]> {
  const whole = (await place.subject.contents?.(place.keys, { ...table, rows: [] })) ?? []
  let missing = 0
  const filled = rows.map((row, i) =>
    row.map((text, column) => {
      const kept = whole[i]?.[column] ?? null
      if (text === null && kept !== null) missing++
      return text ?? kept
    }),
  )
  if (missing === overflowed) return filled
  throw new Error(`${table.name}: ${missing} values are in no column, and ${overflowed} are told to be kept aside.`)
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
