import type { Column, ColumnBuilder, LogicalType, Value } from '../src/index.ts'
import { BufferPool, BytesBuilder, columnBuilder, formatColumn, parseColumn, utf8, valueAt } from '../src/index.ts'

/** A pool that no test fills. */
export const pool = new BufferPool(2 ** 32)

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export interface Parsed {
  readonly column: Column
  readonly faults: number[]
  /** The values, `'fault'` where a row was one. */
  readonly values: Value[]
}

/** Parses texts that lie one behind the other, with a comma between them. */
export function parse(type: LogicalType, texts: readonly (string | Uint8Array | null)[]): Parsed {
  const parts = texts.map((text) => (typeof text === 'string' ? encoder.encode(text) : text))
  const data = new Uint8Array(parts.reduce((sum, part) => sum + (part ? part.length + 1 : 0), 0))
  const starts = new Int32Array(texts.length)
  const ends = new Int32Array(texts.length)
  let at = 0
  for (const [row, part] of parts.entries()) {
    starts[row] = part ? at : -1
    if (!part) continue
    data.set(part, at)
    at += part.length
    ends[row] = at
    data[at++] = 0x2c
  }
  const builder = columnBuilder(type, pool)
  const faults: number[] = []
  parseColumn({ data, starts, ends, base: 0, stride: 1, rows: texts.length }, builder, (row) => faults.push(row))
  const column = builder.finish()
  const values = texts.map((_, row) => (faults.includes(row) ? 'fault' : valueAt(column, row)))
  return { column, faults, values }
}

/** The value of one text, `'fault'` when it is none. */
export function parseOne(type: LogicalType, text: string | Uint8Array): Value {
  return parse(type, [text]).values[0] as Value
}

/** The canonical texts. */
export function format(column: Column, from?: number, to?: number): (string | null)[] {
  const out = new BytesBuilder(utf8, pool)
  formatColumn(column, out, from, to)
  const texts = out.finish()
  return Array.from({ length: texts.length }, (_, row) => {
    if (texts.validity && ((texts.validity[row >> 3] as number) & (1 << (row & 7))) === 0) return null
    return decoder.decode(texts.data.subarray(texts.offsets[row], texts.offsets[row + 1]))
  })
}

export function valuesOf(column: Column): Value[] {
  return Array.from({ length: column.length }, (_, row) => valueAt(column, row))
}

/** A column of values as `valueAt` gives them, built the slow way. */
export function columnOf(type: LogicalType, values: readonly Value[]): Column {
  const builder = columnBuilder(type, pool)
  builder.start(values.length)
  for (const [row, value] of values.entries()) put(builder, row, value)
  return builder.finish()
}

function put(builder: ColumnBuilder, row: number, value: Value): void {
  if (builder.layout === 'bytes') {
    if (value === null) return builder.appendNull(row)
    const bytes = typeof value === 'string' ? encoder.encode(value) : (value as Uint8Array)
    builder.append(row, bytes, 0, bytes.length)
  } else if (value === null) builder.setNull(row)
  else if (builder.layout === 'bool') {
    if (value) builder.setTrue(row)
  } else if (builder.layout === 'fixed') builder.values[row] = value as number
  else if (builder.layout === 'fixed64') putWords(builder.words, row * 2, 2, value as bigint)
  else putWide(builder.words, row * 4, builder.type.kind, value)
}

function putWide(words: Int32Array, at: number, kind: string, value: Value): void {
  if (kind === 'decimal') putWords(words, at, 4, value as bigint)
  else if (kind === 'uuid') {
    const bytes = new Uint8Array(words.buffer, at * 4, 16)
    bytes.set(
      (value as string)
        .replaceAll('-', '')
        .match(/../g)
        ?.map((pair) => Number.parseInt(pair, 16)) ?? [],
    )
  } else {
    const { months, days, micros } = value as { months: number; days: number; micros: bigint }
    words[at] = months
    words[at + 1] = days
    putWords(words, at + 2, 2, micros)
  }
}

function putWords(words: Int32Array, at: number, count: number, value: bigint): void {
  for (let word = 0; word < count; word++) words[at + word] = Number(BigInt.asIntN(32, value >> BigInt(32 * word)))
}
