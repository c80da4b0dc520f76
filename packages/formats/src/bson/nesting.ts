import { z } from 'zod'

/** How documents and arrays within documents are read, as keys of a connector's config. */
export const nestingOptions = {
  objects: z
    .enum(['json', 'struct', 'flatten'])
    .default('json')
    .describe(
      'documents within documents are read as json, as a struct, or flattened: field b of a document a is a column a.b',
    ),
  flattenDepth: z
    .int()
    .min(1)
    .max(16)
    .default(1)
    .describe('levels of documents that are flattened; what lies deeper is json'),
  arrays: z
    .enum(['json', 'list'])
    .default('json')
    .describe('arrays are read as json, or as lists where their elements are of one type'),
}

export interface Nesting {
  readonly objects: 'json' | 'struct' | 'flatten'
  readonly flattenDepth: number
  readonly arrays: 'json' | 'list'
}
