import { BufferPool } from '../buffer-pool.ts'
import { BytesBuilder, columnBuilder } from '../builder.ts'
import type { Column } from '../column.ts'
import type { LogicalType } from '../types.ts'
import { utf8 } from '../types.ts'
import { valueAt } from '../value.ts'
import { formatColumn } from './format.ts'
import { parseColumn } from './parse.ts'

/** A column of one row, which a text means in a type; undefined when it means nothing there. */
export function parseText(text: string, type: LogicalType): Column | undefined {
  const data = new TextEncoder().encode(text)
  const slices = { data, starts: Int32Array.of(0), ends: Int32Array.of(data.length), base: 0, stride: 1, rows: 1 }
  const builder = columnBuilder(type, new BufferPool(0))
  let fits = true
  parseColumn(slices, builder, () => (fits = false))
  return fits ? builder.finish() : undefined
}

/** The canonical text of a row's value that is not null. */
export function textAt(column: Column, row: number): string {
  const out = new BytesBuilder(utf8, new BufferPool(0))
  formatColumn(column, out, row, row + 1)
  return valueAt(out.finish(), 0) as string
}
