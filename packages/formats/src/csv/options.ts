import { NebulaError } from '@nebula/core'
import { z } from 'zod'
import type { CsvDialect } from './dialect.ts'

const byte = (what: string) =>
  z.string().refine(isByte, { error: `the ${what} is one ASCII character that ends no line` })

function isByte(text: string): boolean {
  return text.length === 1 && text < '\x80' && text !== '\n' && text !== '\r'
}

/** How a CSV file is written: the keys that the csv connector has beside its own. */
export const csvOptions = {
  delimiter: byte('delimiter').default(',').describe('between fields'),
  quote: byte('quote').default('"').describe('around fields that hold a delimiter, a quote or a line end'),
  escape: byte('escape').optional().describe('before a quote inside quotes; default: the quote, doubled'),
  comment: byte('comment').optional().describe('lines that begin with it are skipped; default: none'),
  header: z.boolean().default(true).describe('the first line names the columns; else they are column_1, column_2, ...'),
  nulls: z
    .array(z.string().regex(/^[^\r\n]+$/, 'a null is a text in one line'))
    .readonly()
    .default([])
    .describe('unquoted texts that are null, beside the empty one; quoted, they are texts'),
  newline: z.enum(['\n', '\r\n']).default('\n').describe('written behind each line; every kind is read'),
}

const CsvOptions = z.object(csvOptions)
export type CsvOptions = z.output<typeof CsvOptions>

/** The options as bytes. Throws `config_invalid` when they contradict each other. */
export function csvDialect(options: Partial<CsvOptions>): CsvDialect {
  const { delimiter, quote, escape, comment, header, nulls, newline } = CsvOptions.parse(options)
  if (delimiter === quote || delimiter === escape || comment === delimiter || comment === quote) {
    throw new NebulaError('config_invalid', {
      message: 'Two of the CSV options delimiter, quote, escape and comment are the same character.',
    })
  }
  const encoder = new TextEncoder()
  return {
    delimiter: delimiter.charCodeAt(0),
    quote: quote.charCodeAt(0),
    escape: (escape ?? quote).charCodeAt(0),
    comment: comment === undefined ? -1 : comment.charCodeAt(0),
    header,
    nulls: nulls.map((text) => encoder.encode(text)),
    newline: encoder.encode(newline),
  }
}
