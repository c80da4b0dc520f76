/**
 * Logical types: what a value means, independent of any vendor. Each has one physical layout (see `column.ts`),
 * and one canonical text form (see `text/format.ts`).
 */

/** Types without parameters. Integers are two's complement; `date` is days and `time` is microseconds. */
export type SimpleKind =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'float32'
  | 'float64'
  | 'numeric'
  | 'utf8'
  | 'binary'
  | 'date'
  | 'time'
  | 'interval'
  | 'uuid'
  | 'json'

export type LogicalType =
  | { readonly kind: SimpleKind }
  /** Exact, at most 38 digits, as a 128-bit integer scaled by `10 ** scale`. Wider numbers are `numeric`: exact text. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  /** Microseconds since 1970-01-01 00:00, in UTC when `zone` is true, else of an unnamed local clock. */
  | { readonly kind: 'timestamp'; readonly zone: boolean }
  | { readonly kind: 'list'; readonly element: LogicalType }
  | { readonly kind: 'struct'; readonly fields: readonly StructField[] }
  /** A value that Nebula does not model: the vendor's own wire bytes, with the vendor's own type name. */
  | { readonly kind: 'native'; readonly vendor: string; readonly type: string }

export type Kind = LogicalType['kind']

export interface StructField {
  readonly name: string
  readonly type: LogicalType
}

/** How well a destination keeps a column: `lossy` needs the user's consent, by name. */
export type Fidelity = 'exact' | 'widened' | 'lossy'

export const utf8: LogicalType = { kind: 'utf8' }

const SIMPLE: ReadonlySet<string> = new Set<SimpleKind>([
  'bool',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'float32',
  'float64',
  'numeric',
  'utf8',
  'binary',
  'date',
  'time',
  'interval',
  'uuid',
  'json',
])

const ALIASES: Readonly<Record<string, LogicalType>> = {
  text: utf8,
  string: utf8,
  boolean: { kind: 'bool' },
  integer: { kind: 'int32' },
  int: { kind: 'int32' },
  bigint: { kind: 'int64' },
  smallint: { kind: 'int16' },
  float: { kind: 'float64' },
  double: { kind: 'float64' },
  real: { kind: 'float32' },
  bytes: { kind: 'binary' },
  timestamp: { kind: 'timestamp', zone: false },
  timestamptz: { kind: 'timestamp', zone: true },
}

/** The names that `parseType` knows, for error messages and completion. */
export const typeNames: readonly string[] = [...SIMPLE, 'decimal(p,s)', ...Object.keys(ALIASES)]

/**
 * Reads a type as users write it: `int64`, `decimal(10,2)`, `timestamptz`, `text`.
 * Returns undefined for a name it does not know.
 */
export function parseType(text: string): LogicalType | undefined {
  const name = text.trim().toLowerCase()
  if (SIMPLE.has(name)) return { kind: name as SimpleKind }
  const alias = Object.hasOwn(ALIASES, name) ? ALIASES[name] : undefined
  if (alias) return alias
  const decimal = /^decimal\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)$/.exec(name)
  if (!decimal) return undefined
  const precision = Number(decimal[1])
  const scale = Number(decimal[2] ?? 0)
  if (precision < 1 || precision > 38 || scale > precision) return undefined
  return { kind: 'decimal', precision, scale }
}

/** The name of a type as people read it; `parseType` reads it back for all but list, struct and native. */
export function typeName(type: LogicalType): string {
  switch (type.kind) {
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'timestamp':
      return type.zone ? 'timestamptz' : 'timestamp'
    case 'list':
      return `list<${typeName(type.element)}>`
    case 'struct':
      return `struct<${type.fields.map((field) => `${field.name}: ${typeName(field.type)}`).join(', ')}>`
    case 'native':
      return `${type.vendor}:${type.type}`
    default:
      return type.kind
  }
}

/** True when two types are the same in kind and parameters. */
export function sameType(a: LogicalType, b: LogicalType): boolean {
  return a.kind === b.kind && typeName(a) === typeName(b)
}
