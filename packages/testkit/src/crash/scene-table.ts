import type { TextRow } from './compare-rows.ts'

/** The form of a table that scenes move: its columns as PostgreSQL has them, in the order of the texts of its rows. */
export interface TableShape {
  readonly names: readonly string[]
  /** By the place of their name. */
  readonly types: readonly string[]
}

/** Their types in a pipeline file, for files. */
export const TYPES = { id: 'int64', note: 'text', amount: 'decimal(12,2)', day: 'date' }

/** Of a table or a file. */
export const PLAIN: TableShape = {
  names: Object.keys(TYPES),
  types: ['bigint', 'text', 'numeric(12,2)', 'date'],
}
/** Of documents, as they come to tables and files, whose columns are in this order. */
export const DOCUMENTS: TableShape = {
  names: ['_id', ...PLAIN.names, '_overflow'],
  types: ['text', 'bigint', 'text', 'numeric', 'timestamptz', 'json'],
}

/** Texts that are easily mistaken for others; each stands in one row of a hundred. */
const NOTES = [null, '', ' ', '\\N', 'NULL', 'two\nlines', 'two\r\nlines', '""', 'zażółć 🌌', '\\', 'a,b;c\td'] as const
/** What no text column holds, as Extended JSON; each is in one document of a hundred, in place of a note. */
const MISFITS = ['null', '5', '{"deep":[1,"x",null]}', 'true'] as const
const FIRST_MISFIT = 20
/** Of ids of documents, behind which the number of the row comes. */
const ID_PREFIX = '65f0c0de'

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

/** The same rows as documents: their key is an `_id`, days are midnights, and here and there a note is no text. */
export function sceneDocuments(first: number, rows: number): TextRow[] {
  return sceneRows(first, rows).map(([id = null, note = null, amount = null, day = null]) => {
    const n = Number(id)
    const misfit = MISFITS[(Math.abs(n) % 100) - FIRST_MISFIT]
    const key = `${ID_PREFIX}${BigInt.asUintN(64, BigInt(n)).toString(16).padStart(16, '0')}`
    const columns = [key, id, misfit === undefined ? note : null, amount, `${day} 00:00:00+00`]
    return [...columns, misfit === undefined ? null : `{"note":${misfit}}`]
  })
}

/** The day so many days behind the first one of 2000. */
function dayOf(days: number): string {
  return new Date(Date.UTC(2000, 0, 1 + days)).toISOString().slice(0, 10)
}

/** Rows as a CSV file with a header: every text is quoted, so that null, which is not, is another value than ''. */
export function toCsv(rows: readonly TextRow[], names = PLAIN.names): string {
  const field = (value: string | null): string => (value === null ? '' : `"${value.replaceAll('"', '""')}"`)
  return [names, ...rows].map((row) => `${row.map(field).join(',')}\n`).join('')
}

/** A field and what ends it. */
const FIELD = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y

/**
 * Rows of a CSV file, their texts in the order of these names, whatever that of the file is; a column that it has beside
 * them is the last. A field without quotes and letters is null.
 */
export function fromCsv(text: string, names = PLAIN.names): TextRow[] {
  const [header = [], ...rows] = recordsOf(text)
  const places = names.map((name) => header.indexOf(name))
  const others = header.flatMap((name, i) => (names.includes(name ?? '') ? [] : [i]))
  return rows.map((row) => [...places, ...others].map((place) => row[place] ?? null))
}

function recordsOf(text: string): TextRow[] {
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
  return rows
}
