import type { BufferPool, BytesColumn, Field, LogicalType } from '@nebula/core'
import { utf8 } from '@nebula/core'
import type { Format, FormatReader, Preamble } from '../format.ts'
import { TypeInference } from '../infer.ts'
import type { CsvDialect } from './dialect.ts'
import type { CsvOptions } from './options.ts'
import { csvDialect } from './options.ts'
import { csvPreamble } from './preamble.ts'
import { CsvReader } from './reader.ts'
import { CsvSplitter, isSplittable } from './splitter.ts'
import { CsvWriter } from './writer.ts'

/** Rows and bytes of a batch while types are inferred. */
const SAMPLE = { rows: 10_000, bytes: 2 ** 20 }

/** The CSV format under the given options. */
export function csvFormat(options: Partial<CsvOptions> = {}): Format {
  const dialect = csvDialect(options)
  return {
    name: 'csv',
    extensions: ['.csv'],
    splittable: isSplittable(dialect),
    ...(isPostgres(dialect) ? { wire: 'csv' } : {}),
    preamble: (head, complete) => csvPreamble(dialect, head, complete),
    infer: (head, complete, preamble, pool) => inferFields(dialect, { head, complete, preamble }, pool),
    reader: (readerOptions) => new CsvReader(dialect, readerOptions),
    splitter: (offset, targets) => new CsvSplitter(dialect, offset, targets),
    writer: (schema, pool) => new CsvWriter(dialect, schema, pool),
  }
}

/** True when a record is written as PostgreSQL's `COPY TO (FORMAT csv)` writes it. */
function isPostgres({ delimiter, quote, escape, comment, nulls, newline }: CsvDialect): boolean {
  const bytes = String.fromCharCode(delimiter, quote, escape, ...newline)
  return bytes === ',""\n' && comment < 0 && nulls.length === 0
}

interface Sample {
  readonly head: Uint8Array
  readonly complete: boolean
  readonly preamble: Preamble
}

/** Reads the sample as text, and infers the type of each column from it. */
function inferFields(dialect: CsvDialect, sample: Sample, pool: BufferPool): Field[] {
  const { names, size } = sample.preamble
  const fields = names.map((name): Field => ({ name, type: utf8, nullable: true }))
  const columns = names.map((_, i) => i)
  const options = { schema: { fields }, columns, width: names.length, offset: size, pool, ...SAMPLE }
  const reader = new CsvReader(dialect, options)
  const inference = new TypeInference(names.length, pool)
  try {
    for (const batch of textBatches(reader, sample)) inference.observe(batch)
    const { types } = inference
    return fields.map((field, i) => inferred(field, types[i] ?? utf8))
  } finally {
    inference.free()
    reader.free()
  }
}

function inferred(field: Field, type: LogicalType): Field {
  return { ...field, type, offers: type.kind === 'utf8' ? [utf8] : [type, utf8] }
}

function* textBatches(reader: FormatReader, { head, complete, preamble }: Sample): Generator<readonly BytesColumn[]> {
  let at = preamble.size
  while (at < head.length) {
    const space = reader.space()
    const chunk = head.subarray(at, at + space.length)
    space.set(chunk)
    reader.filled(chunk.length)
    at += chunk.length
    if (at === head.length && complete) reader.end()
    for (let batch = reader.next(); batch; batch = reader.next()) {
      yield batch.columns as readonly BytesColumn[]
      batch.release()
    }
  }
}
