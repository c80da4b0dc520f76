import { BaseConfig, NebulaError } from '@nebula/core'
import { csvOptions } from '@nebula/formats'
import { z } from 'zod'

export const CsvConfig = BaseConfig.extend({
  path: z
    .string()
    .min(1)
    .optional()
    .describe('to read: a file, a folder with .csv files, or a glob; to write: the folder of the files'),
  ...csvOptions,
})

export type CsvConfig = z.output<typeof CsvConfig>

/** The folder to write to. Throws `config_invalid` without one; a source may do with streams that have paths. */
export function targetFolder({ path }: CsvConfig): string {
  if (path !== undefined) return path
  throw new NebulaError('config_invalid', { message: 'The csv destination needs a path: the folder of the files.' })
}
