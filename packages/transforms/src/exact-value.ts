import type { Column } from '@nebula/core'
import { BufferPool, BytesBuilder, formatColumn, isNull, utf8, valueAt } from '@nebula/core'

/**
 * A value as its canonical text, which `parseColumn` reads back; null is null. A vendor's own bytes are `\x` and
 * hexadecimal digits; lists and structs are JSON of what is in them.
 */
export function exactValue(column: Column, row: number): unknown {
  if (isNull(column, row)) return null
  const { type } = column
  if (column.layout === 'list') {
    const start = column.offsets[row] as number
    const length = (column.offsets[row + 1] as number) - start
    return Array.from({ length }, (_, i) => exactValue(column.child, start + i))
  }
  if (column.layout === 'struct' && type.kind === 'struct')
    return Object.fromEntries(type.fields.map(({ name }, i) => [name, exactValue(column.children[i] as Column, row)]))
  if (type.kind === 'native') return `\\x${Buffer.from(valueAt(column, row) as Uint8Array).toString('hex')}`
  const out = new BytesBuilder(utf8, new BufferPool(0))
  formatColumn(column, out, row, row + 1)
  return valueAt(out.finish(), 0)
}
