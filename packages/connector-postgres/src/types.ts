import type { Field, LogicalType } from '@nebula/core'
import { utf8 } from '@nebula/core'
import { BINARY_WIRE, TEXT_WIRE } from '@nebula/formats'
import type { ColumnType, SqlTypes } from '@nebula/sql'
import { Names } from '@nebula/sql'

const SYSTEM_COLUMNS = ['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']
/** NAMEDATALEN - 1 bytes; PostgreSQL would cut a longer name without a word. */
export const NAMES = new Names({ vendor: 'PostgreSQL', quote: '"', maxBytes: 63, reserved: SYSTEM_COLUMNS })

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

/** Of columns for values of another system. */
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

function columnType(type: LogicalType): ColumnType | undefined {
  if (type.kind === 'decimal') return { type: `numeric(${type.precision},${type.scale})` }
  if (type.kind === 'timestamp') return { type: `timestamp ${type.zone ? 'with' : 'without'} time zone` }
  return COLUMN_TYPES[type.kind]
}

function lossOf({ type, declared }: Field, target: string): string | undefined {
  if (declared === 'json' && target === 'jsonb') return 'jsonb keeps neither spaces nor repeated keys'
  const digits = /^(?:time|interval).*\(([0-5])\)/.exec(target)?.[1]
  const timed = type.kind === 'time' || type.kind === 'timestamp' || type.kind === 'interval'
  return timed && digits !== undefined ? `${target} rounds seconds to ${digits} digits` : undefined
}

export const TYPES: SqlTypes = {
  vendor: 'postgres',
  columnType,
  lossOf,
  isText: (declared) => /^(text$|character|name$)/.test(declared),
  wires: (parsed) => (parsed ? [TEXT_WIRE] : [BINARY_WIRE, TEXT_WIRE]),
  replaceable: BINARY_WIRE,
}
