import assert from 'node:assert/strict'
import type { Column, LogicalType, RecordBatch, Schema, Value } from '@nebula/core'
import { BufferPool, columnBuilder, createBatch, isNull, parseColumn, parseType, utf8, valueAt } from '@nebula/core'
import type { CsvOptions, RowFault } from '../src/index.ts'
import { csvFormat } from '../src/index.ts'

export interface ReadResult {
  readonly names: readonly string[]
  readonly rows: Value[][]
  readonly faults: RowFault[]
  readonly offsets: number[]
}

export interface ReadOptions {
  readonly csv?: Partial<CsvOptions>
  /** Types of the columns; utf8 where nothing is said. */
  readonly schema?: Schema
  /** Bytes that are given to the reader at a time. */
  readonly chunk?: number
  readonly rows?: number
  readonly bytes?: number
  readonly pool?: BufferPool
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Reads a whole file as the file source does. */
export function readCsv(file: string | Uint8Array, options: ReadOptions = {}): ReadResult {
  const bytes = typeof file === 'string' ? bytesOf(file) : file
  const format = csvFormat(options.csv)
  const pool = options.pool ?? new BufferPool(2 ** 30)
  const preamble = format.preamble(bytes, true)
  if (!preamble) throw new Error('a complete head has a preamble')
  const { names, size } = preamble
  const schema = options.schema ?? { fields: names.map((name) => ({ name, type: utf8, nullable: true })) }
  const reader = format.reader({
    schema,
    columns: schema.fields.map((field) => names.indexOf(field.name)),
    width: names.length,
    offset: size,
    rows: options.rows ?? 1000,
    bytes: options.bytes ?? 2 ** 20,
    pool,
  })
  const result: ReadResult = { names, rows: [], faults: [], offsets: [] }
  const take = (): void => {
    for (let batch = reader.next(); batch; batch = reader.next()) {
      const { columns, rows, faults } = batch
      for (let row = 0; row < rows; row++) {
        result.rows.push(columns.map((column) => cellAt(column, row)))
        result.offsets.push(batch.offsetOf(row))
      }
      result.faults.push(...faults)
      batch.release()
    }
  }
  for (let at = size; at < bytes.length;) {
    const space = reader.space()
    const chunk = bytes.subarray(at, at + Math.min(space.length, options.chunk ?? space.length))
    space.set(chunk)
    reader.filled(chunk.length)
    at += chunk.length
    take()
  }
  reader.end()
  take()
  reader.free()
  return result
}

/** As `valueAt`, but texts keep a byte order mark. */
function cellAt(column: Column, row: number): Value {
  if (column.type.kind !== 'utf8' || column.layout !== 'bytes' || isNull(column, row)) return valueAt(column, row)
  return decoder.decode(column.data.subarray(column.offsets[row], column.offsets[row + 1]))
}

/** The rows only, for files without faults. */
export function rowsOf(file: string | Uint8Array, options: ReadOptions = {}): Value[][] {
  const { rows, faults } = readCsv(file, options)
  if (faults.length > 0) throw new Error(faults.map((fault) => fault.reason).join(', '))
  return rows
}

/** A batch of columns that are given as texts. */
export function batchOf(
  columns: { [name: string]: [type: string, texts: (string | null)[]] },
  pool = new BufferPool(2 ** 30),
): RecordBatch {
  const fields = Object.entries(columns).map(([name, [type]]) => ({
    name,
    type: parseType(type) as LogicalType,
    nullable: true,
  }))
  const filled = Object.values(columns).map(([, texts], i) => {
    const builder = columnBuilder(fields[i]?.type ?? utf8, pool)
    const pieces = texts.map((value) => bytesOf(value ?? ''))
    const data = Uint8Array.from(pieces.flatMap((piece) => [...piece]))
    const ends = Int32Array.from(
      pieces.map(
        (
          (sum) => (piece) =>
            (sum += piece.length)
        )(0),
      ),
    )
    const starts = ends.map((end, row) => (texts[row] === null ? -1 : end - (pieces[row]?.length ?? 0)))
    parseColumn({ data, starts, ends, base: 0, stride: 1, rows: texts.length }, builder, (row) => {
      throw new Error(`${texts[row]} is not of its type`)
    })
    return builder.finish()
  })
  return createBatch({ stream: 's', schema: { fields }, rows: filled[0]?.length ?? 0, columns: filled })
}

export function written(batch: RecordBatch, csv: Partial<CsvOptions> = {}): string {
  const pool = new BufferPool(2 ** 30)
  const writer = csvFormat(csv).writer(batch.schema, pool)
  const bytes = decoder.decode(writer.preamble) + decoder.decode(writer.encode(batch, 0, batch.rows))
  writer.free()
  assert.equal(pool.statistics.used, 0)
  return bytes
}
