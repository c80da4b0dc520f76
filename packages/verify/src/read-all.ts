import { throwIfAborted, withSignal } from '@nebula/base'
import type { BaseConfig, Context, Plan, ReadStream, RecordBatch, SourceDriver } from '@nebula/core'
import { BufferPool } from '@nebula/core'

/** One end of the pipeline, opened as a source and planned: read under one snapshot as often as it takes. */
export interface End {
  readonly driver: SourceDriver
  readonly context: Context
  readonly config: BaseConfig
  readonly plan: Plan
  /** Partitions at once. */
  readonly parallel: number
}

/** What one worker does with the batches that it reads; it keeps nothing of them. */
export interface Visitor {
  visit(batch: RecordBatch): void
  free(): void
}

/** The least memory that a worker may hold before its source waits. */
const LEAST_WORKER_BYTES = 16_000_000
const BATCHES_PER_WORKER = 8

/** Reads every partition of a stream, some at once, each batch in one visit. The first failure ends all. */
export async function readAll(end: End, stream: ReadStream, visitor: (context: Context) => Visitor): Promise<void> {
  const queue = end.plan.partitions.filter((partition) => partition.stream === stream.request.stream)
  const stop = new AbortController()
  const signal = AbortSignal.any([end.context.signal, stop.signal])
  const { performance, memory } = end.config
  const work = async (): Promise<void> => {
    const pool = new BufferPool(Math.max(LEAST_WORKER_BYTES, memory.bufferPoolBytes / end.parallel))
    const context = { ...withSignal(end.context, signal), pool }
    const batch = {
      rows: performance.batchSize,
      bytes: Math.min(performance.batchBytes, pool.limit / BATCHES_PER_WORKER),
      delayMs: performance.flushInterval,
    }
    const { snapshot } = end.plan
    const worker = visitor(context)
    try {
      for (let partition = queue.shift(); partition; partition = queue.shift()) {
        const task = { partition, stream, batch, ...(snapshot === undefined ? {} : { snapshot }) }
        for await (const rows of end.driver.read(task, context)) visitAndRelease(worker, rows)
        throwIfAborted(signal)
      }
    } finally {
      worker.free()
    }
  }
  let failure: { readonly error: unknown } | undefined
  const guarded = async (): Promise<void> => {
    try {
      await work()
    } catch (error) {
      failure ??= { error }
      stop.abort()
    }
  }
  await Promise.all(Array.from({ length: Math.min(end.parallel, queue.length) }, guarded))
  if (failure) throw failure.error
}

function visitAndRelease(worker: Visitor, batch: RecordBatch): void {
  try {
    worker.visit(batch)
  } finally {
    batch.release()
  }
}
