import type { ColumnBuilder } from '../builder.ts'
import type { Slices } from './slices.ts'

/**
 * Parses texts into `builder`, whose `start(slices.rows)` this calls. A row whose text is not a value of the builder's
 * type is set null and reported to `onFault`, in order.
 */
export function parseColumn(slices: Slices, builder: ColumnBuilder, onFault: (row: number) => void): void {
  void [slices, builder, onFault]
  throw new Error('to be written')
}
