import type { Batch, DataType } from '@uwdata/flechette'
import { batchType, Column as ArrowColumn, dictionary, int32, Table, tableToIPC, Version } from '@uwdata/flechette'
import type { RecordBatch } from '../batch.ts'
import type { BytesColumn, Column, DictionaryColumn, Fixed128Column, Fixed64Column } from '../column.ts'
import { HIGH_WORD_MAX, HIGH_WORD_MIN, isNull } from '../column.ts'
import { NebulaError } from '../errors.ts'
import type { Schema } from '../schema.ts'
import { uniform } from './dictionaries.ts'
import { arrowField, arrowType } from './types.ts'

/**
 * A flechette table over the columns of a batch: its buffers are the batch's own memory, valid until the batch is
 * released. Only intervals are copied, because Arrow counts nanoseconds where a column counts microseconds.
 * Changes and wire rows are left out. Reserved values (see `column.ts`) are not known to Arrow: the infinities of dates
 * and timestamps are the ends of their ranges, and the NaN of a decimal is the least 128-bit integer.
 * Throws `data_invalid` for an interval of more than 292 years of time.
 */
export function toArrow(batch: RecordBatch): Table {
  const columns = batch.schema.fields.map((_, index) => [batch.column(index)])
  return tableOf(batch.schema, columns)
}

/** The batches, of one schema, as the bytes of an Arrow IPC stream. At least one batch, which may have no rows. */
export function toArrowIPC(batches: readonly RecordBatch[]): Uint8Array {
  const { schema } = batches[0] as RecordBatch
  const columns = schema.fields.map((_, index) => uniform(batches.map((batch) => batch.column(index))))
  return tableToIPC(tableOf(schema, columns), { format: 'stream' }) as Uint8Array
}

function tableOf(schema: Schema, columns: readonly (readonly Column[])[]): Table {
  const children = columns.map((parts) => {
    const type = typeOf(parts[0] as Column)
    const shared = new Map<BytesColumn, ArrowColumn<unknown>>()
    return new ArrowColumn(
      parts.map((part) => arrowBatch(part, type, shared)),
      type,
    )
  })
  const fields = schema.fields.map((field, index) => arrowField(field, (children[index] as ArrowColumn<unknown>).type))
  return new Table({ version: Version.V5, fields, metadata: null }, children)
}

function typeOf(column: Column): DataType {
  const type = arrowType(column.type)
  return column.layout === 'dictionary' ? dictionary(type, int32()) : type
}

type Shared = Map<BytesColumn, ArrowColumn<unknown>>

interface ArrowBuffers {
  readonly values?: ArrayBufferView
  readonly offsets?: Int32Array
  readonly children?: readonly Batch<unknown>[]
}

/** A column as a flechette batch of this type. Dictionaries that several batches share are made once. */
function arrowBatch(column: Column, type: DataType, shared: Shared): Batch<unknown> {
  const { length } = column
  const validity = column.validity?.subarray(0, (length + 7) >> 3) ?? new Uint8Array(0)
  const nullCount = countNulls(column)
  const BatchClass = batchType(type, { useBigInt: true, useDecimalInt: true }) as BatchConstructor
  const batch = new BatchClass({ length, nullCount, type, validity, ...buffersOf(column, type, shared) })
  if (column.layout === 'dictionary') batch.setDictionary?.(dictionaryOf(column, type, shared))
  return batch
}

type BatchConstructor = new (
  options: ArrowBuffers & { length: number; nullCount: number; type: DataType; validity: Uint8Array },
) => Batch<unknown> & { setDictionary?(column: ArrowColumn<unknown>): void }

function dictionaryOf({ dictionary: values }: DictionaryColumn, type: DataType, shared: Shared): ArrowColumn<unknown> {
  const valueType = (type as { dictionary?: DataType }).dictionary as DataType
  const known = shared.get(values) ?? new ArrowColumn([arrowBatch(values, valueType, shared)], valueType)
  shared.set(values, known)
  return known
}

function buffersOf(column: Column, type: DataType, shared: Shared): ArrowBuffers {
  const { length } = column
  switch (column.layout) {
    case 'bool':
      return { values: column.bits.subarray(0, (length + 7) >> 3) }
    case 'fixed':
      return { values: column.values.subarray(0, length) }
    case 'fixed64':
      return { values: bigInts(column, length) }
    case 'fixed128':
      return { values: wideValues(column) }
    case 'bytes':
      return {
        offsets: column.offsets.subarray(0, length + 1),
        values: column.data.subarray(0, column.offsets[length]),
      }
    case 'dictionary':
      return { values: column.indices.subarray(0, length) }
    case 'list':
      return { offsets: column.offsets.subarray(0, length + 1), children: childBatches([column.child], type, shared) }
    case 'struct':
      return { children: childBatches(column.children, type, shared) }
  }
}

function childBatches(columns: readonly Column[], type: DataType, shared: Shared): Batch<unknown>[] {
  const types = 'children' in type ? type.children : []
  return columns.map((child, i) => arrowBatch(child, (types[i] as { type: DataType }).type, shared))
}

/** The words as 64-bit integers, over the same memory; a copy where it does not begin on an 8-byte boundary. */
function bigInts(column: Fixed64Column | Fixed128Column, count: number): BigInt64Array | BigUint64Array {
  const words = column.words.byteOffset % 8 === 0 ? column.words : column.words.slice(0, count * 2)
  const { kind } = column.type
  const IntegerArray = kind === 'uint64' || kind === 'decimal' ? BigUint64Array : BigInt64Array
  return new IntegerArray(words.buffer as ArrayBuffer, words.byteOffset, count)
}

function wideValues(column: Fixed128Column): ArrayBufferView {
  const { words, length, type } = column
  if (type.kind === 'decimal') return bigInts(column, length * 2)
  if (type.kind === 'interval') return nanoIntervals(column)
  return new Uint8Array(words.buffer, words.byteOffset, length * 16)
}

/** Months, days, nanoseconds. An infinite interval keeps the ends of all three. */
function nanoIntervals(column: Fixed128Column): Uint8Array {
  const words = column.words.slice(0, column.length * 4)
  const integers = new BigInt64Array(words.buffer)
  for (let row = 0; row < column.length; row++) {
    const months = words[row * 4] as number
    const infinite = (months === HIGH_WORD_MAX || months === HIGH_WORD_MIN) && words[row * 4 + 1] === months
    const micros = integers[row * 2 + 1] as bigint
    if (isNull(column, row) || (infinite && words[row * 4 + 3] === months)) continue
    const nanos = micros * 1000n
    if (BigInt.asIntN(64, nanos) !== nanos) {
      throw new NebulaError('data_invalid', {
        message: 'An interval has more than 292 years of time, which Arrow cannot hold.',
        fix: 'Cast the column to utf8.',
      })
    }
    integers[row * 2 + 1] = nanos
  }
  return new Uint8Array(words.buffer)
}

function countNulls(column: Column): number {
  if (column.validity === null) return 0
  let nulls = 0
  for (let row = 0; row < column.length; row++) if (isNull(column, row)) nulls++
  return nulls
}
