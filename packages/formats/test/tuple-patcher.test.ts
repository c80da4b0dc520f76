import type { Column, LogicalType } from '@nebula/core'
import { BufferPool, BytesBuilder, utf8 } from '@nebula/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TuplePatcher } from '../src/index.ts'

const pool = new BufferPool(1e9)
const FIELD: { readonly type: LogicalType; readonly jsonb: boolean } = { type: utf8, jsonb: false }

/** A field as it lies in a tuple. */
function fieldBytes(value: string | null): Buffer {
  const bytes = Buffer.from(value ?? '')
  const length = Buffer.alloc(4)
  length.writeInt32BE(value === null ? -1 : bytes.length)
  return Buffer.concat([length, bytes])
}

function tupleBytes(values: readonly (string | null)[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeInt16BE(values.length)
  return Buffer.concat([count, ...values.map(fieldBytes)])
}

/** Messages as a copy leaves them, in a buffer that does not begin with them. */
function wireOf(rows: readonly (readonly (string | null)[])[]) {
  const parts = rows.map((values) => Buffer.concat([Buffer.from('d....'), tupleBytes(values)]))
  const offsets = Int32Array.from({ length: rows.length + 1 }, () => 3)
  for (const [i, part] of parts.entries()) offsets[i + 1] = (offsets[i] as number) + part.length
  return { format: 'postgres/copy-binary', offsets, data: new Uint8Array(Buffer.concat([Buffer.alloc(3), ...parts])) }
}

function columnOf(values: readonly (string | null)[]): Column {
  const builder = new BytesBuilder(utf8, pool)
  builder.start(values.length)
  for (const [row, value] of values.entries()) {
    const bytes = Buffer.from(value ?? '')
    if (value === null) builder.appendNull(row)
    else builder.append(row, bytes, 0, bytes.length)
  }
  return builder.finish()
}

const value = fc.option(fc.string({ unit: 'grapheme', maxLength: 700 }), { freq: 5 })
const FIELDS = 4
const table = fc.array(fc.array(value, { minLength: FIELDS, maxLength: FIELDS }), { maxLength: 8 })

test('writes the tuples as they came, but for the fields that are replaced', () => {
  fc.assert(
    fc.property(table, table, fc.subarray([0, 1, 2, 3]), fc.nat(), (rows, others, replaced, cut) => {
      const news = rows.map((_, row) => others[row % Math.max(1, others.length)] ?? [null, null, null, null])
      const columns = replaced.map((field) => columnOf(news.map((fields) => fields[field] ?? null)))
      const from = cut % (rows.length + 1)
      const patcher = new TuplePatcher(
        replaced.map(() => FIELD),
        replaced,
      )
      const bytes = new Uint8Array(2 + patcher.begin(columns, from, rows.length, wireOf(rows)))
      const end = patcher.write({ bytes, view: new DataView(bytes.buffer) }, 2)
      patcher.free()
      const expected = rows.slice(from).map((fields, i) => {
        return tupleBytes(
          fields.map((old, field) => (replaced.includes(field) ? (news[from + i]?.[field] ?? null) : old)),
        )
      })
      expect(Buffer.from(bytes.subarray(2, end))).toEqual(Buffer.concat(expected))
    }),
  )
})
