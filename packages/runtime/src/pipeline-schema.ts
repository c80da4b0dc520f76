import type { Condition, LogicalType } from '@nebula/core'
import { duration, MODES, parseCondition, parseType, secret, toNebulaError, typeNames } from '@nebula/core'
import { addedColumn, DELETES } from '@nebula/transforms'
import { z } from 'zod'

const logicalType: z.ZodType<LogicalType, string> = z.string().transform((text, check) => {
  const type = parseType(text)
  if (!type) check.addIssue({ code: 'custom', message: `"${text}" is no type; known are ${typeNames.join(', ')}` })
  return type ?? { kind: 'utf8' }
})

const condition: z.ZodType<Condition, string> = z.string().transform((text, check) => {
  try {
    return parseCondition(text)
  } catch (error) {
    check.addIssue({ code: 'custom', message: toNebulaError(error).message })
    return z.NEVER
  }
})

const hmac = z.strictObject({
  hmac: secret().refine((key) => key.reveal() !== '', 'the key is empty'),
})
const mask = z.union([z.enum(['sha256', 'redact', 'partial']), hmac])

const added = z.record(z.string().min(1), z.union([z.string(), z.number(), z.boolean()])).check(({ value, issues }) => {
  for (const [name, constant] of Object.entries(value)) {
    const column = addedColumn(name, constant)
    if (typeof column === 'string') issues.push({ code: 'custom', input: constant, path: [name], message: column })
  }
})

const names = z.array(z.string())

const StreamOptionsSchema = z.strictObject({
  mode: z
    .enum([...MODES, 'incremental'])
    .optional()
    .describe(
      'overwrite replaces the target at the end, at once; append adds; merge replaces rows of equal keys; incremental merges what is new',
    ),
  cursor: z.string().min(1).optional().describe('column that tells incremental which rows are new'),
  lag: duration().optional().describe('how much before the highest value incremental begins: for rows committed late'),
  deletes: z
    .enum(DELETES)
    .optional()
    .describe('what becomes of merged rows that the source has no longer: ignore leaves them, hard deletes them'),
  target: z.string().min(1).optional().describe('name at the destination; default: the name of the stream'),
  columns: names.min(1).optional().describe('only these columns, in this order'),
  exclude: names.optional().describe('all columns but these'),
  rename: z.record(z.string(), z.string().min(1)).optional().describe('new names of columns'),
  cast: z
    .record(z.string(), logicalType)
    .optional()
    .describe('new types of columns; a value that does not fit is a rejected row'),
  mask: z
    .record(z.string(), mask)
    .optional()
    .describe('columns of which only a hash, stars or the last characters arrive, as text'),
  where: condition.optional().describe('only rows of which this condition is true'),
  nativeFilter: z.string().min(1).optional().describe("the same in the source system's own language"),
  add: added.optional().describe('columns of constants, @extracted_at, @run_id, @stream, @partition, @place'),
  transform: z.string().min(1).optional().describe('file of a function over rows, TypeScript or JavaScript'),
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
  parallel: z.int().positive().optional().describe('partition tasks at once; default: the cores'),
  onStreamError: z.enum(['continue', 'stop']).default('continue').describe('what the other streams do when one fails'),
  onSuccess: z.string().min(1).optional().describe('command for the shell behind a run that ended with exit code 0'),
  onFailure: z.string().min(1).optional().describe('the same behind every other run'),
  defaults: StreamOptionsSchema.prefault({}).describe('for every stream'),
  streams: z
    .record(z.string(), z.union([z.literal(false), StreamOptionsSchema, z.null().transform(() => ({}))]))
    .prefault({})
    .describe('by name or glob; left out: every stream'),
})
