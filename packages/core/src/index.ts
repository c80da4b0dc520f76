export { createBatch } from './batch.ts'
export type { BatchInput, Changes, Position, RecordBatch, Rejection, RowOrigin, WireRows } from './batch.ts'
export { BufferPool } from './buffer-pool.ts'
export type { BufferPoolStatistics } from './buffer-pool.ts'
export { BoolBuilder, BytesBuilder, columnBuilder, FixedBuilder, WordsBuilder } from './builder.ts'
export type { ColumnBuilder } from './builder.ts'
export { civilFromDays, DAY_MICROS, daysFromCivil, wrapsAround } from './calendar.ts'
export { castColumn } from './cast.ts'
export {
  columnBytes,
  DATE_INFINITY,
  DATE_MINUS_INFINITY,
  DECIMAL_NAN_WORD,
  HIGH_WORD_MAX,
  HIGH_WORD_MIN,
  isNull,
  layoutOf,
} from './column.ts'
export type {
  BoolColumn,
  BytesColumn,
  Column,
  DictionaryColumn,
  Fixed128Column,
  Fixed64Column,
  FixedArray,
  FixedColumn,
  Layout,
  ListColumn,
  StructColumn,
} from './column.ts'
export { BaseConfig, duration, secret, size } from './config.ts'
export type { TlsConfig } from './config.ts'
export type { Connector } from './connector.ts'
export type * from './contract.ts'
export { ERROR_CODES } from './error-codes.ts'
export type { ErrorCode, ErrorText, ExitCode } from './error-codes.ts'
export { isNebulaError, NebulaError, toNebulaError } from './errors.ts'
export type { ErrorDetails, ErrorPlace } from './errors.ts'
export { gatherColumn, gatherWire, rowsWithout } from './gather.ts'
export type { Json } from './json.ts'
export { Record, RecordPool } from './record.ts'
export type { RecordMetadata } from './record.ts'
export { fieldIndex, schemaFingerprint } from './schema.ts'
export type { Catalog, Field, Schema, StreamInfo, TypeDefinition } from './schema.ts'
export { Secret } from './secret.ts'
export { appendShortSha256, SHORT_SHA256_BYTES } from './sha256.ts'
export { formatColumn } from './text/format.ts'
export { parseColumn } from './text/parse.ts'
export type { Slices } from './text/slices.ts'
export { parseType, sameType, typeName, typeNames, utf8 } from './types.ts'
export type { Fidelity, Kind, LogicalType, SimpleKind, StructField } from './types.ts'
export { parseDuration, parseSize } from './units.ts'
export { valueAt } from './value.ts'
export type { Interval, Value } from './value.ts'
export { widens } from './widen.ts'
