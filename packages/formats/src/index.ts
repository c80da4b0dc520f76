export { csvFormat } from './csv/format.ts'
export { csvOptions } from './csv/options.ts'
export type { CsvOptions } from './csv/options.ts'
export type {
  Format,
  FormatBatch,
  FormatInference,
  FormatReader,
  FormatWriter,
  Preamble,
  ReaderOptions,
  RowFault,
  Splitter,
} from './format.ts'
