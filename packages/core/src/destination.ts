import type { Position, RecordBatch } from './batch.ts'
import type { Acceptance, Mode, TargetInfo } from './contract.ts'
import type { Endpoint } from './endpoint.ts'
import type { Record } from './record.ts'
import type { RowObject } from './row-columns.ts'
import type { Schema } from './schema.ts'

/** What a program is going to write. */
export interface WriteStream {
  readonly stream: string
  /** The name at the destination; left out: that of the stream. */
  readonly target?: string
  /** A schema, such as that of a source; or types by column, as users write them: `{ id: 'int64', name: 'text' }`. */
  readonly schema: Schema | Readonly<{ [column: string]: string }>
  /**
   * `overwrite` replaces the target at `finish`, at once; `append` adds. Left out: overwrite, unless the target holds
   * rows that Nebula did not write.
   */
  readonly mode?: Mode
  readonly key?: readonly string[]
  /** Columns that may lose what the destination cannot keep. */
  readonly allowLoss?: readonly string[]
}

export interface PrepareOptions {
  /**
   * Names the run, so that a program that was killed goes on with it: see `PreparedStream.committed`. Left out: an
   * interrupted run of the same targets is discarded, and begun anew.
   */
  readonly name?: string
}

/** How a destination is going to keep a stream. */
export interface PreparedStream {
  readonly stream: string
  readonly target: string
  readonly accepted: Acceptance
  /** What an interrupted run of that name committed: the program goes on behind it. */
  readonly committed?: {
    readonly rows: number
    /** As it was given to `commit`. */
    readonly position?: Position
    /** Every row is in: nothing is to be written any more. */
    readonly done: boolean
  }
}

export interface CommitOptions {
  /** Where the program's own input stands, to be told by `prepare` after a crash. */
  readonly position?: Position
  /** Left out: every stream. */
  readonly stream?: string
}

/** A row, or several: a batch, records, or plain objects whose own properties are the columns. */
export type Rows = RecordBatch | Record | RowObject | Iterable<Record | RowObject> | AsyncIterable<Record | RowObject>

/**
 * A destination as programs use it: prepare, write and commit, finish. Where `stream` may be left out, exactly one was
 * prepared. Calls are carried out one after the other.
 */
export interface Destination extends Endpoint {
  /** What stands at a target; undefined: nothing. Throws `unsupported` for a destination that cannot say. */
  describe(target: string): Promise<TargetInfo | undefined>
  /**
   * Agrees on the columns and makes staging. Throws every reason why a stream cannot be written as asked as one error,
   * before anything is changed.
   */
  prepare(streams: WriteStream | readonly WriteStream[], options?: PrepareOptions): Promise<readonly PreparedStream[]>
  /**
   * Takes rows; the wait is the backpressure. A batch stays the caller's; records and objects are copied. Throws
   * `row_rejected`, which names row and column, for a value that is not of its column's type: the rows before it are
   * in, that one is not. When one does not fit the type in which the destination takes it, or the system refuses rows,
   * here or in `commit`, all since the last commit are gone.
   */
  write(rows: Rows, stream?: string): Promise<void>
  /** All rows so far are durable, and the position with them. */
  commit(options?: CommitOptions): Promise<void>
  /** Commits, and moves every stream into its target at once. Another `prepare` may follow. */
  finish(): Promise<void>
  /** Takes back all that was written since `prepare`: targets are as before. */
  discard(): Promise<void>
}
