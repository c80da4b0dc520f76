import type { LogicalType } from '@nebula/core'
import { utf8 } from '@nebula/core'

/** Whole rows as they travel: the CopyData messages of COPY in its binary and text format, without header and trailer. */
export const BINARY_WIRE = 'postgres/copy-binary'
export const TEXT_WIRE = 'postgres/copy-text'

/** Types of pg_catalog that Nebula models, by their internal names. `numeric` depends on its modifier. */
const MODELLED: Readonly<Record<string, LogicalType>> = {
  bool: { kind: 'bool' },
  int2: { kind: 'int16' },
  int4: { kind: 'int32' },
  int8: { kind: 'int64' },
  float4: { kind: 'float32' },
  float8: { kind: 'float64' },
  text: utf8,
  varchar: utf8,
  bpchar: utf8,
  name: utf8,
  bytea: { kind: 'binary' },
  date: { kind: 'date' },
  time: { kind: 'time' },
  timestamp: { kind: 'timestamp', zone: false },
  timestamptz: { kind: 'timestamp', zone: true },
  interval: { kind: 'interval' },
  uuid: { kind: 'uuid' },
  json: { kind: 'json' },
  jsonb: { kind: 'json' },
}

/** What a column of a type of pg_catalog means; `modifier` is its atttypmod. Others are native. */
export function logicalType(name: string, modifier: number, declared: string): LogicalType {
  if (name === 'numeric') return numericType(modifier)
  const modelled = Object.hasOwn(MODELLED, name) ? MODELLED[name] : undefined
  return modelled ?? native(declared)
}

export function native(declared: string): LogicalType {
  return { kind: 'native', vendor: 'postgres', type: declared }
}

/** The modifier of numeric(p,s) is ((p << 16) | (s as 11 bits)) + 4; a scale may be negative or above p. */
function numericType(modifier: number): LogicalType {
  const precision = (modifier - 4) >> 16
  const scale = ((modifier - 4) << 21) >> 21
  const fits = modifier >= 4 && precision <= 38 && scale >= 0 && scale <= precision
  return fits ? { kind: 'decimal', precision, scale } : { kind: 'numeric' }
}

interface ColumnType {
  /** In which a value arrives here. */
  readonly as: LogicalType
  readonly type: string
}

const INT16: LogicalType = { kind: 'int16' }
const INT32: LogicalType = { kind: 'int32' }
const INT64: LogicalType = { kind: 'int64' }
const UINT64: LogicalType = { kind: 'decimal', precision: 20, scale: 0 }

/** The type of a new column for what comes from another system; undefined when PostgreSQL has none. */
export function columnType(type: LogicalType): ColumnType | undefined {
  switch (type.kind) {
    case 'bool':
      return { as: type, type: 'boolean' }
    case 'int8':
    case 'uint8':
    case 'int16':
      return { as: INT16, type: 'smallint' }
    case 'uint16':
    case 'int32':
      return { as: INT32, type: 'integer' }
    case 'uint32':
    case 'int64':
      return { as: INT64, type: 'bigint' }
    case 'uint64':
      return { as: UINT64, type: 'numeric(20,0)' }
    case 'float32':
      return { as: type, type: 'real' }
    case 'float64':
      return { as: type, type: 'double precision' }
    case 'decimal':
      return { as: type, type: `numeric(${type.precision},${type.scale})` }
    case 'utf8':
      return { as: type, type: 'text' }
    case 'binary':
      return { as: type, type: 'bytea' }
    case 'time':
      return { as: type, type: 'time without time zone' }
    case 'timestamp':
      return { as: type, type: `timestamp ${type.zone ? 'with' : 'without'} time zone` }
    case 'list':
    case 'struct':
    case 'native':
      return undefined
    default:
      return { as: type, type: type.kind }
  }
}

/** Digits before the point, and behind it, that always hold a number of this type. Undefined: not an exact number. */
function digits(type: LogicalType): readonly [number, number] | undefined {
  if (type.kind === 'decimal') return [type.precision - type.scale, type.scale]
  const bits = /^u?int(\d+)$/.exec(type.kind)?.[1]
  return bits === undefined ? undefined : [Math.ceil(Number(bits) * Math.LOG10E * Math.LN2), 0]
}

/** Inclusive ranges of the integer types, as powers of two of the first value outside. */
function integerBits(type: LogicalType): { signed: boolean; bits: number } | undefined {
  const match = /^(u?)int(\d+)$/.exec(type.kind)
  return match ? { signed: match[1] === '', bits: Number(match[2]) } : undefined
}

/** True when every value of `from` is a value of `to`, which is another type. */
export function widens(from: LogicalType, to: LogicalType): boolean {
  if (to.kind === 'utf8') return true
  if (from.kind === 'date') return to.kind === 'timestamp' && !to.zone
  const a = integerBits(from)
  const b = integerBits(to)
  if (a && b) return a.signed === b.signed ? a.bits <= b.bits : !a.signed && a.bits < b.bits
  if (to.kind === 'numeric') return digits(from) !== undefined
  if (to.kind === 'float64') return from.kind === 'float32' || (a !== undefined && a.bits <= 32)
  if (to.kind === 'float32') return a !== undefined && a.bits <= 16
  const have = digits(from)
  const room = to.kind === 'decimal' ? digits(to) : undefined
  return have !== undefined && room !== undefined && have[0] <= room[0] && have[1] <= room[1]
}
