import type { WireRows } from './batch.ts'
import { BoolBuilder, BytesBuilder, FixedBuilder } from './builder.ts'
import type { Column } from './column.ts'
import { isNull } from './column.ts'
import { NebulaError } from './errors.ts'
import type { AnyBuilder, ListBuilder, StructBuilder } from './nested-builder.ts'

/** The rows of a batch of `rows` that are not among `leftOut`, in order. */
export function rowsWithout(rows: number, leftOut: ReadonlyMap<number, unknown>): Int32Array {
  return Int32Array.from({ length: rows }, (_, row) => row).filter((row) => !leftOut.has(row))
}

/** The given rows of a column, in that order, in the memory of `builder`, which is of the same type. */
export function gatherColumn(column: Column, rows: Int32Array, builder: AnyBuilder): Column {
  builder.start(rows.length)
  for (let i = 0; i < rows.length; i++) copyValue(column, rows[i] as number, builder, i)
  return builder.finish()
}

/** Sets row `to` of `builder`, which is of the same type, to a row of a column. Rows are set in order. */
export function copyValue(column: Column, row: number, builder: AnyBuilder, to: number): void {
  if (builder instanceof BytesBuilder) gatherBytes(column, row, to, builder)
  else if (isNull(column, row)) builder.appendNull(to)
  else gatherOther(column, row, to, builder)
}

function gatherBytes(column: Column, row: number, to: number, builder: BytesBuilder): void {
  if (isNull(column, row)) return builder.appendNull(to)
  const source = column.layout === 'dictionary' ? column.dictionary : column
  const at = column.layout === 'dictionary' ? (column.indices[row] as number) : row
  if (source.layout !== 'bytes') throw mismatch(column)
  builder.append(to, source.data, source.offsets[at] as number, source.offsets[at + 1] as number)
}

function gatherList(column: Column, row: number, to: number, builder: ListBuilder): void {
  if (column.layout !== 'list') throw mismatch(column)
  const { offsets, child } = column
  const end = offsets[row + 1] as number
  let from = offsets[row] as number
  builder.ensure(end - from)
  for (; from < end; from++) copyValue(child, from, builder.child, builder.size++)
  builder.offsets[to + 1] = builder.size
}

function gatherStruct(column: Column, row: number, to: number, builder: StructBuilder): void {
  if (column.layout !== 'struct') throw mismatch(column)
  const { children } = builder
  for (let i = 0; i < children.length; i++) copyValue(column.children[i] as Column, row, children[i] as AnyBuilder, to)
}

function gatherOther(column: Column, row: number, to: number, builder: Exclude<AnyBuilder, BytesBuilder>): void {
  if (builder instanceof BoolBuilder) {
    if (column.layout !== 'bool') throw mismatch(column)
    if (((column.bits[row >> 3] as number) & (1 << (row & 7))) !== 0) builder.setTrue(to)
  } else if (builder instanceof FixedBuilder) {
    if (column.layout !== 'fixed') throw mismatch(column)
    builder.values[to] = column.values[row] as number
  } else if (builder.layout === 'list') gatherList(column, row, to, builder)
  else if (builder.layout === 'struct') gatherStruct(column, row, to, builder)
  else {
    if (column.layout !== builder.layout) throw mismatch(column)
    const width = column.layout === 'fixed64' ? 2 : 4
    for (let word = 0; word < width; word++)
      builder.words[to * width + word] = column.words[row * width + word] as number
  }
}

function mismatch(column: Column): NebulaError {
  return new NebulaError('internal', { message: `A ${column.layout} column was gathered into another layout.` })
}

/** The wire rows in `kept`, copied into memory of their own, without gaps. */
export function gatherWire({ format, offsets, data }: WireRows, kept: Int32Array): WireRows {
  const places = new Int32Array(kept.length + 1)
  const end = (row: number): number => offsets[row + 1] as number
  for (const [i, row] of kept.entries()) places[i + 1] = (places[i] as number) + end(row) - (offsets[row] as number)
  const gathered = new Uint8Array(places.at(-1) as number)
  for (const [i, row] of kept.entries()) gathered.set(data.subarray(offsets[row], end(row)), places[i])
  return { format, offsets: places, data: gathered }
}
