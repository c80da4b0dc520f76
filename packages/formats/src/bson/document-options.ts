import { z } from 'zod'

/** How rows become documents, as keys of a connector's config. */
export const documentOptions = {
  overflow: z.string().min(1).default('_overflow').describe('column of what no other column holds, as Extended JSON'),
  objectIds: z.array(z.string()).default([]).describe('text columns that are written as ObjectIds'),
  nested: z.boolean().default(false).describe('write a column a.b as field b of a document a'),
  validators: z
    .boolean()
    .default(false)
    .describe('give a new collection the validator of the one that its documents come from'),
  writeNulls: z.boolean().default(false).describe('write nulls; else their fields are left out'),
}

export type DocumentOptions = z.output<z.ZodObject<typeof documentOptions>>
