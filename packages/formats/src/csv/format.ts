import type { Format } from '../format.ts'
import type { CsvDialect } from './dialect.ts'
import { CsvInference } from './inference.ts'
import type { CsvOptions } from './options.ts'
import { csvDialect } from './options.ts'
import { csvPreamble } from './preamble.ts'
import { CsvReader } from './reader.ts'
import { CsvSplitter, isSplittable } from './splitter.ts'
import { CsvWriter } from './writer.ts'

/** The CSV format under the given options. */
export function csvFormat(options: Partial<CsvOptions> = {}): Format {
  const dialect = csvDialect(options)
  return {
    name: 'csv',
    extensions: ['.csv'],
    splittable: isSplittable(dialect),
    ...(isPostgres(dialect) ? { wire: 'csv' } : {}),
    preamble: (head, complete) => csvPreamble(dialect, head, complete),
    inference: (names, pool) => new CsvInference(dialect, names, pool),
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
