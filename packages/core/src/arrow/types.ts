import type { DataType, Field as ArrowField } from '@uwdata/flechette'
import * as arrow from '@uwdata/flechette'
import { layoutOf } from '../column.ts'
import { NebulaError } from '../errors.ts'
import type { Field } from '../schema.ts'
import type { LogicalType, SimpleKind } from '../types.ts'

/** The key of field metadata that holds the whole field but its name, as JSON, so that nothing of it is lost. */
const KEY = 'nebula'

const SIMPLE: { readonly [kind in SimpleKind]: () => DataType } = {
  bool: arrow.bool,
  int8: arrow.int8,
  int16: arrow.int16,
  int32: arrow.int32,
  int64: arrow.int64,
  uint8: arrow.uint8,
  uint16: arrow.uint16,
  uint32: arrow.uint32,
  uint64: arrow.uint64,
  float32: arrow.float32,
  float64: arrow.float64,
  numeric: arrow.utf8,
  utf8: arrow.utf8,
  binary: arrow.binary,
  date: arrow.dateDay,
  time: arrow.timeMicrosecond,
  interval: () => arrow.interval(arrow.IntervalUnit.MONTH_DAY_NANO),
  uuid: () => arrow.fixedSizeBinary(16),
  json: arrow.utf8,
}

/** The Arrow type of a logical type: the same layout, so that the buffers are. */
export function arrowType(type: LogicalType): DataType {
  switch (type.kind) {
    case 'decimal':
      return arrow.decimal128(type.precision, type.scale)
    case 'timestamp':
      return arrow.timestamp(arrow.TimeUnit.MICROSECOND, type.zone ? 'UTC' : null)
    case 'native':
      return arrow.binary()
    case 'list':
      return arrow.list(arrow.field('item', arrowType(type.element)))
    case 'struct':
      return arrow.struct(type.fields.map((field) => arrow.field(field.name, arrowType(field.type))))
    default:
      return SIMPLE[type.kind]()
  }
}

/** The canonical extension types of Arrow, which other readers know. */
const EXTENSIONS: { readonly [kind: string]: string | undefined } = { uuid: 'arrow.uuid', json: 'arrow.json' }

/** The Arrow field of a field whose data has this Arrow type: that of the field, or a dictionary of it. */
export function arrowField(field: Field, type: DataType): ArrowField {
  const { name, ...rest } = field
  const metadata = new Map([[KEY, JSON.stringify(rest)]])
  const extension = EXTENSIONS[field.type.kind]
  if (extension !== undefined) {
    metadata.set('ARROW:extension:name', extension)
    metadata.set('ARROW:extension:metadata', '')
  }
  return arrow.field(name, type, field.nullable, metadata)
}

/** The field that an Arrow field was made of, or the one that is nearest to it. Throws `unsupported`. */
export function fieldOf(field: ArrowField): Field {
  const { name, nullable, metadata } = field
  const type = field.type.typeId === arrow.Type.Dictionary ? field.type.dictionary : field.type
  const stored = metadata?.get(KEY)
  if (stored !== undefined) {
    const own: Field = { ...(JSON.parse(stored) as Omit<Field, 'name'>), name }
    if (sameArrowType(arrowType(own.type), type)) return own
  }
  const logical = logicalType(type)
  const encoded = type !== field.type
  if (logical && (!encoded || layoutOf(logical) === 'bytes')) return { name, type: logical, nullable }
  throw new NebulaError('unsupported', {
    message: `Column "${name}" has Arrow type ${type.typeId}, which is not read.`,
    fix: 'Cast the column before it is written to Arrow.',
  })
}

/** True when both have the same layout: the metadata was not copied onto other data. */
function sameArrowType(a: DataType, b: DataType): boolean {
  const parameters = ({ typeId, ...rest }: DataType): string => {
    const { unit, bitWidth, precision, scale, stride, signed } = rest as { [name: string]: unknown }
    return JSON.stringify([typeId, unit, bitWidth, precision, scale, stride, signed])
  }
  const children = (type: DataType): readonly ArrowField[] => ('children' in type ? type.children : [])
  const [own, other] = [children(a), children(b)]
  const nested = own.every((field, i) => other[i] !== undefined && sameArrowType(field.type, other[i].type))
  return parameters(a) === parameters(b) && own.length === other.length && nested
}

/** The logical type with the layout of an Arrow type; undefined where none has it. */
function logicalType(type: DataType): LogicalType | undefined {
  switch (type.typeId) {
    case arrow.Type.Decimal:
      return type.bitWidth === 128 ? { kind: 'decimal', precision: type.precision, scale: type.scale } : undefined
    case arrow.Type.Timestamp:
      return type.unit === arrow.TimeUnit.MICROSECOND ? { kind: 'timestamp', zone: Boolean(type.timezone) } : undefined
    case arrow.Type.List: {
      const element = logicalType(type.children[0].type)
      return element && { kind: 'list', element }
    }
    case arrow.Type.Struct: {
      const fields = type.children.map((child) => ({ name: child.name, type: logicalType(child.type) }))
      const complete = fields.every((field): field is { name: string; type: LogicalType } => field.type !== undefined)
      return complete ? { kind: 'struct', fields } : undefined
    }
    default:
      return PLAIN.find((plain) => sameArrowType(arrowType(plain), type))
  }
}

/** Types that are told by their layout alone. */
const PLAIN: readonly LogicalType[] = (Object.keys(SIMPLE) as SimpleKind[])
  .filter((kind) => kind !== 'numeric' && kind !== 'json' && kind !== 'uuid')
  .map((kind) => ({ kind }))
