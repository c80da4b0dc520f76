import type {
  BufferPool,
  Column,
  ColumnBuilder,
  Context,
  Field,
  Plan,
  ReadStream,
  ReadTask,
  RecordBatch,
  Rejection,
  SourceDriver,
  StreamInfo,
} from '@nebula/core'
import { columnBuilder, createBatch, NebulaError } from '@nebula/core'
import type { Faults, Row } from './memory-connector.ts'
import { textColumn } from './memory-connector.ts'

export interface MemoryStream {
  readonly name: string
  readonly fields: readonly Field[]
  readonly rows: readonly Row[]
  readonly key?: readonly string[]
  /** Rows of a partition; left out: all. */
  readonly cut?: number
  /** Every batch gives a position. */
  readonly positions?: boolean
  /** Rows that cannot be read. */
  readonly unreadable?: readonly number[]
  readonly wire?: readonly string[]
  readonly untyped?: boolean
  readonly partitionBytes?: number
}

/** What a memory source reads. Tests change it between runs. */
export interface MemorySource {
  streams: MemoryStream[]
  /** Another one: committed partitions no longer fit. */
  version?: number
  readonly faults?: Faults
  /** Called in `read` before each batch. */
  readonly beforeBatch?: (row: number, context: Context) => Promise<void>
  readonly withoutPlan?: boolean
  /** What its plan says of tasks at once. */
  readonly tasks?: number
}

/** Counts batches that are out, and knows the pools that they came from. */
export class Ledger {
  yielded = 0
  released = 0
  readonly pools = new Set<BufferPool>()

  get bytesUsed(): number {
    return [...this.pools].reduce((sum, pool) => sum + pool.statistics.used, 0)
  }
}

interface Range {
  readonly from: number
  readonly to: number
}

export function memorySource(source: MemorySource, ledger = new Ledger()): SourceDriver {
  const { faults } = source
  const streamOf = (name: string): MemoryStream => {
    const stream = source.streams.find((candidate) => candidate.name === name)
    if (!stream) throw new NebulaError('stream_not_found', { message: `No stream ${name}.` })
    return stream
  }
  return {
    async open() {
      faults?.hit('source.open')
    },
    async close() {
      faults?.hit('source.close')
    },
    async discover() {
      faults?.hit('discover')
      return { streams: source.streams.map(streamInfo) }
    },
    ...(source.withoutPlan
      ? {}
      : {
          async plan(reads: readonly ReadStream[], _bytes: number, previous): Promise<Plan> {
            faults?.hit('plan')
            const names = reads.map(({ request }) => request.stream)
            const proof = source.version ?? 0
            const moved = previous !== undefined && previous.plan.proof !== proof
            const before = new Set(previous?.plan.partitions.map(({ stream }) => stream))
            const restart = names.filter((name) => moved && before.has(name))
            return {
              partitions: names.flatMap((name) => partitionsOf(streamOf(name))),
              proof,
              ...(source.tasks === undefined ? {} : { tasks: source.tasks }),
              restart: restart.map((stream) => ({ stream, reason: 'it was replaced' })),
            }
          },
        }),
    read: (task, context) => readRows(streamOf(task.partition.stream), task, context, { source, ledger }),
  }
}

function streamInfo({ name, fields, key, rows, wire, untyped, partitionBytes }: MemoryStream): StreamInfo {
  return {
    name,
    schema: { fields },
    key: key ?? [],
    rows: rows.length,
    wire: wire ?? [],
    ...(untyped ? { untyped: true } : {}),
    ...(partitionBytes === undefined ? {} : { partitionBytes }),
  }
}

function partitionsOf({ name, rows, cut }: MemoryStream): Plan['partitions'] {
  const size = cut ?? Math.max(rows.length, 1)
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => ({
    id: `${name}:${i}`,
    stream: name,
    range: { from: i * size, to: Math.min((i + 1) * size, rows.length) },
  }))
}

async function* readRows(
  stream: MemoryStream,
  task: ReadTask,
  context: Context,
  { source, ledger }: { source: MemorySource; ledger: Ledger },
): AsyncIterable<RecordBatch> {
  const range = (task.partition.range ?? { from: 0, to: stream.rows.length }) as unknown as Range
  const from = (task.from as { row: number } | undefined)?.row ?? range.from
  ledger.pools.add(context.pool)
  for (let at = from; at < range.to; at += task.batch.rows) {
    await context.pool.ready(context.signal)
    await source.beforeBatch?.(at, context)
    source.faults?.hit('read')
    const end = Math.min(at + task.batch.rows, range.to)
    const readable: number[] = []
    const rejected: Rejection[] = []
    for (let row = at; row < end; row++) {
      if (stream.unreadable?.includes(row)) rejected.push(unreadable(stream, row))
      else readable.push(row)
    }
    ledger.yielded++
    yield memoryBatch(
      { stream, task, rows: readable, pool: context.pool },
      {
        rejected,
        ...(stream.positions ? { position: { row: end } } : {}),
        onRelease: () => {
          ledger.released++
        },
      },
    )
  }
}

function unreadable(stream: MemoryStream, row: number): Rejection {
  const raw = Buffer.from(stream.rows[row]?.join(',') ?? '')
  return { code: 'row_invalid', reason: 'the row is damaged', place: `${stream.name}:${row}`, raw }
}

interface BatchContent {
  readonly stream: MemoryStream
  readonly task: ReadTask
  readonly rows: readonly number[]
  readonly pool: BufferPool
}

function memoryBatch(
  { stream, task, rows, pool }: BatchContent,
  rest: { rejected: Rejection[]; position?: { row: number }; onRelease: () => void },
): RecordBatch {
  const { schema, wire } = task.stream
  const builders: ColumnBuilder[] = []
  const columns = (): Column[] =>
    schema.fields.map((field) => {
      const index = stream.fields.findIndex(({ name }) => name === field.name)
      const builder = columnBuilder(field.type, pool)
      builders.push(builder)
      return textColumn(
        rows.map((row) => stream.rows[row]?.[index] ?? null),
        builder,
      )
    })
  const onRelease = (): void => {
    for (const builder of builders) builder.free()
    rest.onRelease()
  }
  const place = (row: number): string => `${stream.name}:${rows[row] ?? '?'}`
  const shared = { stream: stream.name, schema, rows: rows.length, place, ...rest, onRelease }
  if (wire === undefined) return createBatch({ ...shared, columns: columns() })
  const lines = rows.map((row) => JSON.stringify(stream.rows[row]))
  const offsets = Int32Array.from(lines.reduce((ends, line) => [...ends, (ends.at(-1) ?? 0) + line.length], [0]))
  return createBatch({ ...shared, columns, wire: { format: wire, offsets, data: Buffer.from(lines.join('')) } })
}
