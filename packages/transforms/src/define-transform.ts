import type { Column, Value } from '@nebula/core'

/** The values of a row by column, as `valueAt` of `@nebula/core` gives them; one object for all rows, valid in the call. */
export type InputRow = { readonly [column: string]: Value }

/**
 * What may be returned for a column: a value as it is given, the text of one, a number for a 64-bit integer, a Date for
 * a timestamp or date, and for json anything that JSON can hold.
 */
export type OutputValue = Value | Date | object | undefined

/** New values of the columns that the transform makes: a key for each of them, and no other. */
export type OutputRow<Name extends string = string> = { readonly [name in Name]: OutputValue }

/** Rows of a batch, for a function that works on columns. Valid in the call. */
export interface InputBatch {
  readonly rows: number
  /** The column in the Arrow layout. */
  column(name: string): Column
  /** Its values, null where there is none. */
  values(name: string): Value[]
}

export interface OutputBatch<Name extends string = string> {
  /** One value a row for every column that the transform makes. */
  readonly columns?: { readonly [name in Name]: readonly OutputValue[] }
  /** Rows that are left out: true means out. */
  readonly drop?: readonly boolean[]
}

interface TransformBase<Name extends string> {
  /** The columns that it makes, and their types (`int64`, `decimal(10,2)`, ...): new ones, or others of an old name. */
  readonly columns?: { readonly [name in Name]: string }
  /** The columns that it looks at; left out: all of the stream. */
  readonly reads?: readonly string[]
}

/** A function over rows, with what it makes declared so that the plan can show it. */
export type TransformDefinition<Name extends string = string> =
  | (TransformBase<Name> & {
      /** New values for a row, or null to leave it out. What it throws makes the row a rejected one. */
      record(row: InputRow): OutputRow<Name> | null
    })
  | (TransformBase<Name> & {
      /** What it throws fails the stream. */
      batch(batch: InputBatch): OutputBatch<Name>
    })

/** Gives a transform its types; the default export of a file beside the pipeline file. */
export function defineTransform<const Name extends string>(
  definition: TransformDefinition<Name>,
): TransformDefinition<Name> {
  return definition
}
