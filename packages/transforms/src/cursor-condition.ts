import type { Condition, CursorMark, Schema } from '@nebula/core'
import { isCursorType, rowsSince, typeName } from '@nebula/core'

/** What a pipeline says of a stream that is read by its cursor. */
interface CursorOptions {
  readonly mode?: string | undefined
  readonly cursor?: string | undefined
  readonly limit?: number | undefined
}

/** Which rows of a stream are wanted: behind a mark only those that may have come since. */
export function cursorCondition(
  source: Schema,
  where: Condition | undefined,
  mark: CursorMark | undefined,
): Condition | undefined {
  const type = source.fields.find(({ name }) => name === mark?.column)?.type
  if (!mark || !type) return where
  const since = rowsSince(mark.column, type, mark.value)
  return where ? { kind: 'and', terms: [where, since] } : since
}

/** What a pipeline says of a cursor, and cannot be; undefined: nothing. */
export function cursorProblem(source: Schema, { mode, cursor, limit }: CursorOptions): string | undefined {
  if (mode !== 'incremental') return cursor === undefined ? undefined : 'cursor is for mode incremental'
  if (cursor === undefined) return 'mode incremental needs the column that tells which rows are new: write cursor'
  if (limit !== undefined) return 'mode incremental has no limit: nothing would tell which rows it left out'
  const type = source.fields.find(({ name }) => name === cursor)?.type
  if (!type || isCursorType(type)) return undefined
  return `cursor: column ${cursor} is ${typeName(type)}, whose values have no order that can be relied on`
}
