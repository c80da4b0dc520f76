import type { BytesBuilder, ColumnBuilder, FixedBuilder, WordsBuilder } from '../builder.ts'
import { BoolBuilder } from '../builder.ts'
import { NebulaError } from '../errors.ts'
import { typeName } from '../types.ts'
import { parseBinary, parseJson, parseNumeric, parseUtf8 } from './parse-bytes.ts'
import { parseDate, parseTime, parseTimestamp } from './parse-date.ts'
import { parseDecimal } from './parse-decimal.ts'
import { parseFloat32, parseFloat64 } from './parse-float.ts'
import { parseInt64, parseSigned, parseUnsigned } from './parse-integer.ts'
import { parseInterval } from './parse-interval.ts'
import { parseUuid } from './parse-uuid.ts'
import type { Slices } from './slices.ts'

/**
 * Parses texts into `builder`, whose `start(slices.rows)` this calls. A row whose text is not a value of the builder's
 * type is set null and reported to `onFault`, in order. What each type accepts stands in the file of its parser;
 * nothing is rounded, cut or trimmed. Throws `unsupported` for a type without a text form (list, struct, native).
 */
export function parseColumn(slices: Slices, builder: ColumnBuilder, onFault: (row: number) => void): void {
  const parse = PARSERS[builder.type.kind]
  if (!parse) throw new NebulaError('unsupported', { message: `${typeName(builder.type)} has no text form to parse.` })
  builder.start(slices.rows)
  parse(slices, builder as never, onFault)
}

type Parser<Builder> = (slices: Slices, builder: Builder, onFault: (row: number) => void) => void
type FixedParsers = {
  [
    kind in 'int8' | 'int16' | 'int32' | 'uint8' | 'uint16' | 'uint32' | 'float32' | 'float64' | 'date'
  ]: Parser<FixedBuilder>
}
type WordsParsers = {
  [kind in 'int64' | 'uint64' | 'time' | 'timestamp' | 'decimal' | 'uuid' | 'interval']: Parser<WordsBuilder>
}
type BytesParsers = { [kind in 'utf8' | 'json' | 'binary' | 'numeric']: Parser<BytesBuilder> }
type Parsers = { bool: Parser<BoolBuilder> } & FixedParsers & WordsParsers & BytesParsers

const PARSERS: Parsers & { [kind in 'list' | 'struct' | 'native']?: undefined } = {
  bool: parseBool,
  int8: parseSigned,
  int16: parseSigned,
  int32: parseSigned,
  uint8: parseUnsigned,
  uint16: parseUnsigned,
  uint32: parseUnsigned,
  int64: parseInt64,
  uint64: parseInt64,
  float32: parseFloat32,
  float64: parseFloat64,
  decimal: parseDecimal,
  numeric: parseNumeric,
  utf8: parseUtf8,
  json: parseJson,
  binary: parseBinary,
  uuid: parseUuid,
  date: parseDate,
  time: parseTime,
  timestamp: parseTimestamp,
  interval: parseInterval,
}

/** bool: true, false, t, f, 1, 0, in any case. */
function parseBool(slices: Slices, builder: BoolBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const value = boolAt(data, start, ends[at] as number)
    if (value > 0) builder.setTrue(row)
    else if (value < 0) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** 1, 0, or -1 when the text is neither. Letters are compared as little-endian words with the case bit set. */
function boolAt(data: Uint8Array, start: number, end: number): number {
  const length = end - start
  const first = length > 0 ? (data[start] as number) : 0
  if (length === 1) {
    if (first === 0x31 || (first | 32) === 0x74) return 1
    return first === 0x30 || (first | 32) === 0x66 ? 0 : -1
  }
  if (length !== 4 && length !== 5) return -1
  const word =
    first |
    ((data[start + 1] as number) << 8) |
    ((data[start + 2] as number) << 16) |
    ((data[start + 3] as number) << 24)
  if (length === 4) return (word | 0x20202020) === 0x65757274 ? 1 : -1
  return (word | 0x20202020) === 0x736c6166 && ((data[start + 4] as number) | 32) === 0x65 ? 0 : -1
}
