/** A row as the canonical texts of its values. */
export type TextRow = readonly (string | null)[]

/** How the rows of a destination differ from those that it should have. */
export interface RowDifference {
  /** Keys that are nowhere. */
  readonly lost: number
  /** Rows of a key beyond its first. */
  readonly doubled: number
  /** Keys that are there, and no row of theirs has the right values. */
  readonly changed: number
  /** Rows whose key should not be there at all. */
  readonly foreign: number
  /** The first of them, for people. */
  readonly examples: readonly string[]
}

const EXAMPLES = 5

/** Compares rows by key and value, in any order. Throws where two of the expected rows have one key. */
export function compareRows(
  expected: readonly TextRow[],
  actual: readonly TextRow[],
  key: readonly number[] = [0],
): RowDifference {
  const keyOf = (row: TextRow): string => JSON.stringify(key.map((column) => row[column]))
  const found = Map.groupBy(actual, keyOf)
  const wanted = new Set<string>()
  const counts = { lost: 0, doubled: 0, changed: 0 }
  const examples: string[] = []
  const count = (kind: keyof typeof counts | 'foreign', at: string, rows: number): number => {
    if (rows > 0 && examples.length < EXAMPLES) examples.push(`${kind}: the row of key ${at}`)
    return rows
  }
  for (const row of expected) {
    const at = keyOf(row)
    if (wanted.has(at)) throw new Error(`Two rows that are expected have the key ${at}.`)
    wanted.add(at)
    const rows = found.get(at) ?? []
    counts.lost += count('lost', at, rows.length === 0 ? 1 : 0)
    counts.doubled += count('doubled', at, Math.max(0, rows.length - 1))
    counts.changed += count('changed', at, rows.length > 0 && !rows.some((other) => isSame(row, other)) ? 1 : 0)
  }
  let foreign = 0
  for (const [at, rows] of found) if (!wanted.has(at)) foreign += count('foreign', at, rows.length)
  return { ...counts, foreign, examples }
}

/** True when every row is at its place once, and nothing else is. */
export function isEqual({ lost, doubled, changed, foreign }: RowDifference): boolean {
  return lost + doubled + changed + foreign === 0
}

function isSame(left: TextRow, right: TextRow): boolean {
  return left.length === right.length && left.every((value, i) => value === right[i])
}
