import type { BaseConfig, Condition, Connector, LogicalType, Mode, Secret } from '@nebula/core'
import type { AddedValue, DeletesOption } from '@nebula/transforms'

/** A connector with its checked configuration: constructs drivers, connects nothing. */
export interface Endpoint {
  readonly connector: Connector
  readonly config: BaseConfig
}

/** What the pipeline file says of one stream, or of all in `defaults`. */
export interface StreamOptions {
  /** Incremental merges rows that came since the run before, which it finds by the cursor. */
  readonly mode?: Mode | 'incremental' | undefined
  readonly cursor?: string | undefined
  /** Milliseconds by which it begins before the highest value, for rows that were committed late. */
  readonly lag?: number | undefined
  /** What becomes of merged rows that the source has no longer. */
  readonly deletes?: DeletesOption | undefined
  readonly target?: string | undefined
  readonly columns?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
  readonly rename?: Readonly<Record<string, string>> | undefined
  readonly cast?: Readonly<Record<string, LogicalType>> | undefined
  readonly mask?: Readonly<Record<string, Mask>> | undefined
  /** Only rows of which this is true; over the columns of the source. */
  readonly where?: Condition | undefined
  /** The same in the language of the source's system. */
  readonly nativeFilter?: string | undefined
  /** Columns that the source does not have: constants, and what is known of a row. */
  readonly add?: Readonly<Record<string, AddedValue>> | undefined
  /** The file of a function over rows, absolute. */
  readonly transform?: string | undefined
  /** Types of the columns of a file. */
  readonly types?: Readonly<Record<string, LogicalType>> | undefined
  readonly path?: string | undefined
  readonly key?: readonly string[] | undefined
  readonly limit?: number | undefined
  readonly maxErrors?: number | undefined
  readonly allowLoss?: readonly string[] | undefined
}

/** What arrives instead of a value; an hmac with its key. */
export type Mask = 'sha256' | 'redact' | 'partial' | { readonly hmac: Secret }

/** Everything that one run needs; made from a pipeline file, from the one-line form, or by a program. */
export interface Pipeline {
  /** Names the state. */
  readonly name: string
  /** Where lock, dead letters, reports and, for some destinations, state are kept. */
  readonly stateFolder: string
  readonly source: Endpoint
  readonly destination: Endpoint
  /** Partition tasks at once; left out: the cores. */
  readonly parallel?: number | undefined
  readonly onStreamError?: 'continue' | 'stop' | undefined
  /** Commands for the shell, behind a run that ended with exit code 0, or with another one. */
  readonly onSuccess?: string | undefined
  readonly onFailure?: string | undefined
  readonly defaults?: StreamOptions | undefined
  /** By name or glob, in order; a later entry wins. False leaves a stream out. Left out or empty: every stream. */
  readonly streams?: Readonly<Record<string, StreamOptions | false>> | undefined
  /** Of the streams that it asks for, only these, by name or glob. */
  readonly only?: readonly string[] | undefined
}

/** What becomes of rows that stand at the target. */
export function writeMode(mode: StreamOptions['mode'] = 'overwrite'): Mode {
  return mode === 'incremental' ? 'merge' : mode
}
