import type { Column, FixedArray } from '@nebula/core'

const NO_BYTES = new Uint8Array(0)

/** The buffer of a column that has something for each row, its validity aside; a struct has only children. */
export function columnArray(column: Column): Uint8Array | FixedArray {
  switch (column.layout) {
    case 'bool':
      return column.bits
    case 'fixed':
      return column.values
    case 'fixed64':
    case 'fixed128':
      return column.words
    case 'bytes':
    case 'list':
      return column.offsets
    case 'dictionary':
      return column.indices
    case 'struct':
      return NO_BYTES
  }
}
