import type { LogicalType } from './types.ts'
import { typeName } from './types.ts'

/** One column of a stream. JSON. */
export interface Field {
  readonly name: string
  readonly type: LogicalType
  readonly nullable: boolean
  /** The system that declared the column, such as `postgres`, and its own spelling of the type. */
  readonly vendor?: string
  readonly declared?: string
  /**
   * The types in which the source can deliver the column, best first; `type` is the first of them.
   * Left out: only `type`.
   */
  readonly offers?: readonly LogicalType[]
  /** How it is spelled where it is text: the same value in another spelling is another text. Left out: as always. */
  readonly spelling?: string
  /** The source offers it as text, and the texts have the order of the values: an id that begins with its time. */
  readonly ordered?: true
  /** What the vendor must have before a column of this type can be created: the types it is made of, in order. */
  readonly requires?: readonly TypeDefinition[]
  /** Where its values lie in the source's documents, where it is a column of nested ones: names, outermost first. */
  readonly path?: readonly string[]
  /** The vendor computes the value (generated column): it can be read and not be written. */
  readonly generated?: boolean
  readonly comment?: string
}

/** A user-defined type of a vendor, by its full quoted name, and the statement that creates it. */
export interface TypeDefinition {
  readonly name: string
  readonly ddl: string
}

/** The columns of a stream, in order. JSON. Column names are unique. */
export interface Schema {
  readonly fields: readonly Field[]
}

/** One table, file set or collection that a source can read. JSON. */
export interface StreamInfo {
  readonly name: string
  readonly schema: Schema
  /** Columns of the primary key, in order; empty without one. */
  readonly key: readonly string[]
  /** Estimates; undefined where nothing is known. */
  readonly rows?: number
  readonly bytes?: number
  /** Wire formats in which `read` can hand over whole rows, best first. */
  readonly wire: readonly string[]
  /** How large a partition should be at least, in source bytes: where each costs more than its rows. */
  readonly partitionBytes?: number
  /** Which conditions of a request `read` applies itself: `where`, and text in the system's own language. */
  readonly filters?: readonly ('where' | 'native')[]
  /** A row that is changed while the stream is read may be missed, as in what has neither a snapshot nor a fixed order. */
  readonly mayMiss?: boolean
  /** Values are text at the source: the stream can be read in any type that text can be parsed into. */
  readonly untyped?: boolean
  /** The columns are what a sample of the rows has: any other of the source's types can be read in their place. */
  readonly sampled?: boolean
  /**
   * The function by which the source can give a digest of the stream instead of its rows; two streams are comparable
   * where it is the same and their columns are declared alike. Left out: it cannot.
   */
  readonly digest?: string
  /**
   * `snapshot`: all rows that a run reads are of one moment. `row`: each is as of some moment of the run; what is written
   * meanwhile arrives as it was before or after, or not at all. Left out: the source does not say.
   */
  readonly consistency?: 'snapshot' | 'row'
  /** What the system itself checks rows by, in its own form: a destination of the same system may take it over. */
  readonly rules?: string
  readonly comment?: string
}

export interface Catalog {
  readonly streams: readonly StreamInfo[]
  /** Names of streams that are there and that the user may not read. */
  readonly denied?: readonly string[]
}

/** The index of a column by name, or -1. */
export function fieldIndex(schema: Schema, name: string): number {
  return schema.fields.findIndex((field) => field.name === name)
}

/** A short text that is equal for equal columns: names, types, nullability, declared types, in order. */
export function schemaFingerprint(schema: Schema): string {
  return JSON.stringify(
    schema.fields.map((f) => [
      f.name,
      typeName(f.type),
      f.nullable,
      f.vendor ?? '',
      f.declared ?? '',
      f.requires ?? [],
      ...(f.path ? [f.path] : []),
    ]),
  )
}
