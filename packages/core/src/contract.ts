import type { Position, RecordBatch, Rejection, RowOrigin } from './batch.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { BoundCondition } from './condition.ts'
import type { Json } from './json.ts'
import type { Catalog, Field, Schema } from './schema.ts'
import type { Fidelity, LogicalType } from './types.ts'

/**
 * The contract between connectors and the runtime. All but batches, writers and contexts is JSON: it travels between
 * threads, machines and versions. A driver implements what its system can do; what it implements is its capability.
 */

export interface Logger {
  debug(message: string, fields?: object): void
  info(message: string, fields?: object): void
  warn(message: string, fields?: object): void
  error(message: string, fields?: object): void
}

/** Time, injected so that tests need not wait. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export interface Context {
  /** Fires when the work is to stop; every method ends within a second after it. */
  readonly signal: AbortSignal
  readonly logger: Logger
  readonly clock: Clock
  /** Lends large buffers and counts them. */
  readonly pool: BufferPool
  /**
   * Runs one request to the system under the connector's timeout, and again while it fails with what may pass; an open
   * circuit breaker refuses it. The request must honour its signal. Throws `timeout`, `circuit_open`, `aborted`.
   */
  call<T>(request: (signal: AbortSignal) => Promise<T>, options?: CallOptions): Promise<T>
  /** Waits for what is not the system: memory, a place in line. No time limit of the task counts the wait. */
  wait<T>(something: Promise<T>): Promise<T>
}

export interface CallOptions {
  /** False: the request is not safe to repeat, or somebody else repeats it: it is made once. Default: true. */
  readonly idempotent?: boolean
  /** True: it may take as long as it needs. Default: false. */
  readonly unbounded?: boolean
  /** Stops it, too. */
  readonly signal?: AbortSignal
}

export interface Lifecycle {
  /** Connects; called once, before anything else. Constructing never connects. */
  open?(context: Context): Promise<void>
  /** A cheap request that shows that the system answers. */
  ping?(context: Context): Promise<void>
  /** Product and version of the system, for people: `PostgreSQL 18.1`. */
  version?(context: Context): Promise<string>
  /** Releases every socket, file and timer; idempotent. */
  close?(): Promise<void>
}

/**
 * What becomes of rows that stand at a target: all are replaced; all stay; those are replaced whose key a row of the
 * stream has, and the others stay.
 */
export const MODES = ['overwrite', 'append', 'merge'] as const
export type Mode = (typeof MODES)[number]

/** A stream that the pipeline file defines by itself: a file pattern. */
export interface StreamDefinition {
  readonly stream: string
  readonly path: string
}

export interface StreamRequest {
  readonly stream: string
  readonly mode: Mode
  /** The columns to read, in order. */
  readonly columns: readonly string[]
  /** Columns that tell rows apart; required to merge, and then no two rows of the stream have the same values in them. */
  readonly key: readonly string[]
  /** The column by whose value rows that are new are found: the highest that arrives is kept for the next run. */
  readonly cursor?: string
  /** Rows whose cursor is lower are left out, by `where` or on the way. */
  readonly since?: string
  /** At most so many rows, of those that are wanted. */
  readonly limit?: number
  /** Only rows of which this is true: for sources whose stream says that they apply it, exactly. */
  readonly where?: BoundCondition
  /** A condition in the language of the system, as the user wrote it: for streams that say that they take it. */
  readonly nativeFilter?: string
  /** The pattern of a stream that the pipeline defines. */
  readonly path?: string
  /** What the system of the source checks rows by: see `StreamInfo.rules`. */
  readonly rules?: string
  /** A row that is there all the time is not missed, though it is changed meanwhile: what is missed will be deleted. */
  readonly complete?: true
}

/** What one partition of a stream reached, when a run was interrupted. */
export interface CommittedPartition {
  readonly partition: string
  readonly read: number
}

/** An interrupted run, as `plan` needs it to say what of it can stay. */
export interface PreviousPlan {
  readonly plan: Plan
  readonly committed: readonly CommittedPartition[]
}

export interface Plan {
  /** In output order; independent of the number of workers. */
  readonly partitions: readonly Partition[]
  /** Valid while the driver that planned it is open. */
  readonly snapshot?: Json
  /** Tasks that should run at once at most, because each holds much more than its batches; left out: any number. */
  readonly tasks?: number
  /** What a resumed plan needs to prove that committed partitions still fit. */
  readonly proof?: Json
  /** Streams of the previous plan that must begin again, with the reason for people. */
  readonly restart: readonly { readonly stream: string; readonly reason: string }[]
}

/** Seconds of work; committed whole or not at all, except behind positions that its source gives. */
export interface Partition {
  /** Unique in the run, and equal when the run is resumed. */
  readonly id: string
  readonly stream: string
  readonly range: Json
}

/** A stream as agreed with the destination: the types in which `read` delivers each column. */
export interface ReadStream {
  readonly request: StreamRequest
  readonly schema: Schema
  /** The wire format to hand over; left out: columns. */
  readonly wire?: string
  /** The columns of `schema` that somebody looks at: all, without a wire format; else those that are replaced in it. */
  readonly decode: readonly number[]
  /** Asked for only where the stream's `digest` says that the source can: `schema` is then that of the digest. */
  readonly digest?: Digest
}

/**
 * What `read` gives instead of rows: hashes of them, computed where they lie, to be compared with those of another
 * source. Equal values have equal hashes, and other values others.
 */
export interface Digest {
  /** The columns that make the hash of a row, in order. */
  readonly columns: readonly Field[]
  /** Those that make the hash of its key; none: all. */
  readonly key: readonly string[]
  /** A power of two. The bucket of a row is the hash of its key modulo this. */
  readonly buckets: number
  /**
   * Left out: for every bucket that has rows their number and the sum of their hashes, as `bucket` (int32), `rows` (int64)
   * and `sum` (decimal). Else, for the rows in these buckets or of these hashed keys: the hash of the key (int64) and that
   * of the row (int64); for keys also the place of the row (utf8), and its `columns` as texts.
   */
  readonly rows?: { readonly buckets: readonly number[] } | { readonly keys: readonly string[] }
}

export interface ReadTask {
  readonly partition: Partition
  readonly stream: ReadStream
  readonly snapshot?: Json
  /** Begin behind this position of the partition. */
  readonly from?: Position
  readonly batch: BatchLimits
}

/** A batch ends at whichever comes first. */
export interface BatchLimits {
  readonly rows: number
  readonly bytes: number
  /** Milliseconds after which a batch that has rows goes on its way. */
  readonly delayMs: number
}

/** A row that could not be read, to be read once more. */
export interface RejectedRecord {
  /** Handed on, as it is, with the row or its rejection. */
  readonly origin: RowOrigin
  /** Its text; left out: the record that has this number in the file now. */
  readonly raw?: Uint8Array
}

/** A source, as its author writes it. Methods may run concurrently. */
export interface SourceDriver extends Lifecycle {
  /** Streams, columns, keys, estimates. `defined` are streams that exist only in the pipeline file. */
  discover(context: Context, defined: readonly StreamDefinition[]): Promise<Catalog>
  /** Cuts streams into partitions of about `partitionBytes` under one snapshot. Left out: one partition a stream. */
  plan?(
    streams: readonly ReadStream[],
    partitionBytes: number,
    previous: PreviousPlan | undefined,
    context: Context,
  ): Promise<Plan>
  /** Ends only at the true end; left early, it frees everything. */
  read(task: ReadTask, context: Context): AsyncIterable<RecordBatch>
  /** Reads rejected records of a stream once more, each as a batch of one row or one rejection. Left out: it cannot. */
  reread?(stream: ReadStream, records: readonly RejectedRecord[], context: Context): AsyncIterable<RecordBatch>
  /** Changes of all streams behind a position; without one, from now on. Ends only when it is left. */
  readChanges?(position: Position | undefined, context: Context): AsyncIterable<RecordBatch>
}

export type Guarantee = 'exactly_once' | 'at_least_once'

/** How a destination would keep one column. */
export interface ColumnAcceptance {
  /** The type in which it wants the column: one that the field offers, or one that the runtime casts to. */
  readonly as: LogicalType
  /** Its own type for the column. */
  readonly type: string
  readonly fidelity: Fidelity
  readonly why?: string
}

export interface Acceptance {
  /** One per field of the schema that was offered. */
  readonly columns: readonly ColumnAcceptance[]
  /** The offered wire format that it takes as it is, where nothing looks inside. */
  readonly wire?: string
  /** Columns that it does not take from the wire rows but from `column`: all that is changed on the way is among them. */
  readonly replaced?: readonly number[]
  /** What `prepare` and `finish` will execute, for people. */
  readonly ddl: readonly string[]
  readonly guarantee: Guarantee
  /** How large a partition should be at this destination, in source bytes. */
  readonly partitionBytes?: number
  /** Reasons why the stream cannot be written as asked, all of them. */
  readonly problems: readonly Problem[]
}

export interface Problem {
  readonly code:
    | 'config_invalid'
    | 'target_incompatible'
    | 'target_not_ours'
    | 'loss_refused'
    | 'permission_denied'
    | 'unsupported'
  readonly message: string
  readonly column?: string
}

/** A target that a stream would be written to. */
export interface TargetRequest {
  readonly target: string
  readonly mode: Mode
  /** Rows of it are to be deleted, too. */
  readonly deletes?: boolean
}

/** What a destination says of a target's name, and of what its user may do there, whatever the stream. */
export interface TargetCheck {
  /** Equal for targets that are one and the same there: with the default schema, after folding. */
  readonly identity: string
  /** With any but `permission_denied` the target cannot be described. */
  readonly problems: readonly Problem[]
}

/** What stands at a target before the run. */
export interface TargetInfo {
  readonly schema: Schema
  /** It holds rows, and no run of Nebula wrote it. */
  readonly foreignRows: boolean
  /** The columns of each unique index over all rows, where none may be null. Left out: nothing is known of them. */
  readonly uniqueKeys?: readonly (readonly string[])[]
}

/** How the rows of a target are read: the name of the stream and, where it has to be defined, its path. */
export type ReadBack = Pick<StreamRequest, 'stream' | 'path'>

/** One stream of a run, as planned. */
export interface StreamPlan {
  readonly request: StreamRequest
  readonly target: string
  /** What arrives at `write`: after transforms, in the accepted types. */
  readonly schema: Schema
  readonly accepted: Acceptance
  /** Raised when the stream begins again; names its staging. */
  readonly generation: number
}

/** How far an incremental stream came. */
export interface CursorMark {
  /** Of the source, and where its rows went. */
  readonly column: string
  readonly target: string
  /** The highest value that arrived: its canonical text. */
  readonly value: string
  /** Equal for as long as the same rows of the same source come in the same way, and the value is of the same type. */
  readonly basis: string
}

/** By stream. */
export interface CursorMarks {
  readonly [stream: string]: CursorMark
}

export interface Run {
  readonly pipeline: string
  readonly id: string
  /** Raised by every process that takes the run over; `prepare` of a higher epoch fences the lower. */
  readonly epoch: number
  /** When it was begun, in milliseconds since 1970; a resumed run keeps it. Left out by older versions. */
  readonly startedAt?: number
  /** Says by the settings of its pipeline which runs may resume it; without values. */
  readonly fingerprint: string
  readonly plan: Plan
  readonly streams: readonly StreamPlan[]
  /** How far incremental streams were when it began; and how far those of it are that are finished. */
  readonly from?: CursorMarks
  readonly next?: CursorMarks
}

/** The last run of a pipeline as its destination knows it. */
export interface Recalled {
  readonly run: Run
  /** Of partitions whose streams are not finished. */
  readonly checkpoints: readonly Checkpoint[]
  /** Streams that are in their targets. */
  readonly finished: readonly string[]
  /** The run is over, and its report was shown: the same pipeline is a new run. Until then it is an interrupted one. */
  readonly ended: boolean
}

export interface WriteTask {
  readonly run: Run
  readonly partition: Partition
  readonly stream: StreamPlan
  /** The place of the partition among those of its stream, from 0. */
  readonly order: number
  /** The stream's partitions that are committed are not written again; this many lie before and behind. */
  readonly partitions: number
  /** `write` resolves when the rows are in, and returns those that the system refuses. */
  readonly isolate: boolean
}

/** What a stream did so far; `read` = `written` + `filtered` + `rejected`. */
export interface Counts {
  readonly read: number
  readonly written: number
  /** Rows that the pipeline did not ask for; those that the source left out itself are not among `read`. */
  readonly filtered: number
  readonly rejected: number
  readonly bytes: number
  /** Values that their columns could not hold, and that are kept in the overflow column; left out: none. */
  readonly overflowed?: number
}

export interface Checkpoint {
  readonly partition: string
  /** From 1; every commit of a partition raises it. */
  readonly sequence: number
  /** Reading goes on behind it; left out when the partition is done. */
  readonly position?: Position
  readonly done: boolean
  /** Of the whole partition so far. */
  readonly counts: Counts
  /** The highest value of the stream's cursor so far, as canonical text; left out: none. */
  readonly highest?: string
}

/** Writes one partition of one stream. */
export interface Writer {
  /**
   * Takes rows `from` to `to` of a batch that is lent until this resolves; the wait is the backpressure. Returns rows
   * that the system refused (only when isolating); a refusal that comes later throws `row_rejected`.
   */
  write(batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]>
  /** All rows since the last commit are durable, and the checkpoint with them. Throws `fenced`, `already_committed`. */
  commit(checkpoint: Checkpoint): Promise<void>
  /** Nothing since the last commit leaves a trace. Never throws. */
  abort(reason: unknown): Promise<void>
}

/** A destination, as its author writes it. */
export interface DestinationDriver extends Lifecycle {
  /** Left out: overwrite and append. */
  readonly modes?: readonly Mode[]
  /** Names that it cannot keep, privileges that are missing: one answer per target. Left out: nothing is known of them. */
  check?(requests: readonly TargetRequest[], context: Context): Promise<TargetCheck[]>
  /** What stands at each target; undefined where nothing does. */
  describe?(targets: readonly string[], context: Context): Promise<(TargetInfo | undefined)[]>
  /** How it would keep a stream, in one of its modes. Pure. Left out: every column as text. */
  accept?(request: StreamRequest, schema: Schema, wire: readonly string[], target?: TargetInfo): Acceptance
  /** The last run of a pipeline. Left out: the runtime keeps its own state, at least once. */
  recall?(pipeline: string, context: Context): Promise<Recalled | undefined>
  /** Stores the run and its epoch; creates what is missing; discards staging of older generations. Idempotent. */
  prepare(run: Run, context: Context): Promise<void>
  writer(task: WriteTask, context: Context): Promise<Writer>
  /**
   * Moves complete streams into their targets, at once and for readers all or nothing; stores the run as it is given, with
   * them, where it keeps runs. Idempotent.
   */
  finish?(run: Run, streams: readonly string[], context: Context): Promise<void>
  /**
   * Deletes the rows of a target whose key is none of `keys`, behind `finish`; returns how many. `stream` has its key
   * columns alone. A batch is lent until the next is asked for; a key may come twice. Nothing is deleted before `keys`
   * ended: when they throw, their error is thrown on. Throws `fenced`, and `deletes_refused` where no row would be left.
   * Killed at any moment, it can be done again. Left out: it cannot.
   */
  sweep?(run: Run, stream: StreamPlan, keys: AsyncIterable<RecordBatch>, context: Context): Promise<number>
  /** Staging and checkpoints of the streams are gone, targets as before. Idempotent. */
  discard?(run: Run, streams: readonly string[], context: Context): Promise<void>
  /** The stream in which a source over the same configuration reads a target back. Pure. Left out: it has its name. */
  readBack?(target: string, mode: Mode): ReadBack
  /** From now on `recall` says that the run ended. Called after its report was shown. Required where `recall` is. */
  end?(run: Run, context: Context): Promise<void>
}
