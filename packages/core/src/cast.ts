import type { BufferPool } from './buffer-pool.ts'
import type { ColumnBuilder } from './builder.ts'
import type { Column } from './column.ts'

/**
 * Casts `column` into `builder`, exactly: a value that the builder's type cannot hold is set null and reported to
 * `onFault`, in order. Text is the bridge between types that have no shorter way.
 */
export function castColumn(
  column: Column,
  builder: ColumnBuilder,
  pool: BufferPool,
  onFault: (row: number) => void,
): void {
  void [column, builder, pool, onFault]
  throw new Error('to be written')
}
