import type { BytesBuilder } from '../builder.ts'
import type { Column } from '../column.ts'

/**
 * Appends the canonical text of rows `from` to `to` of `column` to `out`, whose `start(to - from)` this calls; nulls
 * stay null.
 */
export function formatColumn(column: Column, out: BytesBuilder, from = 0, to = column.length): void {
  void [column, out, from, to]
  throw new Error('to be written')
}
