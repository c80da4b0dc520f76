import type { TextRow } from './compare-rows.ts'
import type { TableShape } from './scene-table.ts'

/** What the table of a scene is called, at either end. */
export const TABLE = 'orders'

/** Where an end of a scene is, and what its table is like. */
export interface ScenePlace {
  readonly role: 'source' | 'target'
  /** For what lies in files. */
  readonly folder: string
  /** Of the database, for what lies in one. */
  readonly url: string
  readonly shape: TableShape
  /** By its first column rows are found again. */
  readonly keyed: boolean
}

/** One end of a scene: its table, which is made and read by the system's own means. */
export interface SceneEnd {
  /** Its keys, as in a pipeline file, which gets `SOURCE_URL` and `TARGET_URL`. */
  readonly keys: object
  /** What a pipeline calls its table. */
  readonly stream: string
  /** Nothing is there, neither tables nor what Nebula keeps. */
  clear(): Promise<void>
  /** Makes the table, of these rows. */
  put(rows: readonly TextRow[]): Promise<void>
  /** All rows that are there; none where the table is not. */
  rows(): Promise<TextRow[]>
  /** What `rows` says of these, when they are there as they are to be. Left out: these. */
  asRead?(rows: readonly TextRow[]): Promise<TextRow[]>
  /** Throws where a run that is over left anything but rows and its record. */
  expectNothingLeft(): Promise<void>
  /** Gives back what a server would keep in memory. */
  drop?(): Promise<void>
}
