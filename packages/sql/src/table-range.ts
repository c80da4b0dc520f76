import type { TableName } from './names.ts'

/** A part of a table in the order in which its rows lie, or in that of a key: from the first to before the second. */
export interface TableRange extends TableName {
  readonly from?: number
  readonly to?: number
}

/** Ranges that touch become one. */
export function mergeRanges<Range extends TableRange>(ranges: readonly Range[]): Range[] {
  const result: Range[] = []
  for (const range of ranges) {
    const last = result.at(-1)
    const same = last && last.schema === range.schema && last.table === range.table
    if (!same || last.to === undefined || last.to !== range.from) result.push(range)
    else {
      const { to: _, ...begin } = last
      result[result.length - 1] = { ...begin, ...(range.to === undefined ? {} : { to: range.to }) } as Range
    }
  }
  return result
}
