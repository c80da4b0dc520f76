import type { Position, RecordBatch, Rejection } from './batch.ts'
import type { BatchLimits } from './contract.ts'
import type { Endpoint } from './endpoint.ts'
import type { Record } from './record.ts'
import type { Catalog, Schema } from './schema.ts'

export interface ReadOptions {
  /** Only these columns, in this order; left out: all that can be written again. */
  readonly columns?: readonly string[]
  /** At most so many rows. */
  readonly limit?: number
  /** Left out: as configured in `performance`. */
  readonly batch?: Partial<BatchLimits>
  /** Stops the reading, which throws `aborted`. */
  readonly signal?: AbortSignal
}

export interface RecordOptions extends ReadOptions {
  /** Told of every row that cannot be read. More than `reliability.maxErrors` of them end the reading. */
  readonly onRejected?: (rejection: Rejection) => void
}

/** A stream has other columns than it had when this source looked last. */
export interface SchemaChange {
  readonly stream: string
  readonly before: Schema
  /** Undefined: the stream is gone. */
  readonly after: Schema | undefined
}

/** Decides on a change by returning, which goes on with the new columns, or by throwing, which ends the call. */
export type SchemaChangeHandler = (change: SchemaChange) => void | Promise<void>

/**
 * A source as programs use it. Where `stream` may be left out, the source must have exactly one. Every reading has
 * connections of its own, which are closed when it ends, however it ends; several may go on at once.
 */
export interface Source extends Endpoint {
  /** Streams, columns, keys and estimates, as they are now. */
  discover(): Promise<Catalog>
  /** The columns of a stream, in the types in which it is read. Throws `stream_not_found`. */
  schema(stream: string): Promise<Schema>
  /**
   * Reads a stream under one snapshot. The caller owns each batch and releases it: memory is bounded, so reading waits
   * for the release. Rows that cannot be read are in `rejected`.
   */
  read(stream: string, options?: ReadOptions): AsyncIterable<RecordBatch>
  /**
   * Reads row by row. A record is valid until the next one; it is a view that is used again. Throws `row_rejected` for
   * a row that cannot be read, unless `reliability.maxErrors` allows it.
   */
  records(stream?: string, options?: RecordOptions): AsyncIterable<Record>
  /**
   * The next `rows` rows, fewer only at the end, then undefined, and then from the beginning again. Goes on where the
   * last call for the stream ended, under the snapshot of the first. The caller owns the batch.
   */
  readBatch(rows: number, stream?: string): Promise<RecordBatch | undefined>
  /** Changes behind a position; without one, from now on. Throws `unsupported` where the system tells of none. */
  readChanges(position?: Position): AsyncIterable<RecordBatch>
  /**
   * Called by `discover`, `schema` and every begin of a reading when a stream differs from what was found before.
   * Replaces the handler before; without one, reading goes on with the new columns.
   */
  handleSchemaChange(handler: SchemaChangeHandler): void
}
