import type { BufferPool, Column, ColumnBuilder, Field, LogicalType, RecordBatch } from '@nebula/core'
import {
  BufferPool as Pool,
  BytesBuilder,
  columnBuilder,
  createBatch,
  formatColumn,
  parseColumn,
  parseType,
  utf8,
  valueAt,
} from '@nebula/core'
import type { TaskFacts } from '../src/column-stage.ts'

export const FACTS: TaskFacts = {
  '@extracted_at': '2026-01-02T03:04:05.678Z',
  '@run_id': 'run7',
  '@stream': 'people',
  '@partition': 'people#1',
}

/** A type by its name. */
export function typed(name: string): LogicalType {
  const type = parseType(name)
  if (!type) throw new Error(`no type ${name}`)
  return type
}

/** `id int64` as a field. */
function field(text: string): Field {
  const [name = '', type = 'utf8'] = text.split(' ')
  return { name, type: typed(type), nullable: true }
}

/** A column of canonical texts. Throws when one is no value of the type. */
function textColumn(texts: readonly (string | null)[], builder: ColumnBuilder): Column {
  const chunks = texts.map((text) => Buffer.from(text ?? ''))
  const ends = Int32Array.from(chunks.reduce<number[]>((all, chunk) => [...all, (all.at(-1) ?? 0) + chunk.length], []))
  const starts = ends.map((end, i) => (texts[i] === null ? -1 : end - (chunks[i]?.length ?? 0)))
  const slices = { data: Buffer.concat(chunks), starts, ends, base: 0, stride: 1, rows: texts.length }
  parseColumn(slices, builder, (row) => {
    throw new Error(`${texts[row]} is no ${builder.type.kind}`)
  })
  return builder.finish()
}

/** The canonical texts of a column. */
export function columnTexts(column: Column): (string | null)[] {
  const out = new BytesBuilder(utf8, new Pool(0))
  formatColumn(column, out)
  const texts = out.finish()
  return Array.from({ length: column.length }, (_, row) => valueAt(texts, row) as string | null)
}

/** A batch of columns by name and type, `{ 'id int64': ['1', null] }`, and what gives its memory back. */
export function textBatch(
  content: Readonly<Record<string, readonly (string | null)[]>>,
  pool: BufferPool,
  more: Partial<Parameters<typeof createBatch>[0]> = {},
): { batch: RecordBatch; free: () => void } {
  const fields = Object.keys(content).map(field)
  const builders = fields.map(({ type }) => columnBuilder(type, pool))
  const columns = Object.values(content).map((texts, i) => textColumn(texts, builders[i] as ColumnBuilder))
  const batch = createBatch({
    stream: 'people',
    schema: { fields },
    rows: Object.values(content)[0]?.length ?? 0,
    columns,
    place: (row) => `line ${row + 2}`,
    ...more,
  })
  return { batch, free: () => builders.forEach((builder) => builder.free()) }
}
