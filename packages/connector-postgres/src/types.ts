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
  return (Object.hasOwn(MODELLED, name) ? MODELLED[name] : undefined) ?? native(declared)
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

/** A column for values of another system: its type, and the type in which values arrive where that is wider. */
interface ColumnType {
  readonly type: string
  readonly as?: LogicalType
}

const COLUMN_TYPES: { readonly [kind in LogicalType['kind']]?: ColumnType } = {
  bool: { type: 'boolean' },
  int8: { type: 'smallint', as: { kind: 'int16' } },
  int16: { type: 'smallint' },
  int32: { type: 'integer' },
  int64: { type: 'bigint' },
  uint8: { type: 'smallint', as: { kind: 'int16' } },
  uint16: { type: 'integer', as: { kind: 'int32' } },
  uint32: { type: 'bigint', as: { kind: 'int64' } },
  uint64: { type: 'numeric(20,0)', as: { kind: 'decimal', precision: 20, scale: 0 } },
  float32: { type: 'real' },
  float64: { type: 'double precision' },
  numeric: { type: 'numeric' },
  utf8: { type: 'text' },
  binary: { type: 'bytea' },
  date: { type: 'date' },
  time: { type: 'time without time zone' },
  interval: { type: 'interval' },
  uuid: { type: 'uuid' },
  json: { type: 'json' },
}

/** The type of a new column for what comes from another system; undefined when PostgreSQL has none. */
export function columnType(type: LogicalType): ColumnType | undefined {
  if (type.kind === 'decimal') return { type: `numeric(${type.precision},${type.scale})` }
  if (type.kind === 'timestamp') return { type: `timestamp ${type.zone ? 'with' : 'without'} time zone` }
  return COLUMN_TYPES[type.kind]
}

/** Bits of an integer beside its sign. */
const INTEGERS: { readonly [kind in LogicalType['kind']]?: { readonly bits: number; readonly signed: boolean } } = {
  int8: { bits: 7, signed: true },
  int16: { bits: 15, signed: true },
  int32: { bits: 31, signed: true },
  int64: { bits: 63, signed: true },
  uint8: { bits: 8, signed: false },
  uint16: { bits: 16, signed: false },
  uint32: { bits: 32, signed: false },
  uint64: { bits: 64, signed: false },
}
/** Bits of an integer that a binary fraction holds. */
const MANTISSAS: Readonly<Record<string, number>> = { float32: 24, float64: 53 }

/** Digits before the point and behind it that an exact number may have. */
function digits(type: LogicalType): readonly [whole: number, fraction: number] | undefined {
  if (type.kind === 'decimal') return [type.precision - type.scale, type.scale]
  if (type.kind === 'numeric') return [Infinity, Infinity]
  const integer = INTEGERS[type.kind]
  return integer && [Math.ceil(integer.bits * Math.log10(2)), 0]
}

/** True when every value of `from` is a value of `to`, which is another type. */
export function widens(from: LogicalType, to: LogicalType): boolean {
  if (to.kind === 'utf8') return from.kind !== 'list' && from.kind !== 'struct'
  if (to.kind === 'timestamp') return from.kind === 'date' && !to.zone
  return widensNumber(from, to)
}

function widensNumber(from: LogicalType, to: LogicalType): boolean {
  const integer = INTEGERS[from.kind]
  const larger = INTEGERS[to.kind]
  const mantissa = MANTISSAS[to.kind]
  if (larger) return integer !== undefined && integer.bits <= larger.bits && (larger.signed || !integer.signed)
  if (mantissa !== undefined) return from.kind === 'float32' || (integer !== undefined && integer.bits <= mantissa)
  const [whole = Infinity, fraction = Infinity] = digits(from) ?? []
  const room = digits(to) ?? [0, 0]
  return digits(from) !== undefined && whole <= room[0] && fraction <= room[1]
}
