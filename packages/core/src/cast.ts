import type { BufferPool } from './buffer-pool.ts'
import type { ColumnBuilder } from './builder.ts'
import { BytesBuilder, WordsBuilder } from './builder.ts'
import { timestampsToDates } from './cast-timestamp.ts'
import {
  decimalsToDecimals,
  decimalsToIntegers,
  decimalsToWords,
  integersToDecimals,
  wordsToDecimals,
} from './cast-decimal.ts'
import { fixedToFloats, fixedToIntegers, fixedToWords, wordsToFixed, wordsToWords } from './cast-number.ts'
import type { BytesColumn, Column } from './column.ts'
import { isNull } from './column.ts'
import { formatColumn } from './text/format.ts'
import { parseColumn } from './text/parse.ts'
import type { Kind } from './types.ts'
import { sameType, utf8 } from './types.ts'

/**
 * Casts `column` into `builder`, whose `start` this calls, exactly: a value that the builder's type cannot hold is set
 * null and reported to `onFault`, in order. Integers, floats and decimals become each other where the number stays the
 * same; only from decimal or numeric to a float it is rounded to the nearest. A timestamp with zone becomes one without
 * in UTC, and back; one at midnight becomes a date. All else goes through text: what `formatColumn` writes, read by `parseColumn`.
 */
export function castColumn(
  column: Column,
  builder: ColumnBuilder,
  pool: BufferPool,
  onFault: (row: number) => void,
): void {
  if (copyColumn(column, builder) || castNumbers(column, builder, onFault)) return
  const family = FAMILIES[builder.type.kind]
  const integers = family === 'integer' || family === 'words'
  if (builder.layout === 'bytes' && builder.type.kind === 'utf8') formatColumn(column, builder)
  else if (integers && column.type.kind === 'numeric') numericToIntegers(column, builder, pool, onFault)
  else if (column.layout === 'bytes' && TEXTS.has(column.type.kind)) parseRows(column, builder, onFault)
  else castThroughText(column, builder, pool, onFault)
}

/** Kinds whose bytes are their text. */
const TEXTS: ReadonlySet<Kind> = new Set<Kind>(['utf8', 'json', 'numeric'])

/** A numeric may have a point and zeros, or an exponent: it becomes a decimal first. */
function numericToIntegers(
  column: Column,
  builder: ColumnBuilder,
  pool: BufferPool,
  onFault: (row: number) => void,
): void {
  const decimals = new WordsBuilder({ kind: 'decimal', precision: 38, scale: 0 }, pool, 'fixed128')
  const faults: number[] = []
  try {
    castThroughText(column, decimals, pool, (row) => faults.push(row))
    castNumbers(decimals.finish(), builder, (row) => faults.push(row))
  } finally {
    decimals.free()
  }
  for (const row of faults.sort((a, b) => a - b)) onFault(row)
}

function castThroughText(
  column: Column,
  builder: ColumnBuilder,
  pool: BufferPool,
  onFault: (row: number) => void,
): void {
  const texts = new BytesBuilder(utf8, pool)
  try {
    formatColumn(column, texts)
    parseRows(texts.finish(), builder, onFault)
  } finally {
    texts.free()
  }
}

function parseRows(column: BytesColumn, builder: ColumnBuilder, onFault: (row: number) => void): void {
  const { data, offsets, length, validity } = column
  const starts = validity ? offsets.slice(0, length) : offsets
  if (validity) for (let row = 0; row < length; row++) if (isNull(column, row)) starts[row] = -1
  parseColumn({ data, starts, ends: offsets.subarray(1), base: 0, stride: 1, rows: length }, builder, onFault)
}

/** Copies a column of the same type, and timestamps with or without zone; false for others. */
function copyColumn(column: Column, builder: ColumnBuilder): boolean {
  const timestamps = column.type.kind === 'timestamp' && builder.type.kind === 'timestamp'
  if (!timestamps && !sameType(column.type, builder.type)) return false
  builder.start(column.length)
  if (column.layout === 'dictionary' || column.layout === 'bytes') {
    copyBytes(column, builder as BytesBuilder)
    return true
  }
  copyNulls(column, builder)
  const words = column.length * (column.layout === 'fixed64' ? 2 : 4)
  if (column.layout === 'bool' && builder.layout === 'bool') {
    builder.bits.set(column.bits.subarray(0, (column.length + 7) >> 3))
  } else if (column.layout === 'fixed' && builder.layout === 'fixed') {
    builder.values.set(column.values.subarray(0, column.length))
  } else if ((column.layout === 'fixed64' || column.layout === 'fixed128') && builder.layout === column.layout) {
    builder.words.set(column.words.subarray(0, words))
  } else return false
  return true
}

/** utf8, json, numeric, binary, native. */
function copyBytes(column: Column, builder: BytesBuilder): void {
  for (let row = 0; row < column.length; row++) {
    const source = column.layout === 'dictionary' ? column.dictionary : column
    const at = column.layout === 'dictionary' ? (column.indices[row] as number) : row
    if (source.layout !== 'bytes' || isNull(column, row) || isNull(source, at)) builder.appendNull(row)
    else builder.append(row, source.data, source.offsets[at] as number, source.offsets[at + 1] as number)
  }
}

function copyNulls(column: Column, builder: ColumnBuilder): void {
  if (column.validity) for (let row = 0; row < column.length; row++) if (isNull(column, row)) builder.setNull(row)
}

/** Integers, floats and decimals; false when a shorter way than text is missing. */
function castNumbers(column: Column, builder: ColumnBuilder, onFault: (row: number) => void): boolean {
  const cast = CASTS[`${FAMILIES[column.type.kind] ?? 'other'}-${FAMILIES[builder.type.kind] ?? 'other'}`]
  if (!cast || column.layout === 'dictionary') return false
  builder.start(column.length)
  cast(column as never, builder as never, onFault)
  return true
}

const FAMILIES: { readonly [kind in Kind]?: string } = {
  int8: 'integer',
  int16: 'integer',
  int32: 'integer',
  uint8: 'integer',
  uint16: 'integer',
  uint32: 'integer',
  int64: 'words',
  uint64: 'words',
  float32: 'float',
  float64: 'float',
  decimal: 'decimal',
  timestamp: 'timestamp',
  date: 'date',
}

type Cast = (column: never, builder: never, onFault: (row: number) => void) => void

const CASTS: { readonly [pair: string]: Cast | undefined } = {
  'integer-integer': fixedToIntegers,
  'float-integer': fixedToIntegers,
  'integer-float': fixedToFloats,
  'float-float': fixedToFloats,
  'integer-words': fixedToWords,
  'float-words': fixedToWords,
  'words-integer': wordsToFixed,
  'words-float': wordsToFixed,
  'words-words': wordsToWords,
  'integer-decimal': integersToDecimals,
  'words-decimal': wordsToDecimals,
  'decimal-decimal': decimalsToDecimals,
  'decimal-integer': decimalsToIntegers,
  'decimal-words': decimalsToWords,
  'timestamp-date': timestampsToDates,
}
