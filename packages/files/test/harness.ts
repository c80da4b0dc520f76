import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createContext } from '@nebula/base'
import type {
  Catalog,
  Context,
  LogicalType,
  Partition,
  Plan,
  ReadStream,
  ReadTask,
  RecordBatch,
  Rejection,
  RowOrigin,
  Schema,
  SourceDriver,
  Value,
} from '@nebula/core'
import { BaseConfig, BufferPool, parseType, valueAt } from '@nebula/core'
import { onTestFinished } from 'vitest'

/** A folder that goes with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nebula-files-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A folder with files of the given contents. */
export async function folderOf(files: { [name: string]: string | Uint8Array }): Promise<string> {
  const folder = await temporaryFolder()
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

/** Every file below a folder with its content, but for what `.nebula` holds. */
export async function contentsOf(folder: string): Promise<{ [name: string]: string }> {
  const contents: { [name: string]: string } = {}
  for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1)))
    if (entry.isFile()) contents[entry.name] = await readFile(join(folder, entry.name), 'utf8')
  return contents
}

export function testContext(signal = new AbortController().signal, pool = new BufferPool(2 ** 26)): Context {
  return createContext({ signal, config: BaseConfig.parse({}), pool })
}

function typeOf(name: string): LogicalType {
  const type = parseType(name)
  if (!type) throw new Error(`${name} is no type`)
  return type
}

export function schemaOf(columns: { [name: string]: string }): Schema {
  return { fields: Object.entries(columns).map(([name, type]) => ({ name, type: typeOf(type), nullable: true })) }
}

export interface ReadRequest {
  /** The columns to read with their types; left out: as they are discovered. */
  readonly columns?: { [name: string]: string }
  readonly limit?: number
  readonly path?: string
  readonly partitionBytes?: number
}

export function readStream(catalog: Catalog, stream: string, request: ReadRequest = {}): ReadStream {
  const info = catalog.streams.find(({ name }) => name === stream)
  if (!info) throw new Error(`no stream ${stream}`)
  const schema = request.columns ? schemaOf(request.columns) : info.schema
  const { limit, path } = request
  return {
    request: {
      stream,
      mode: 'overwrite',
      columns: schema.fields.map(({ name }) => name),
      key: [],
      ...(limit === undefined ? {} : { limit }),
      ...(path === undefined ? {} : { path }),
    },
    schema,
    decode: schema.fields.map((_, i) => i),
  }
}

export interface ReadRows {
  readonly rows: Value[][]
  readonly rejected: (Omit<Rejection, 'origin'> & { origin: RowOrigin | undefined })[]
  readonly places: string[]
}

export async function readPartition(
  source: SourceDriver,
  partition: Partition,
  stream: ReadStream,
  context = testContext(),
): Promise<ReadRows> {
  const task: ReadTask = { partition, stream, batch: { rows: 100, bytes: 100_000, delayMs: 10_000 } }
  const result: ReadRows = { rows: [], rejected: [], places: [] }
  for await (const batch of source.read(task, context)) {
    for (let row = 0; row < batch.rows; row++) {
      result.rows.push(rowOf(batch, row))
      result.places.push(batch.place(row))
    }
    for (const rejection of batch.rejected) result.rejected.push({ ...rejection, origin: await rejection.origin?.() })
    batch.release()
  }
  return result
}

export function rowOf(batch: RecordBatch, row: number): Value[] {
  return batch.schema.fields.map((_, i) => valueAt(batch.column(i), row))
}

/** Discovers, plans and reads one stream, partition by partition. */
export async function readAll(
  source: SourceDriver,
  stream: string,
  request: ReadRequest = {},
): Promise<ReadRows & { readonly plan: Plan }> {
  const context = testContext()
  const defined = request.path === undefined ? [] : [{ stream, path: request.path }]
  const read = readStream(await source.discover(context, defined), stream, request)
  const plan = await planOf(source, [read], request.partitionBytes)
  const result: ReadRows = { rows: [], rejected: [], places: [] }
  for (const partition of plan.partitions) {
    const part = await readPartition(source, partition, read, context)
    result.rows.push(...part.rows)
    result.rejected.push(...part.rejected)
    result.places.push(...part.places)
  }
  return { ...result, plan }
}

export async function planOf(source: SourceDriver, streams: ReadStream[], partitionBytes = 1_000_000): Promise<Plan> {
  if (!source.plan) throw new Error('the source does not plan')
  return source.plan(streams, partitionBytes, undefined, testContext())
}
