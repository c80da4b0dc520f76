import type {
  BatchLimits,
  BufferPool,
  Catalog,
  Context,
  Plan,
  PreviousPlan,
  ReadStream,
  ReadTask,
  RecordBatch,
  SourceDriver,
} from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { ReadDocuments } from '@nebula/formats'
import { DocumentBatches } from '@nebula/formats'
import { loadCatalog } from './catalog.ts'
import { MongoEnd } from './connection.ts'
import { mongoError } from './errors.ts'
import { planStreams } from './plan.ts'
import { RangeReader } from './range-reader.ts'
import type { Reply } from './reply-cursor.ts'

/** Reads collections, views and time series by raw cursors, in ranges of `_id`. */
export class MongoSource extends MongoEnd implements SourceDriver {
  async discover(context: Context): Promise<Catalog> {
    return loadCatalog(this, this.config, context)
  }

  async plan(
    streams: readonly ReadStream[],
    partitionBytes: number,
    previous: PreviousPlan | undefined,
    context: Context,
  ): Promise<Plan> {
    return planStreams(this, { streams, partitionBytes, previous }, context)
  }

  async *read(task: ReadTask, context: Context): AsyncGenerator<RecordBatch> {
    const { partition, stream } = task
    const { BSON: bson } = await import('mongodb')
    const { overflow, documents } = this.config
    const from = { stream: partition.stream, place: partition.id }
    const batches = new DocumentBatches({
      wire: undefined,
      ...stream,
      ...from,
      overflow,
      documents,
      pool: context.pool,
    })
    const reader = new RangeReader(this, task, bson)
    try {
      for (let reply = await reader.next(context); reply; reply = await reader.next(context))
        for (const { from, to } of parts(reply, task.batch)) {
          await context.wait(context.pool.ready(context.signal))
          const position = reader.position(reply, to - 1)
          yield batches.make({
            ...taken(reply, from, to, context.pool),
            ...(position === undefined ? {} : { position }),
          })
        }
    } catch (error) {
      if (context.signal.aborted)
        throw new NebulaError('aborted', { message: 'Reading was interrupted.', cause: error })
      throw mongoError(error).at({ connector: 'mongo', stream: partition.stream, partition: partition.id })
    } finally {
      batches.close()
      await reader.close()
    }
  }
}

/** A reply may be more than a batch: the server counts documents. */
function* parts({ starts, ends, rows }: Reply, limits: BatchLimits): Generator<{ from: number; to: number }> {
  for (let from = 0, to = 0; from < rows; from = to) {
    let bytes = 0
    do {
      bytes += (ends[to] as number) - (starts[to] as number)
      to++
    } while (
      to < rows &&
      to - from < limits.rows &&
      bytes + (ends[to] as number) - (starts[to] as number) <= limits.bytes
    )
    yield { from, to }
  }
}

/** Some documents of a reply, without what lies between them, in memory of the pool. */
function taken(reply: Reply, from: number, to: number, pool: BufferPool): ReadDocuments {
  const { starts, ends } = reply
  const source = Buffer.from(reply.data.buffer, reply.data.byteOffset, reply.data.byteLength)
  const data = pool.take((ends[to - 1] as number) - (starts[from] as number))
  const offsets = new Int32Array(to - from + 1)
  let at = 0
  for (let row = from; row < to; row++) {
    at += source.copy(data, at, starts[row], ends[row])
    offsets[row - from + 1] = at
  }
  return { data, offsets, rows: to - from, release: () => pool.give(data) }
}
