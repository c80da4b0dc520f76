import type { Field } from '@nebula/core'

/** A stream with its rows; a value is its canonical text, or null. */
export interface Table {
  readonly name: string
  readonly fields: readonly Field[]
  readonly rows: readonly (readonly (string | null)[])[]
  readonly key?: readonly string[]
}
