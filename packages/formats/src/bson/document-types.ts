import type { Fidelity, LogicalType } from '@nebula/core'

/** How documents keep values of a type: the alias of the BSON type (`$type`), and what becomes of them. */
export interface DocumentType {
  readonly alias: string
  readonly fidelity: Fidelity
  readonly why?: string
}

/** The alias; behind it, where a value is not quite what it was, as what it is kept. */
const TYPES: { readonly [kind in LogicalType['kind']]?: readonly [alias: string, keptAs?: string] } = {
  bool: ['bool'],
  int8: ['int', 'an integer of 32 bits'],
  int16: ['int', 'an integer of 32 bits'],
  int32: ['int'],
  int64: ['long'],
  uint8: ['int', 'an integer of 32 bits'],
  uint16: ['int', 'an integer of 32 bits'],
  uint32: ['long', 'an integer of 64 bits'],
  uint64: ['decimal', 'a decimal'],
  float32: ['double', 'a float of 64 bits'],
  float64: ['double'],
  decimal: ['decimal'],
  numeric: ['decimal'],
  utf8: ['string'],
  binary: ['binData'],
  date: ['date', 'its midnight in UTC'],
  time: ['string', 'text'],
  timestamp: ['date'],
  interval: ['string', 'text'],
  uuid: ['uuid'],
  json: ['object', 'a value of its own, without the spaces of its text'],
  list: ['array'],
  struct: ['object'],
}

/** How documents keep a type; undefined where they cannot. */
export function documentType(type: LogicalType): DocumentType | undefined {
  if (type.kind === 'native')
    return type.vendor === 'mongo' && type.type === 'objectId' ? { alias: type.type, fidelity: 'exact' } : undefined
  const [alias, keptAs] = TYPES[type.kind] ?? []
  const inner = innerTypes(type).map(documentType)
  if (alias === undefined || inner.includes(undefined)) return undefined
  if (type.kind === 'timestamp') return { alias, fidelity: 'lossy', why: 'documents keep milliseconds, in UTC' }
  if (keptAs !== undefined) return { alias, fidelity: 'widened', why: `it is kept as ${keptAs}` }
  // As good as what is in it.
  const worst = (['lossy', 'widened'] as const).map((fidelity) => inner.find((found) => found?.fidelity === fidelity))
  return { fidelity: 'exact', ...worst.find((found) => found !== undefined), alias }
}

function innerTypes(type: LogicalType): readonly LogicalType[] {
  if (type.kind === 'list') return [type.element]
  return type.kind === 'struct' ? type.fields.map((field) => field.type) : []
}
