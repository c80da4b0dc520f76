// Moves a route's table by the drivers alone, or by the runtime around them. Arguments: bare | runtime, ROUTE, a folder.
// Prints the CPU seconds between the loaded modules and the closed connections.
import { enableCompileCache } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import { join } from 'node:path'
import type {
  Context,
  DestinationDriver,
  Field,
  Partition,
  ReadStream,
  Run,
  SourceDriver,
  StreamPlan,
} from '@nebula/core'
import { BufferPool, parseType, utf8 } from '@nebula/core'
import type { Endpoint, Pipeline } from '@nebula/runtime'
import { loadEndpoint, runPipeline } from '@nebula/runtime'
import { LINEITEM_TYPES, TYPED_CSV_TYPES } from './tables.ts'

const WORKERS = 2
const TASK_BYTES = 16_000_000
const [mode = '', route = '', folder = ''] = process.argv.slice(2)

// As the routes of the benchmark have it.
const [table, declared] =
  route === 'csv-csv' ? (['typed', TYPED_CSV_TYPES] as const) : (['lineitem', LINEITEM_TYPES] as const)
const types = Object.fromEntries(Object.entries(declared).map(([name, type]) => [name, parseType(type) ?? utf8]))

async function endpoint(system: string | undefined, database: string, path: string): Promise<Endpoint> {
  const keys =
    system === 'pg' ? { connector: 'postgres', url: process.env[database] ?? '' } : { connector: 'csv', path }
  return loadEndpoint(keys, folder)
}

async function pipelineOf([from, to]: readonly string[]): Promise<Pipeline> {
  const stream = from === 'pg' ? `public.${table}` : table
  return {
    name: 'overhead',
    stateFolder: join(folder, '.nebula'),
    source: await endpoint(from, 'SOURCE_URL', join(folder, `${table}.csv`)),
    destination: await endpoint(to, 'TARGET_URL', join(folder, 'out')),
    parallel: WORKERS,
    streams: { [stream]: { mode: 'overwrite', target: table, ...(from === 'pg' ? {} : { types }) } },
  }
}

/** The calls of the drivers that a run makes, without retry, limits, counting and dead letters around them. */
async function moveBare({ source: from, destination: to }: Pipeline): Promise<void> {
  const source = from.connector.source?.(from.config)
  const destination = to.connector.destination?.(to.config)
  if (!source?.plan || !destination?.finish) throw new Error('a driver lacks what is needed')
  const context = bareContext()
  await Promise.all([source.open?.(context), destination.open?.(context)])
  await destination.recall?.('overhead', context)
  const { stream, read } = await agree(source, destination, context)
  const plan = await source.plan([read], stream.accepted.partitionBytes ?? 2 * TASK_BYTES, undefined, context)
  const run: Run = { pipeline: 'overhead', id: 'bare', epoch: 1, fingerprint: '', plan, streams: [stream] }
  await destination.prepare(run, context)
  const queue = plan.partitions.map((partition, order) => ({ partition, order }))
  const move = async ({ partition, order }: { partition: Partition; order: number }, own: Context): Promise<void> => {
    const task = { run, partition, stream, order, partitions: plan.partitions.length, isolate: false }
    const writer = await destination.writer(task, own)
    const snapshot = plan.snapshot === undefined ? {} : { snapshot: plan.snapshot }
    const batch = { rows: 10_000, bytes: TASK_BYTES / 8, delayMs: 10_000 }
    let rows = 0
    for await (const rowsRead of source.read({ partition, stream: read, batch, ...snapshot }, own)) {
      rows += rowsRead.rows
      await writer.write(rowsRead, 0, rowsRead.rows)
      rowsRead.release()
    }
    const counts = { read: rows, written: rows, filtered: 0, rejected: 0, bytes: 0 }
    await writer.commit({ partition: partition.id, sequence: 1, done: true, counts })
  }
  await Promise.all(
    Array.from({ length: WORKERS }, async () => {
      const own = bareContext()
      for (let next = queue.shift(); next; next = queue.shift()) await move(next, own)
    }),
  )
  await destination.finish(run, [read.request.stream], context)
  await destination.end?.(run, context)
  await Promise.all([source.close?.(), destination.close?.()])
}

async function agree(
  source: SourceDriver,
  destination: DestinationDriver,
  context: Context,
): Promise<{ readonly stream: StreamPlan; readonly read: ReadStream }> {
  const { streams } = await source.discover(context, [])
  const info = streams.find(({ name }) => name.endsWith(table))
  if (!info) throw new Error(`no ${table}`)
  await destination.check?.([{ target: table, mode: 'overwrite' }], context)
  const [standing] = (await destination.describe?.([table], context)) ?? []
  const typed = (field: Field): Field => ({ ...field, type: types[field.name] ?? utf8 })
  const offered = info.untyped ? info.schema.fields.map(typed) : info.schema.fields
  const request = { stream: info.name, mode: 'overwrite', columns: offered.map(({ name }) => name), key: [] } as const
  const accepted = destination.accept?.(request, { fields: offered }, info.wire, standing)
  if (!accepted) throw new Error('the destination does not say what it accepts')
  const fields = offered.map((field, i) => ({ ...field, type: accepted.columns[i]?.as ?? field.type }))
  const schema = { fields }
  const { wire } = accepted
  const decode = wire === undefined ? fields.map((_, i) => i) : []
  const read = { request, schema, decode, ...(wire === undefined ? {} : { wire }) }
  return { stream: { request, target: table, schema, accepted, generation: 0 }, read }
}

function bareContext(): Context {
  const { signal } = new AbortController()
  const ignore = (): void => {}
  return {
    signal,
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    clock: { now: Date.now, sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}) },
    pool: new BufferPool(TASK_BYTES),
    call: (request) => request(signal),
    wait: (something) => something,
  }
}

// As the nebula command does.
enableCompileCache()
const pipeline = await pipelineOf(route.split('-'))
const before = process.cpuUsage()
if (mode === 'bare') await moveBare(pipeline)
else {
  const report = await runPipeline(pipeline)
  if (report.status !== 'done') throw new Error(JSON.stringify(report))
}
const { user, system } = process.cpuUsage(before)
process.stdout.write(JSON.stringify({ cpuSeconds: (user + system) / 1e6 }))
