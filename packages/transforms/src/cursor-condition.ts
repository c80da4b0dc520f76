import type { Condition, CursorMark, Schema } from '@nebula/core'
import { cursorType, earlier, rowsSince, typeName } from '@nebula/core'

/** What a pipeline says of a stream that is read by its cursor. */
interface CursorOptions {
  readonly mode?: string | undefined
  readonly cursor?: string | undefined
  /** Milliseconds. */
  readonly lag?: number | undefined
  readonly limit?: number | undefined
}

/** From which value of its cursor on a stream is read; undefined: all of it. */
export function cursorSince(
  source: Schema,
  { cursor, lag = 0 }: CursorOptions,
  mark: CursorMark | undefined,
): string | undefined {
  const field = source.fields.find(({ name }) => name === cursor)
  if (!field || !mark || mark.column !== cursor) return undefined
  return lag === 0 ? mark.value : earlier(field.type, mark.value, lag)
}

/** Which rows of a stream are wanted, of those that may have come since its cursor had a value. */
export function cursorCondition(
  source: Schema,
  { where, cursor }: { readonly where?: Condition | undefined; readonly cursor?: string | undefined },
  since: string | undefined,
): Condition | undefined {
  const field = source.fields.find(({ name }) => name === cursor)
  const type = field && cursorType(field)
  if (!type || since === undefined) return where
  const behind = rowsSince(field.name, type, since)
  return where ? { kind: 'and', terms: [where, behind] } : behind
}

/** What a pipeline says of a cursor, and cannot be; undefined: nothing. */
export function cursorProblem(source: Schema, { mode, cursor, lag, limit }: CursorOptions): string | undefined {
  if (mode !== 'incremental') {
    if (cursor !== undefined) return 'cursor is for mode incremental'
    return lag === undefined ? undefined : 'lag is for mode incremental'
  }
  if (cursor === undefined) return 'mode incremental needs the column that tells which rows are new: write cursor'
  if (limit !== undefined) return 'mode incremental has no limit: nothing would tell which rows it left out'
  const field = source.fields.find(({ name }) => name === cursor)
  if (!field) return undefined
  const column = `column ${cursor} is ${typeName(field.type)}`
  if (!cursorType(field)) return `cursor: ${column}, whose values have no order that can be relied on`
  const isTime = field.type.kind === 'date' || field.type.kind === 'timestamp'
  return lag === undefined || isTime ? undefined : `lag is for dates and timestamps, and ${column}`
}
