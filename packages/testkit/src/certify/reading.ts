import type { BatchLimits, Partition, Position, ReadStream, RecordBatch, Run } from '@nebula/core'
import type { OpenPipeline, Pipeline } from '@nebula/runtime'
import { openPipeline, prepareRun, readStream } from '@nebula/runtime'
import type { Row } from '../memory/memory-connector.ts'
import { columnTexts } from '../memory/memory-connector.ts'
import { MemoryTarget } from '../memory/memory-destination.ts'
import { expectThat } from './expect-that.ts'
import type { Place } from './place.ts'
import type { Table } from './table.ts'
import { tableRows } from './table-rows.ts'
import { reading } from './transfer.ts'

/** Larger than any batch of the suite. */
export const WIDE_LIMITS: BatchLimits = { rows: 100_000, bytes: 1_000_000, delayMs: 10_000 }

/** One batch as it was read. */
export interface ReadBatch {
  readonly rows: readonly Row[]
  readonly bytes: number
  readonly position: Position | undefined
}

/** A planned and open source, read without a run; what it plans has gone through JSON. */
export class Reading implements AsyncDisposable {
  readonly run: Run
  readonly stream: ReadStream
  readonly #open: OpenPipeline
  readonly #rowsOf: (batch: RecordBatch) => readonly Row[]

  /** What is planned goes through JSON. */
  private constructor(
    open: OpenPipeline,
    place: Place,
    table: Table,
    { run, stream }: Pick<Reading, 'run' | 'stream'>,
  ) {
    this.#open = open
    this.run = throughJson(run)
    this.stream = throughJson(stream)
    this.#rowsOf = (batch) => tableRows(place.subject, table, batch.schema, rowsOfBatch(batch))
  }

  /** Plans one table, cut into partitions of about so many bytes. */
  static async plan(place: Place, table: Table, partitionBytes?: number): Promise<Reading> {
    const end = place.endpoint(partitionBytes === undefined ? {} : { advanced: { partitionBytes } })
    const pipeline = await reading(place, [table], { target: new MemoryTarget() }, { end })
    const open = await openPipeline(pipeline, {})
    try {
      const { run, agreed } = await prepareRun(pipeline, open.drivers, undefined, open.contexts)
      const [stream] = agreed
      expectThat(stream !== undefined, 'Nothing was agreed about the table.')
      return new Reading(open, place, table, { run, stream: readStream(stream) })
    } catch (error) {
      await open.close()
      throw error
    }
  }

  /** Opens another driver over the same place, which reads what this one planned. */
  async elsewhere(place: Place, table: Table): Promise<Reading> {
    const pipeline: Pipeline = await reading(place, [table], { target: new MemoryTarget() })
    return new Reading(await openPipeline(pipeline, {}), place, table, this)
  }

  get partitions(): readonly Partition[] {
    return this.run.plan.partitions
  }

  /** The batches of a partition, behind a position; each is released before the next one is read. */
  async *batches(partition: Partition, batch: BatchLimits = WIDE_LIMITS, from?: Position): AsyncIterable<ReadBatch> {
    const { drivers, contexts } = this.#open
    const { snapshot } = this.run.plan
    const task = {
      partition: throughJson(partition),
      stream: this.stream,
      batch,
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(from === undefined ? {} : { from }),
    }
    for await (const read of drivers.source.read(task, contexts.source)) {
      try {
        yield { rows: this.#rowsOf(read), bytes: read.byteLength, position: read.position }
      } finally {
        read.release()
      }
    }
  }

  /** All rows, partition by partition. */
  async rows(): Promise<Row[]> {
    const rows: Row[] = []
    for (const partition of this.partitions) for await (const read of this.batches(partition)) rows.push(...read.rows)
    return rows
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#open.close()
  }
}

function rowsOfBatch(batch: RecordBatch): Row[] {
  expectThat(batch.rejected.length === 0, `A row was rejected: ${batch.rejected[0]?.reason}`)
  const columns = batch.schema.fields.map((_, index) => columnTexts(batch.column(index)))
  return Array.from({ length: batch.rows }, (_, row) => columns.map((texts) => texts[row] ?? null))
}

function throughJson<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value
}
