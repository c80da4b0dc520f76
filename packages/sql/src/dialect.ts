import type { Context, Field, LogicalType, NebulaError, Schema, StreamPlan, WriteTask } from '@nebula/core'
import type { Loader } from './loader.ts'
import type { Names, TableName } from './names.ts'
import type { SqlSession } from './session.ts'

/** What stands under a target's name. */
export interface StandingTable extends TableName {
  /** Never given again to another table, as far as the server can help it. */
  readonly id: string
  /** `nullable` is true for columns that the server fills in. */
  readonly columns: Schema
  /** The columns of each unique index over all rows, where none may be null. */
  readonly uniqueKeys: readonly (readonly string[])[]
}

/** A stream that leaves its staging table. */
export interface Move {
  readonly stream: StreamPlan
  readonly staging: TableName
  readonly target: TableName
}

/** How a column of another system's type is kept: its type, and the type in which values arrive where that is wider. */
export interface ColumnType {
  readonly type: string
  readonly as?: LogicalType
}

/** What the types of a vendor can hold. Pure. */
export interface SqlTypes {
  readonly vendor: string
  /** The type of a new column for what comes from another system; undefined when there is none. */
  columnType(type: LogicalType): ColumnType | undefined
  /** What the server would change without a word, when the field is stored in a column of the declared type. */
  lossOf(field: Field, declared: string): string | undefined
  /** True for a declared type whose values are text as it is sent, so that the server need not parse it. */
  isText(declared: string): boolean
  /** Wire formats that the vendor's own rows may pass through in, best first; `parsed`: some are sent as text. */
  wires(parsed: boolean): readonly string[]
  /** The one in which columns can be replaced on the way. */
  readonly replaceable?: string
}

/** A table that a run would use if it stands, and the privileges on it that the run needs. */
export interface TableUse extends TableName {
  readonly privileges: readonly string[]
}

/** What stands in the way of using a table, or of creating it. */
export interface TableRights {
  /** Privileges that the user lacks, as in `INSERT on public.orders`. */
  readonly missing: readonly string[]
  /** Something stands there that is no table. */
  readonly otherKind: boolean
}

/** What distinguishes one SQL database from another, as a destination. */
export interface SqlDialect<Session extends SqlSession> {
  readonly names: Names
  readonly types: SqlTypes
  /** The placeholder of a statement's value number `place`, from 1. */
  readonly parameter: (place: number) => string
  /** A query of the tables that the user may use: `schema`, `name`. Runs ask it often, and information_schema is slow. */
  readonly tables: string
  /** Types of the columns of the checkpoint table. */
  readonly checkpointTypes: { readonly key: string; readonly number: string; readonly content: string }
  /** Makes others that are about to create something in `schema` wait until the transaction ends. */
  lockSchema(session: Session, schema: string): Promise<void>
  /** What the user may do with each table and in its schema. */
  rights(session: Session, tables: readonly TableUse[]): Promise<TableRights[]>
  /** What stands at each name; undefined where nothing does. */
  describe(session: Session, names: readonly TableName[]): Promise<(StandingTable | undefined)[]>
  /** Inside a transaction: creates the staging table of a stream, and what it needs; like the target if that stands. */
  stage(session: Session, move: Move): Promise<void>
  /**
   * Inside a transaction: makes the staged rows the target's, adds them to it, or merges them into it; no two of these
   * have the same key. The staging table is gone. Returns the target's id when all its rows are now Nebula's.
   */
  moveIntoTarget(session: Session, move: Move): Promise<string | undefined>
  /** Loads the rows of one task into its staging table. */
  loader(task: WriteTask, staging: TableName, context: Context): Loader<Session>
  /** The error as a NebulaError; `doing` says what for, as in `Writing public.orders`. */
  readonly toError: (error: unknown, doing?: string) => NebulaError
}
