import type { LogicalType } from '@nebula/core'
import { columnType } from './field-types.ts'
import type { Nesting } from './nesting.ts'
import type { ValueSampler } from './value-sampler.ts'

/** The type of a column of values: that of most of them; of documents and arrays as `nesting` says, where it can be. */
export function nestedType(value: ValueSampler, nesting: Nesting): LogicalType {
  const alias = value.alias()
  const nested =
    (alias === 'object' && nesting.objects === 'struct' && structType(value, nesting)) ||
    (alias === 'array' && nesting.arrays === 'list' && listType(value, nesting))
  return nested || columnType(alias)
}

/** Undefined where no field is known, or one that is none of a struct. */
function structType({ documents }: ValueSampler, nesting: Nesting): LogicalType | undefined {
  const inner = documents?.columns() ?? []
  if (inner.length === 0 || inner.some(([name]) => name === '')) return undefined
  return { kind: 'struct', fields: inner.map(([name, field]) => ({ name, type: nestedType(field, nesting) })) }
}

/** Undefined where the elements are not of one type, null aside. */
function listType({ elements }: ValueSampler, nesting: Nesting): LogicalType | undefined {
  const aliases = [...(elements?.types.keys() ?? [])].filter((alias) => alias !== 'null')
  return elements && aliases.length === 1 ? { kind: 'list', element: nestedType(elements, nesting) } : undefined
}

/** Columns that a column of a type is made of. */
export function typeWidth(type: LogicalType): number {
  if (type.kind === 'list') return typeWidth(type.element)
  return type.kind === 'struct' ? type.fields.reduce((sum, field) => sum + typeWidth(field.type), 0) : 1
}
