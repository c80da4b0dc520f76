import type { Field, LogicalType } from '@nebula/core'
import { utf8 } from '@nebula/core'
import type { Table } from './table.ts'

export function field(name: string, type: LogicalType, nullable = true): Field {
  return { name, type, nullable }
}

const NUMBERED: readonly Field[] = [field('id', { kind: 'int64' }), field('name', utf8), field('note', utf8)]

/** Rows that say which they are: a number from `from` on, a text, and now and then null. */
export function numbered(name: string, rows: number, from = 0): Table {
  return { name, fields: NUMBERED, rows: Array.from({ length: rows }, (_, i) => numberedRow(from + i)) }
}

function numberedRow(id: number): (string | null)[] {
  return [String(id), `row ${id}`, id % 3 === 0 ? null : id % 3 === 1 ? '' : `note, "${id}"\n`]
}

/** Rows of about so many bytes each. */
export function wide(name: string, rows: number, bytes: number): Table {
  const text = (row: number): string => `${row} `.padEnd(bytes, 'abcdefghij')
  return {
    name,
    fields: [field('id', { kind: 'int64' }), field('text', utf8)],
    rows: Array.from({ length: rows }, (_, row) => [String(row), text(row)]),
  }
}
