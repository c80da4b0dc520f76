import type { BytesBuilder } from '../builder.ts'
import type { BoolColumn, BytesColumn, Column, DictionaryColumn, Fixed128Column, Fixed64Column } from '../column.ts'
import { NebulaError } from '../errors.ts'
import { typeName } from '../types.ts'
import { viewOf } from './digits.ts'
import { formatBinary, formatBytes, formatDictionary, formatUuid } from './format-bytes.ts'
import { formatDate, formatTime, formatTimestamp } from './format-date.ts'
import { formatDecimal } from './format-decimal.ts'
import { formatFloat32, formatFloat64 } from './format-float.ts'
import { formatInt64, formatIntegers } from './format-integer.ts'
import { formatInterval } from './format-interval.ts'
import { isMissing } from './nulls.ts'
import { SLACK } from './write-digits.ts'

/** Rows `from` to `to`, not included. */
export interface Range {
  readonly from: number
  readonly to: number
}

/**
 * Appends the canonical text of rows `from` to `to` of `column` to `out`, whose `start(to - from)` this calls; nulls
 * stay null. The texts are those of PostgreSQL with DateStyle ISO, IntervalStyle iso_8601, TimeZone UTC, bytea_output
 * hex and extra_float_digits 1, but a bool is `true` or `false`. Throws `unsupported` for list, struct and native.
 */
export function formatColumn(column: Column, out: BytesBuilder, from = 0, to = column.length): void {
  const range: Range = { from, to }
  out.start(to - from)
  switch (column.layout) {
    case 'bool':
      return formatBool(column, out, range)
    case 'fixed':
      if (column.type.kind === 'float64') return formatFloat64(column, out, range)
      if (column.type.kind === 'float32') return formatFloat32(column, out, range)
      return column.type.kind === 'date' ? formatDate(column, out, range) : formatIntegers(column, out, range)
    case 'fixed64':
      return formatWords(column, out, range)
    case 'fixed128':
      return formatWide(column, out, range)
    case 'bytes':
    case 'dictionary':
      return formatText(column, out, range)
    default:
      throw unsupported(column)
  }
}

function unsupported(column: Column): NebulaError {
  return new NebulaError('unsupported', { message: `${typeName(column.type)} has no text form.` })
}

function formatWords(column: Fixed64Column, out: BytesBuilder, range: Range): void {
  if (column.type.kind === 'timestamp') return formatTimestamp(column, out, range)
  return column.type.kind === 'time' ? formatTime(column, out, range) : formatInt64(column, out, range)
}

function formatWide(column: Fixed128Column, out: BytesBuilder, range: Range): void {
  if (column.type.kind === 'uuid') return formatUuid(column, out, range)
  return column.type.kind === 'interval' ? formatInterval(column, out, range) : formatDecimal(column, out, range)
}

function formatText(column: BytesColumn | DictionaryColumn, out: BytesBuilder, range: Range): void {
  if (column.type.kind === 'native') throw unsupported(column)
  if (column.layout === 'dictionary') return formatDictionary(column, out, range)
  return column.type.kind === 'binary' ? formatBinary(column, out, range) : formatBytes(column, out, range)
}

/** bool: true, false. */
function formatBool(column: BoolColumn, out: BytesBuilder, range: Range): void {
  const { bits, validity } = column
  out.ensure(out.rows * 5 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else if (((bits[row >> 3] as number) & (1 << (row & 7))) === 0) {
      view.setInt32(at, FALS, true)
      view.setUint8(at + 4, E)
      at += 5
    } else {
      view.setInt32(at, TRUE, true)
      at += 4
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** `true`, `fals` and `e`, the first letter in the lowest byte. */
const TRUE = 0x65757274
const FALS = 0x736c6166
const E = 0x65
