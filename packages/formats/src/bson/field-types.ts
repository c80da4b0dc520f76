import type { LogicalType } from '@nebula/core'
import { sameType, utf8 } from '@nebula/core'
import {
  ARRAY,
  BINARY,
  BOOL,
  CODE,
  CODE_WITH_SCOPE,
  DATE,
  DB_POINTER,
  DECIMAL,
  DOUBLE,
  INT,
  LONG,
  MAX_KEY,
  MIN_KEY,
  NULL,
  OBJECT,
  OBJECT_ID,
  REGEX,
  STRING,
  SYMBOL,
  TIMESTAMP,
  UNDEFINED,
  UUID,
} from './elements.ts'

/** The names of types that MongoDB's `$type` knows. */
const ALIASES: Readonly<Record<number, string>> = {
  [DOUBLE]: 'double',
  [STRING]: 'string',
  [OBJECT]: 'object',
  [ARRAY]: 'array',
  [BINARY]: 'binData',
  [UNDEFINED]: 'undefined',
  [OBJECT_ID]: 'objectId',
  [BOOL]: 'bool',
  [DATE]: 'date',
  [NULL]: 'null',
  [REGEX]: 'regex',
  [DB_POINTER]: 'dbPointer',
  [CODE]: 'javascript',
  [SYMBOL]: 'symbol',
  [CODE_WITH_SCOPE]: 'javascriptWithScope',
  [INT]: 'int',
  [TIMESTAMP]: 'timestamp',
  [LONG]: 'long',
  [DECIMAL]: 'decimal',
  [MIN_KEY]: 'minKey',
  [MAX_KEY]: 'maxKey',
}

const OBJECT_ID_TYPE: LogicalType = { kind: 'native', vendor: 'mongo', type: 'objectId' }
const JSON_TYPE: LogicalType = { kind: 'json' }

/** The types that have a column of their own; all others are Extended JSON. */
const COLUMNS: Readonly<Record<string, LogicalType>> = {
  int: { kind: 'int32' },
  long: { kind: 'int64' },
  double: { kind: 'float64' },
  decimal: { kind: 'numeric' },
  string: utf8,
  bool: { kind: 'bool' },
  date: { kind: 'timestamp', zone: true },
  binData: { kind: 'binary' },
  uuid: { kind: 'uuid' },
  objectId: OBJECT_ID_TYPE,
}

/** What `declared` says of a column that keeps the `_id` as canonical Extended JSON, and of the overflow column. */
export const EXTENDED = 'extended'
export const OVERFLOW = 'overflow'
/** The column of whole documents. */
export const DOCUMENT = 'document'

/**
 * The name of a value's type: as `$type` has it, but binary data of 16 bytes in subtype 4 is `uuid`, and that of other
 * subtypes than 0 `binData(3)` and so on. Empty for a type that there is not.
 */
export function typeAlias(bytes: Uint8Array, type: number, start: number, end: number): string {
  const alias = ALIASES[type] ?? ''
  if (type !== BINARY) return alias
  const subtype = bytes[start + 4] as number
  if (subtype === UUID && end - start === 21) return 'uuid'
  return subtype === 0 ? alias : `${alias}(${subtype})`
}

/** The type byte and, for binary data, the subtype of values with this name, as `type + 256 * subtype`; -1 for no name. */
export function aliasCode(alias: string): number {
  if (alias === 'uuid') return BINARY + 256 * UUID
  const subtype = /^binData\((\d+)\)$/.exec(alias)
  if (subtype) return BINARY + 256 * Number(subtype[1])
  const type = Object.keys(ALIASES).find((key) => ALIASES[Number(key)] === alias)
  return type === undefined ? -1 : Number(type)
}

/** The type of a column of values with this name, and what it can be delivered as, best first. */
export function columnType(alias: string): LogicalType {
  return Object.hasOwn(COLUMNS, alias) ? (COLUMNS[alias] as LogicalType) : JSON_TYPE
}

/** What a column of this type can be delivered as, best first. */
export function offersOf(type: LogicalType): readonly LogicalType[] {
  if (type.kind === 'list' || type.kind === 'struct') return [type, JSON_TYPE, utf8]
  return type.kind === 'native' ? [type, utf8] : [type]
}

/** What `declared` says of values in a struct or a list that may be of every type but null. */
export const VARIOUS = 'various'

/** The name of the type that values in a struct or a list have, by the type of their column. */
export function elementAlias(type: LogicalType): string {
  if (type.kind === 'struct') return 'object'
  if (type.kind === 'list') return 'array'
  return Object.keys(COLUMNS).find((alias) => sameType(COLUMNS[alias] as LogicalType, type)) ?? VARIOUS
}

/** True when values with this name can be delivered as a column of this type. */
export function isColumnOf(alias: string, type: LogicalType): boolean {
  if (alias === EXTENDED) return type.kind === 'utf8'
  if (alias !== VARIOUS && aliasCode(alias) < 0) return false
  const isNested = (alias === 'object' && type.kind === 'struct') || (alias === 'array' && type.kind === 'list')
  const own = columnType(alias)
  return isNested || [...offersOf(own), ...(own === JSON_TYPE ? [utf8] : [])].some((offer) => sameType(offer, type))
}
