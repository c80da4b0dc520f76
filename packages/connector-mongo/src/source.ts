import type {
  Catalog,
  Context,
  Plan,
  PreviousPlan,
  ReadStream,
  ReadTask,
  RecordBatch,
  SourceDriver,
} from '@nebula/core'
import { batchEnd, copyDocuments, DocumentBatches, freeReply } from '@nebula/formats'
import type { DrawnIds } from './catalog.ts'
import { loadCatalog } from './catalog.ts'
import { isReplicated, MongoEnd } from './connection.ts'
import { taskError } from './errors.ts'
import { planStreams } from './plan.ts'
import { RangeReader } from './range-reader.ts'
import { noSnapshots } from './snapshot.ts'

/** Reads collections, views and time series by raw cursors, in ranges of `_id`. */
export class MongoSource extends MongoEnd implements SourceDriver {
  /** What was drawn to learn the fields serves to cut, too. */
  readonly #drawn: DrawnIds = new Map()

  override async open(context: Context): Promise<void> {
    await super.open(context)
    if (this.config.snapshot && !isReplicated(this.hello)) throw noSnapshots()
  }

  async discover(context: Context): Promise<Catalog> {
    return loadCatalog(this, this.#drawn, context)
  }

  async plan(
    streams: readonly ReadStream[],
    partitionBytes: number,
    previous: PreviousPlan | undefined,
    context: Context,
  ): Promise<Plan> {
    return planStreams(this, { streams, partitionBytes, previous, drawn: this.#drawn }, context)
  }

  async *read(task: ReadTask, context: Context): AsyncGenerator<RecordBatch> {
    const { partition, stream } = task
    const { overflow, documents } = this.config
    const options = { wire: undefined, ...stream, stream: partition.stream, overflow, documents, pool: context.pool }
    const batches = new DocumentBatches(options)
    const reader = new RangeReader(this, task)
    try {
      for (let reply = await reader.next(context); reply; reply = await reader.next(context))
        // The server counts documents: a reply may be more than a batch.
        for (let from = 0, to = 0; from < reply.rows; from = to) {
          to = batchEnd(reply, from, task.batch)
          await context.wait(context.pool.ready(context.signal))
          const position = reader.position(reply, to - 1)
          const documents = copyDocuments(reply, from, to, context.pool)
          if (to === reply.rows) freeReply(reply)
          yield batches.make({ ...documents, ...(position === undefined ? {} : { position }) })
        }
    } catch (error) {
      throw taskError(error, context, partition)
    } finally {
      batches.close()
      await reader.close()
    }
  }
}
