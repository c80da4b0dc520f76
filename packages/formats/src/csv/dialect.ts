/** Bytes of line ends. */
export const LF = 0x0a
export const CR = 0x0d

/** What the bytes of a CSV file mean: the options as bytes. A byte that is not used is -1. */
export interface CsvDialect {
  readonly delimiter: number
  readonly quote: number
  /** Before a quote or itself, inside quotes; the quote itself where quotes are doubled. */
  readonly escape: number
  readonly comment: number
  readonly header: boolean
  /** Unquoted texts that are null, beside the empty one. */
  readonly nulls: readonly Uint8Array[]
  /** What the writer ends a record with. */
  readonly newline: Uint8Array
}
