import type { TextRow } from './compare-rows.ts'

/** Columns of the table that scenes move, as PostgreSQL has them. */
export const COLUMNS = 'id bigint, note text, amount numeric(12,2), day date'
/** Their types in a pipeline file, for files. */
export const TYPES = { id: 'int64', note: 'text', amount: 'decimal(12,2)', day: 'date' }
export const NAMES = Object.keys(TYPES)

/** Texts that are easily mistaken for others; each stands in one row of a hundred. */
const NOTES = [null, '', ' ', '\\N', 'NULL', 'two\nlines', 'two\r\nlines', '""', 'zażółć 🌌', '\\', 'a,b;c\td'] as const

/** So many rows, each with a key of its own from `first` on, of about 110 bytes. */
export function sceneRows(first: number, rows: number): TextRow[] {
  return Array.from({ length: rows }, (_, i) => {
    const id = first + i
    const n = Math.abs(id)
    const note = n % 100 < NOTES.length ? (NOTES[n % 100] ?? null) : `note "${id}", ${'x'.repeat(40 + (n % 60))}`
    const amount = n % 89 === 0 ? null : `${n % 1000}.${String(n % 100).padStart(2, '0')}`
    return [String(id), note, amount, dayOf(n % 9000)]
  })
}

/** The day so many days behind the first one of 2000. */
function dayOf(days: number): string {
  return new Date(Date.UTC(2000, 0, 1 + days)).toISOString().slice(0, 10)
}

/** Rows as a CSV file with a header: every text is quoted, so that null, which is not, is another value than ''. */
export function toCsv(rows: readonly TextRow[]): string {
  const field = (value: string | null): string => (value === null ? '' : `"${value.replaceAll('"', '""')}"`)
  return [NAMES, ...rows].map((row) => `${row.map(field).join(',')}\n`).join('')
}

/** A field and what ends it. */
const FIELD = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y

/** Rows of a CSV file behind its header; a field without quotes and letters is null. */
export function fromCsv(text: string): TextRow[] {
  const rows: (string | null)[][] = []
  let row: (string | null)[] = []
  for (FIELD.lastIndex = 0; FIELD.lastIndex < text.length;) {
    const at = FIELD.lastIndex
    const match = FIELD.exec(text)
    if (!match) throw new Error(`No CSV at character ${at}: ${JSON.stringify(text.slice(at, at + 40))}`)
    const [, quoted, plain, end] = match
    row.push(quoted?.replaceAll('""', '"') ?? (plain === '' ? null : (plain ?? null)))
    if (end === ',') continue
    rows.push(row)
    row = []
  }
  return rows.slice(1)
}
