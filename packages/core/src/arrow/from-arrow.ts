import type { Batch, Column as ArrowColumn } from '@uwdata/flechette'
import { Table, tableFromIPC } from '@uwdata/flechette'
import type { RecordBatch } from '../batch.ts'
import { createBatch } from '../batch.ts'
import type { BytesColumn, Column, FixedArray } from '../column.ts'
import { HIGH_WORD_MAX, HIGH_WORD_MIN, layoutOf } from '../column.ts'
import { NebulaError } from '../errors.ts'
import type { LogicalType } from '../types.ts'
import { utf8 } from '../types.ts'
import { joined } from './dictionaries.ts'
import { fieldOf } from './types.ts'

/**
 * The batches of a flechette table, or of the bytes of an Arrow IPC stream or file, over the same memory. Copied are
 * intervals, dictionary indices that are not 32 bits wide, and bytes that do not begin on an 8-byte boundary.
 * Fields are those that `toArrow` was given, else the types with the same layout. Throws `unsupported` for a type that
 * has none here, and `data_invalid` for nanoseconds that are not whole microseconds.
 */
export function fromArrow(source: Uint8Array | Table, stream: string): RecordBatch[] {
  const table = source instanceof Uint8Array ? tableFromIPC(aligned(source), { useBigInt: true }) : source
  const schema = { fields: table.schema.fields.map(fieldOf) }
  const parts = table.children[0]?.data ?? []
  return parts.map((part, index) => {
    const columns = schema.fields.map(({ type }, i) => {
      const child = table.children[i] as ArrowColumn<unknown>
      return columnOf(child.data[index] as ArrowBatch, type)
    })
    return createBatch({ stream, schema, rows: part.length, columns })
  })
}

/** What flechette's batches have, whatever their class. */
type ArrowBatch = Batch<unknown> & { readonly dictionary?: ArrowColumn<unknown> }

function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice()
}

function columnOf(batch: ArrowBatch, type: LogicalType): Column {
  const { length } = batch
  const base = { type, length, validity: batch.nullCount > 0 ? (batch.validity ?? null) : null }
  if (batch.dictionary) return dictionaryColumn(batch, type)
  const layout = layoutOf(type)
  switch (layout) {
    case 'bool':
      return { ...base, layout, bits: batch.values as Uint8Array }
    case 'fixed':
      return { ...base, layout, values: batch.values as FixedArray }
    case 'fixed64':
      return { ...base, layout, words: wordsOf(batch) }
    case 'fixed128':
      return { ...base, layout, words: type.kind === 'interval' ? microIntervals(batch) : wordsOf(batch) }
    case 'bytes':
      return { ...base, layout, offsets: offsetsOf(batch), data: batch.values as Uint8Array }
    case 'list': {
      const element = type.kind === 'list' ? type.element : utf8
      return { ...base, layout, offsets: offsetsOf(batch), child: columnOf(childOf(batch, 0), element) }
    }
    case 'struct': {
      const fields = type.kind === 'struct' ? type.fields : []
      return { ...base, layout, children: fields.map((field, i) => columnOf(childOf(batch, i), field.type)) }
    }
  }
}

function childOf(batch: ArrowBatch, index: number): ArrowBatch {
  return batch.children?.[index] as ArrowBatch
}

/** Arrow leaves the one offset of no rows out, at will. */
function offsetsOf(batch: ArrowBatch): Int32Array {
  return batch.length === 0 ? new Int32Array(1) : (batch.offsets as Int32Array)
}

function wordsOf(batch: ArrowBatch): Int32Array {
  const { buffer, byteOffset, byteLength } = batch.values as ArrayBufferView<ArrayBuffer>
  const unaligned = byteOffset % 4 !== 0
  return unaligned
    ? new Int32Array(buffer.slice(byteOffset, byteOffset + byteLength))
    : new Int32Array(buffer, byteOffset, byteLength >> 2)
}

function microIntervals(batch: ArrowBatch): Int32Array {
  const words = wordsOf(batch).slice(0, batch.length * 4)
  const integers = new BigInt64Array(words.buffer)
  for (let row = 0; row < batch.length; row++) {
    const months = words[row * 4] as number
    const infinite = (months === HIGH_WORD_MAX || months === HIGH_WORD_MIN) && words[row * 4 + 1] === months
    if ((batch.nullCount > 0 && !batch.isValid(row)) || (infinite && words[row * 4 + 3] === months)) continue
    const nanos = integers[row * 2 + 1] as bigint
    if (nanos % 1000n !== 0n) {
      throw new NebulaError('data_invalid', { message: 'An interval has nanoseconds, which would be lost.' })
    }
    integers[row * 2 + 1] = nanos / 1000n
  }
  return words
}

function dictionaryColumn(batch: ArrowBatch, type: LogicalType): Column {
  const { length, values } = batch
  const parts = batch.dictionary?.data ?? []
  const dictionary = joined(parts.map((part) => columnOf(part as ArrowBatch, type) as BytesColumn))
  const indices = values instanceof Int32Array ? values : Int32Array.from(values as Iterable<number>)
  const validity = batch.nullCount > 0 ? (batch.validity ?? null) : null
  return { layout: 'dictionary', type, length, validity, indices, dictionary }
}
