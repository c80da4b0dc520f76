import type { Schema } from '@nebula/core'
import type { Row } from '../memory/memory-connector.ts'
import type { MemoryTarget } from '../memory/memory-destination.ts'
import type { Subject } from './subject.ts'
import type { Table } from './table.ts'

/** Rows of a stream as its table has them: of a subject without a schema in the columns of the table. */
export function tableRows(
  { schemaless }: Subject,
  { fields }: Pick<Table, 'fields'>,
  schema: Schema | undefined,
  rows: readonly Row[],
): readonly Row[] {
  if (schemaless !== true || !schema) return rows
  const found = fields.map(({ name }) => schema.fields.findIndex((field) => field.name === name))
  // Where most values of JSON are texts, their column has the texts themselves.
  const isPlain = found.map((index, i) => fields[i]?.type.kind === 'json' && schema.fields[index]?.type.kind === 'utf8')
  return rows.map((row) =>
    found.map((index, i) => {
      const text = row[index] ?? null
      return isPlain[i] && text !== null ? JSON.stringify(text) : text
    }),
  )
}

/** The same of what a target in memory holds, under the name of the table or of the stream. */
export function rowsAt(
  subject: Subject,
  target: MemoryTarget,
  table: Pick<Table, 'name' | 'fields'>,
  stream = table.name,
): readonly Row[] {
  return tableRows(subject, table, target.tables.get(stream)?.schema, target.rows(stream))
}
