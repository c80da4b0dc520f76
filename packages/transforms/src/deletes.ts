import type { StreamInfo } from '@nebula/core'

/** What becomes of merged rows that the source has no longer: they stay, or they are deleted. */
export const DELETES = ['ignore', 'hard'] as const
export type DeletesOption = (typeof DELETES)[number]

/** What a pipeline says of a stream whose deleted rows are to be found. */
interface DeletesOptions {
  readonly mode?: string | undefined
  readonly deletes?: DeletesOption | undefined
  readonly limit?: number | undefined
}

/** Why deleted rows of a stream cannot be found; undefined: they can, or nobody asks. */
export function deletesProblem(
  { mayMiss }: StreamInfo,
  { mode = 'overwrite', deletes, limit }: DeletesOptions,
): string | undefined {
  if (deletes !== 'hard') return undefined
  if (mode === 'overwrite')
    return 'deletes: hard is for mode merge and incremental, and overwrite replaces every row: write deletes: ignore'
  if (mode === 'append')
    return 'deletes: hard is for mode merge and incremental, as append has no key by which rows are found: write mode: merge'
  if (limit !== undefined) return 'deletes: hard has no limit: the rows that it leaves out would be deleted'
  if (mayMiss !== true) return undefined
  return 'deletes: hard needs a stream that is read without a miss, and here a row that is changed meanwhile may be missed'
}
