import type { Checkpoint, Context, Counts, Partition, RecordBatch, Run, StreamPlan, Writer } from '@nebula/core'
import { BytesBuilder, createBatch, utf8 } from '@nebula/core'
import type { CsvOptions } from '@nebula/formats'
import { csvFormat } from '@nebula/formats'
import { onTestFinished } from 'vitest'
import type { Compressor } from '../src/index.ts'
import { FileDestination, LocalStore } from '../src/index.ts'
import { schemaOf, testContext } from './harness.ts'

/** The rows of a stream by partition; each row is one text. */
export type Table = readonly (readonly string[])[]

export const schema = schemaOf({ text: 'utf8' })

/** A destination that is closed with the test. */
export function destinationIn(folder: string, csv: Partial<CsvOptions> = {}, compressor?: Compressor): FileDestination {
  const destination = new FileDestination(new LocalStore(), csvFormat(csv), folder, compressor)
  onTestFinished(() => destination.close())
  return destination
}

/** The file that a table becomes. */
export function fileOf(table: Table): string {
  return `text\n${table
    .flat()
    .map((text) => `${text}\n`)
    .join('')}`
}

/** A run of one-column streams. */
export function runOf(
  streams: { readonly [stream: string]: Table },
  changes: Partial<Run> = {},
  mode: 'overwrite' | 'append' = 'overwrite',
): Run {
  const plans = Object.keys(streams).map((stream): StreamPlan => ({
    request: { stream, mode, columns: ['text'], key: [] },
    target: stream,
    schema,
    accepted: {
      columns: [{ as: utf8, type: 'text', fidelity: 'exact' }],
      ddl: [],
      guarantee: 'exactly_once',
      problems: [],
    },
    generation: 0,
  }))
  const partitions = Object.entries(streams).flatMap(([stream, table]) =>
    table.map((_, i): Partition => ({ id: `${stream}#${i}`, stream, range: null })),
  )
  return {
    pipeline: 'shop',
    id: 'r1',
    epoch: 1,
    fingerprint: 'f',
    plan: { partitions, restart: [] },
    streams: plans,
    ...changes,
  }
}

export function batchOf(texts: readonly string[], context: Context = testContext()): RecordBatch {
  const builder = new BytesBuilder(utf8, context.pool)
  builder.start(texts.length)
  const encoder = new TextEncoder()
  texts.forEach((text, row) => {
    const bytes = encoder.encode(text)
    builder.append(row, bytes, 0, bytes.length)
  })
  return createBatch({
    stream: 's',
    schema,
    rows: texts.length,
    columns: [builder.finish()],
    onRelease: () => builder.free(),
  })
}

export function counts(rows: number): Counts {
  return { read: rows, written: rows, filtered: 0, rejected: 0, bytes: rows }
}

export function writerOf(
  destination: FileDestination,
  run: Run,
  partition: string,
  context = testContext(),
): Promise<Writer> {
  const [stream] = partition.split('#')
  const plan = run.streams.find(({ request }) => request.stream === stream)
  const partitions = run.plan.partitions.filter((candidate) => candidate.stream === stream)
  const order = partitions.findIndex(({ id }) => id === partition)
  const found = partitions[order]
  if (!plan || !found) throw new Error(`no partition ${partition}`)
  return destination.writer(
    { run, partition: found, stream: plan, order, partitions: partitions.length, isolate: false },
    context,
  )
}

export interface WriteOptions {
  readonly rows: readonly string[]
  readonly context?: Context
  /** Called between any two calls of a writer. */
  readonly pause?: () => Promise<void>
}

/** Writes one partition, two rows a batch, and commits it. */
export async function writePartition(
  destination: FileDestination,
  run: Run,
  partition: string,
  { rows, context = testContext(), pause = async () => {} }: WriteOptions,
): Promise<void> {
  const writer = await writerOf(destination, run, partition, context)
  try {
    for (let at = 0; at < rows.length; at += 2) {
      await pause()
      const batch = batchOf(rows.slice(at, at + 2), context)
      await writer.write(batch, 0, batch.rows)
      batch.release()
    }
    await pause()
    await writer.commit(checkpointOf(partition, rows.length))
  } catch (error) {
    await writer.abort(error)
    throw error
  }
}

export function checkpointOf(partition: string, rows: number, sequence = 1): Checkpoint {
  return { partition, sequence, done: true, counts: counts(rows) }
}

/** Takes a run up where it stands, as the runtime does, and brings it to its end. */
export async function completeRun(
  destination: FileDestination,
  streams: { readonly [stream: string]: Table },
): Promise<Run> {
  const context = testContext()
  const recalled = await destination.recall('shop', context)
  const run = runOf(streams, { epoch: (recalled?.run.epoch ?? 0) + 1 })
  const finished = recalled?.finished ?? []
  await destination.prepare(run, context)
  const done = new Set(recalled?.checkpoints.map(({ partition }) => partition))
  for (const [stream, table] of Object.entries(streams)) {
    if (finished.includes(stream)) continue
    for (const [i, rows] of table.entries())
      if (!done.has(`${stream}#${i}`)) await writePartition(destination, run, `${stream}#${i}`, { rows })
    await destination.finish(run, [stream], context)
  }
  await destination.close()
  return run
}
