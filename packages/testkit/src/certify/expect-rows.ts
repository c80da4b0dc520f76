import type { Row } from '../memory/memory-connector.ts'

/**
 * Throws where two sets of rows differ, whatever their order, naming the first rows that only one of them has. `what`
 * begins the message.
 */
export function expectRows(found: readonly Row[], wanted: readonly Row[], what?: string): void {
  const counts = new Map<string, number>()
  const count = (row: Row, by: number): void => {
    const key = JSON.stringify(row)
    counts.set(key, (counts.get(key) ?? 0) + by)
  }
  for (const row of found) count(row, 1)
  for (const row of wanted) count(row, -1)
  const doubled = [...counts].filter(([, times]) => times > 0)
  const lost = [...counts].filter(([, times]) => times < 0)
  if (doubled.length + lost.length === 0) return
  const shown = (what: string, rows: readonly (readonly [string, number])[]): string =>
    rows.length === 0 ? '' : ` ${rows.length} ${what}, as ${rows[0]?.[0].slice(0, 200)}.`
  throw new Error(
    `${what === undefined ? '' : `${what}: `}${found.length} rows instead of ${wanted.length}.${shown('are missing', lost)}${shown('are too many', doubled)}`,
  )
}
