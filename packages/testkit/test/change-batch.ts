import type { LogicalType, RecordBatch } from '@nebula/core'
import { BufferPool, columnBuilder, createBatch } from '@nebula/core'
import type { Row } from '../src/index.ts'
import { columnTexts, textColumn } from '../src/index.ts'

/** What becomes of a value, which is given as its canonical text. */
export type Change = (text: string | null, type: LogicalType) => string | null

export interface Changes {
  readonly change?: Change
  /** Which rows are left out. */
  readonly drop?: (row: Row, index: number) => boolean
  readonly place?: () => string
}

/** The rows of a batch as canonical texts. */
export function batchRows(batch: RecordBatch): Row[] {
  const columns = batch.schema.fields.map((_, index) => columnTexts(batch.column(index)))
  return Array.from({ length: batch.rows }, (_, row) => columns.map((texts) => texts[row] ?? null))
}

/** A batch of its own with the same rows, but for the changes. The one that it was made of stays as it is. */
export function changeBatch(batch: RecordBatch, { change = (text) => text, drop, place }: Changes = {}): RecordBatch {
  const rows = batchRows(batch)
  const kept = rows.flatMap((row, index) => (drop?.(row, index) ? [] : [index]))
  const columns = batch.schema.fields.map(({ type }, column) =>
    textColumn(
      kept.map((row) => change(rows[row]?.[column] ?? null, type)),
      columnBuilder(type, new BufferPool(Infinity)),
    ),
  )
  const { stream, schema, position, rejected } = batch
  const own = { stream, schema, rows: kept.length, columns, rejected, onRelease: () => batch.release() }
  const places = place ?? ((row: number) => batch.place(kept[row] ?? -1))
  return createBatch({ ...own, place: places, ...(position === undefined ? {} : { position }) })
}
