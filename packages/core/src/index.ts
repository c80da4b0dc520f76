export { createBatch } from './batch.ts'
export { BatchAssembler } from './batch-assembler.ts'
export type { AssemblerOptions, StorageMode } from './batch-assembler.ts'
export type { BatchInput, Changes, Position, RecordBatch, Rejection, RowOrigin, WireRows } from './batch.ts'
export { BufferPool } from './buffer-pool.ts'
export type { BufferPoolStatistics } from './buffer-pool.ts'
export { BoolBuilder, BytesBuilder, columnBuilder, FixedBuilder, WordsBuilder } from './builder.ts'
export type { ColumnBuilder } from './builder.ts'
export { bindCondition, EXACT_NUMBERS } from './bind-condition.ts'
export type { ConditionProblem } from './bind-condition.ts'
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
export { comparedTypes, conditionColumns } from './condition.ts'
export type { BoundCondition, ComparedColumn, Condition, Literal, Operator } from './condition.ts'
export { BaseConfig, CONFIG_ALIASES, duration, secret, size } from './config.ts'
export type { CompressionConfig, TlsConfig } from './config.ts'
export type { Connector } from './connector.ts'
export { MODES } from './contract.ts'
export type * from './contract.ts'
export type * from './destination.ts'
export type * from './endpoint.ts'
export type * from './source.ts'
export { ERROR_CODES } from './error-codes.ts'
export type { ErrorCode, ErrorText, ExitCode } from './error-codes.ts'
export { isNebulaError, NebulaError, toNebulaError } from './errors.ts'
export type { ErrorDetails, ErrorPlace } from './errors.ts'
export { copyValue, gatherColumn, gatherWire, rowsWithout } from './gather.ts'
export type { Json } from './json.ts'
export { cursorType, earlier, HighestValue, rowsSince } from './cursor.ts'
export { jsonSchemaOf } from './json-schema.ts'
export type { JsonSchema } from './json-schema.ts'
export { nearest } from './nearest.ts'
export { parseCondition } from './parse-condition.ts'
export { Record, RecordPool } from './record.ts'
export type { RecordMetadata } from './record.ts'
export { fieldIndex, schemaFingerprint } from './schema.ts'
export type { Catalog, Field, Schema, StreamInfo, TypeDefinition } from './schema.ts'
export { createRowBatch } from './row-batch.ts'
export type { RowBatchInput } from './row-batch.ts'
export type { RowObject } from './row-columns.ts'
export { Secret } from './secret.ts'
export { appendShortSha256, SHORT_SHA256_BYTES, ShortHmac } from './sha256.ts'
export { formatColumn } from './text/format.ts'
export { parseText } from './text/parse-text.ts'
export { parseColumn } from './text/parse.ts'
export { snakeCase } from './snake-case.ts'
export type { Slices } from './text/slices.ts'
export { viewOf } from './text/digits.ts'
export { HEX_VALUES } from './text/hex.ts'
export { isUtf8 } from './text/utf8-check.ts'
export { parseType, sameType, typeName, typeNames, utf8 } from './types.ts'
export type { Fidelity, Kind, LogicalType, SimpleKind, StructField } from './types.ts'
export { parseDuration, parseSize } from './units.ts'
export { valueAt } from './value.ts'
export type { Interval, Value } from './value.ts'
export type { ValueInput } from './value-column.ts'
export { widens } from './widen.ts'
export { addScaled, divideScaled, isBelow, negate, powerOfTen } from './words.ts'
