import type { BucketSums } from './bucket-sums.ts'

/** A row of a key that differs. */
export interface FoundRow {
  /** The hash of its key, signed, as text. */
  readonly keyHash: string
  readonly rowHash: string
  /** Of the compared columns, in their order. */
  readonly values: readonly (string | null)[]
  /** For people. */
  readonly place: string
}

/** Takes a row whose hashes are the two words from `at` on: of its key in `keys`, of itself in `rows`. */
export type TakeRow = (keys: Int32Array, rows: Int32Array, at: number) => void

/** The rows of one stream at one end, as they are compared. All passes see the same rows where the end has snapshots. */
export interface Side {
  /** One pass over all rows. */
  sums(buckets: number): Promise<BucketSums>
  /** The rows of some buckets. */
  rows(buckets: number, chosen: ReadonlySet<number>, take: TakeRow): Promise<void>
  /** The rows of some keys, by their hashes as `FoundRow` has them; at most `limit`. */
  find(keys: ReadonlySet<string>, limit: number): Promise<FoundRow[]>
  /** Rows that could not be read in the first pass. */
  readonly unreadable: number
}
