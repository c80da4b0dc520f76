import type { Column, Value } from '@nebula/core'
import { BufferPool, BytesBuilder, formatColumn, isNebulaError, utf8, valueAt } from '@nebula/core'

/** A value as its canonical text, which `parseColumn` reads back; null is null. What has no text form is written as JSON. */
export function exactValue(column: Column, row: number): unknown {
  const out = new BytesBuilder(utf8, new BufferPool(0))
  try {
    formatColumn(column, out, row, row + 1)
    return valueAt(out.finish(), 0)
  } catch (error) {
    if (!isNebulaError(error, 'unsupported')) throw error
    return JSON.parse(JSON.stringify(valueAt(column, row), plainValue)) as unknown
  }
}

/** A `JSON.stringify` replacer: 64-bit numbers and what is no JSON number as text, bytes as `\\x` hexadecimal. */
function plainValue(_key: string, value: Value | object): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    return Object.is(value, -0) ? '-0' : String(value)
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : value
}
