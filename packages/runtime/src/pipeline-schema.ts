import { availableParallelism } from 'node:os'
import type { LogicalType } from '@nebula/core'
import { parseType, typeNames } from '@nebula/core'
import { z } from 'zod'

const logicalType: z.ZodType<LogicalType, string> = z.string().transform((text, check) => {
  const type = parseType(text)
  if (!type) check.addIssue({ code: 'custom', message: `"${text}" is no type; known are ${typeNames.join(', ')}` })
  return type ?? { kind: 'utf8' }
})

const names = z.array(z.string())

const StreamOptionsSchema = z.strictObject({
  mode: z
    .enum(['overwrite', 'append'])
    .optional()
    .describe('overwrite replaces the target at the end, at once; append adds'),
  target: z.string().min(1).optional().describe('name at the destination; default: the name of the stream'),
  columns: names.min(1).optional().describe('only these columns, in this order'),
  exclude: names.optional().describe('all columns but these'),
  rename: z.record(z.string(), z.string().min(1)).optional().describe('new names of columns'),
  cast: z
    .record(z.string(), logicalType)
    .optional()
    .describe('new types of columns; a value that does not fit is a rejected row'),
  mask: z
    .record(z.string(), z.enum(['sha256']))
    .optional()
    .describe('columns of which only a hash arrives, as text'),
  types: z.record(z.string(), logicalType).optional().describe('types of the columns of a file'),
  path: z.string().min(1).optional().describe('files of this stream; a pattern may match several'),
  key: names.optional().describe('columns that identify a row'),
  limit: z.int().positive().optional().describe('at most so many rows'),
  maxErrors: z
    .int()
    .nonnegative()
    .optional()
    .describe('rejected rows that are kept as dead letters before the stream fails'),
  allowLoss: names.optional().describe('columns that may lose what the plan names'),
})

const endpoint = z.looseObject({ connector: z.string().min(1).describe('its name, or a package') })

/** The pipeline file; the connectors' own keys beside `connector` are checked by their schemas. */
export const PipelineSchema = z.strictObject({
  name: z.string().min(1).optional().describe('names the state; default: the name of the file'),
  source: endpoint,
  destination: endpoint,
  parallel: z.int().positive().default(availableParallelism()).describe('partition tasks at once; default: the cores'),
  onStreamError: z.enum(['continue', 'stop']).default('continue').describe('what the other streams do when one fails'),
  onSuccess: z.string().min(1).optional().describe('command for the shell behind a run that ended with exit code 0'),
  onFailure: z.string().min(1).optional().describe('the same behind every other run'),
  defaults: StreamOptionsSchema.prefault({}).describe('for every stream'),
  streams: z
    .record(z.string(), z.union([z.literal(false), StreamOptionsSchema, z.null().transform(() => ({}))]))
    .prefault({})
    .describe('by name or glob; left out: every stream'),
})
