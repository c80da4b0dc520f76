import type { Field } from '@nebula/core'
import { utf8 } from '@nebula/core'
import type { Table } from './table.ts'

const FIELDS: readonly Field[] = [
  { name: 'id', type: { kind: 'int64' }, nullable: false },
  { name: 'name', type: utf8, nullable: false },
  { name: 'note', type: utf8, nullable: true },
]

/** A table of plain values with the key `id`, from 1; each row has about `bytes` of text, at least 16. */
export function sampleTable(name: string, rows: number, bytes = 16): Table {
  const rest = 'x'.repeat(Math.max(0, bytes - 16))
  return {
    name,
    fields: FIELDS,
    key: ['id'],
    rows: Array.from({ length: rows }, (_, i) => [
      String(i + 1),
      `name ${String(i + 1).padStart(8, '0')}${rest}`,
      i % 3 === 0 ? null : `n${i}`,
    ]),
  }
}
