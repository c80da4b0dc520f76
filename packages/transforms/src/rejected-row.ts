import type { BufferPool, Column, RecordBatch, Rejection } from '@nebula/core'
import { BytesBuilder, columnBuilder, gatherColumn, utf8 } from '@nebula/core'
import { exactValue } from './exact-value.ts'
import { maskColumn } from './mask.ts'
import type { MaskStep } from './steps.ts'

/** The columns that a rejected row may be seen with, and how: masked, or (undefined) as they are. */
export type Visible = ReadonlyMap<string, MaskStep | undefined>

/** A row as exact values by column, for its dead letter: nothing in it that is masked or was not asked for. */
export function rejectedRow(
  batch: RecordBatch,
  row: number,
  visible: Visible,
  pool: BufferPool,
): Pick<Rejection, 'values' | 'masked' | 'place' | 'origin'> {
  const values = batch.schema.fields.flatMap(({ name }, index) => {
    if (!visible.has(name)) return []
    const column = batch.column(index)
    const mask = visible.get(name)
    return [[name, mask ? maskedValue(column, row, mask, pool) : exactValue(column, row)]]
  })
  const masked = batch.schema.fields.flatMap(({ name }) => (visible.get(name) ? [name] : []))
  return {
    place: batch.place(row),
    origin: () => batch.origin(row),
    values: Object.fromEntries(values),
    ...(masked.length > 0 ? { masked } : {}),
  }
}

function maskedValue(column: Column, row: number, mask: MaskStep, pool: BufferPool): unknown {
  const one = columnBuilder(column.type, pool)
  const masked = new BytesBuilder(utf8, pool)
  try {
    maskColumn(gatherColumn(column, Int32Array.of(row), one), mask, masked, pool)
    return exactValue(masked.finish(), 0)
  } finally {
    one.free()
    masked.free()
  }
}
