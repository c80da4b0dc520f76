import type { Connector, LogicalType } from '@nebula/core'
import type { Table } from './table.ts'

/** Keys of a connector's configuration, as a pipeline file would hold them. */
export type Keys = Readonly<Record<string, unknown>>

/** A server that the suite may freeze, kill and start again; `PostgresServer` is one. */
export interface SubjectServer {
  /** On the loopback interface. */
  readonly port: number
  kill(signal: NodeJS.Signals): void
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Where a place is made: the suite's server, and an empty folder that goes with the place. */
export interface Ground<Server> {
  readonly server: Server
  readonly folder: string
}

/** What the suite has to be told of a connector. */
export interface SubjectOptions<Server extends SubjectServer | undefined = SubjectServer | undefined> {
  /** Starts the server, once for all checks. Left out: the system is not a server. */
  readonly server?: () => Promise<Server>
  /** The configuration of a place that is empty and nobody else's: a new database, a folder. Once for every check. */
  readonly config: (ground: Ground<Server>) => Keys | Promise<Keys>
  /** The same place, reached through another port of the loopback interface. Required where there is a server. */
  readonly through?: (keys: Keys, port: number) => Keys
  /** Texts of the configuration that may be printed nowhere; secrets that it declares itself are known. */
  readonly secrets?: (keys: Keys) => readonly string[]
  /**
   * Makes a stream by the system's own means, with its key and the comments of its columns; one of the same name is
   * replaced, whatever its columns. Left out: the connector's destination writes it.
   */
  readonly create?: (keys: Keys, table: Table) => Promise<void>
  /** Rows of a table by the system's own means, as canonical texts in any order. Left out: the source reads it. */
  readonly contents?: (keys: Keys, table: Table) => Promise<readonly (readonly (string | null)[])[]>
  /**
   * Changes rows of a stream where they lie, by the system's own means: to those of `table`, which are as many. Left out:
   * the stream is made again.
   */
  readonly update?: (keys: Keys, table: Table) => Promise<void>
  /**
   * Whether the destination refuses a row that holds this value, in a column that it accepts. Left out: it refuses none.
   */
  readonly refuses?: (type: LogicalType, text: string) => boolean
  /** Whether the server of the tests cannot be sent this value, though the system has it: it is left out. */
  readonly spares?: (type: LogicalType, text: string) => boolean
  /** What streams of the system do not have; and whether its server is somebody's own, which nobody may kill. */
  readonly lacks?: readonly ('keys' | 'comments' | 'kills')[]
  /**
   * A stream has the columns of which its rows have values, each of a type that most of them have, and some of the
   * system's own. A column without a value reads as null; a value of another type is kept aside, which is counted, and is
   * looked up by `contents`, whose rows are then in the order in which they are read.
   */
  readonly schemaless?: boolean
  /** The one name that a key by which is merged has at the system. Left out: any. */
  readonly mergeKey?: string
  /** Columns that a table of the system can have. Default: 1600. */
  readonly maxColumns?: number
}

/** A connector that is judged. */
export interface Subject extends SubjectOptions {
  readonly connector: Connector
}
