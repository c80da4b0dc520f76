import type { BucketSums } from './bucket-sums.ts'
import type { Imbalance } from './row-balance.ts'
import { RowBalance, wordsToBigInt } from './row-balance.ts'
import type { FoundRow, Side } from './side.ts'

export interface CompareOptions {
  /** Of the compared columns, in their order. */
  readonly columns: readonly string[]
  /** Those that identify a row; none: only the whole row does. */
  readonly key: readonly string[]
  /** About how many rows there are. */
  readonly estimatedRows: number
  /** The destination may have more rows than the source. */
  readonly moreAllowed: boolean
  /** Differences that are told one by one. */
  readonly limit: number
  /** Rows of differing buckets that are held in memory at once, of either end; 1,000,000 if left out. */
  readonly rowsAtOnce?: number
  /** Behind so many differing rows, no more buckets are looked into; 100,000 if left out. */
  readonly enough?: number
}

/** A row that is not the same at both ends. */
export interface Difference {
  /** `missing` at the destination; `extra` there, so missing at the source; `changed`: another row of the same key. */
  readonly kind: 'missing' | 'extra' | 'changed'
  /** The values of its key, by column; empty without a key. */
  readonly key: Readonly<Record<string, string | null>>
  /** The columns whose values differ, of a changed row. */
  readonly columns?: readonly string[]
  /** Where the row lies, as the ends say it. */
  readonly source?: string
  readonly destination?: string
}

/** A part of the rows that is not the same at both ends. */
export interface DifferingBucket {
  readonly bucket: number
  readonly source: number
  readonly destination: number
}

export interface Comparison {
  readonly rows: { readonly source: number; readonly destination: number }
  readonly buckets: number
  /** Empty where both ends have the same rows. */
  readonly differing: readonly DifferingBucket[]
  readonly missing: number
  readonly extra: number
  readonly changed: number
  /** False: so much differs that not all of it was looked at, and the three counts are lower bounds. */
  readonly exact: boolean
  readonly differences: readonly Difference[]
}

const ROWS_PER_BUCKET = 16_384
const MOST_BUCKETS = 65_536
const ROWS_AT_ONCE = 1_000_000
const ENOUGH = 100_000

/**
 * Compares two sides: first counts and sums of hashes by bucket, in one pass over each; where buckets differ, the rows in
 * them; then, for people, the rows that differ.
 */
export async function compareSides(source: Side, destination: Side, options: CompareOptions): Promise<Comparison> {
  const { rowsAtOnce = ROWS_AT_ONCE, enough = ENOUGH } = options
  const buckets = bucketsFor(options.estimatedRows)
  const [ours, theirs] = await both(source.sums(buckets), destination.sums(buckets))
  const differing = ours.differing(theirs)
  const totals = { missing: 0, extra: 0, changed: 0 }
  const shown: Imbalance[] = []
  let exact = true
  for (const group of groups(differing, [ours, theirs], rowsAtOnce)) {
    if (totals.missing + totals.changed + (options.moreAllowed ? 0 : totals.extra) >= enough) {
      exact = false
      break
    }
    const chosen = new Set(group)
    const balance = new RowBalance()
    await both(
      source.rows(buckets, chosen, (keys, rows, at) => balance.add(keys, rows, at, 1)),
      destination.rows(buckets, chosen, (keys, rows, at) => balance.add(keys, rows, at, -1)),
    )
    for (const imbalance of balance.imbalances()) {
      const changed = options.key.length === 0 ? 0 : Math.min(imbalance.source, imbalance.destination)
      totals.changed += changed
      totals.missing += imbalance.source - changed
      totals.extra += imbalance.destination - changed
      const told = imbalance.source > 0 || !options.moreAllowed
      if (told && shown.length < options.limit) shown.push(imbalance)
    }
  }
  return {
    rows: { source: ours.rows, destination: theirs.rows },
    buckets,
    differing: differing.map((bucket) => ({
      bucket,
      source: ours.counts[bucket] as number,
      destination: theirs.counts[bucket] as number,
    })),
    ...totals,
    exact,
    differences: shown.length === 0 ? [] : await differences(source, destination, shown, options),
  }
}

/** A power of two: about one for so many rows. */
function bucketsFor(rows: number): number {
  let buckets = 16
  while (buckets < MOST_BUCKETS && buckets * ROWS_PER_BUCKET < rows) buckets *= 2
  return buckets
}

/** Buckets whose rows fit into memory together. */
function* groups(differing: readonly number[], sides: readonly BucketSums[], atOnce: number): Iterable<number[]> {
  let group: number[] = []
  let rows = 0
  for (const bucket of differing) {
    const more = Math.max(...sides.map(({ counts }) => counts[bucket] as number))
    if (group.length > 0 && rows + more > atOnce) {
      yield group
      group = []
      rows = 0
    }
    group.push(bucket)
    rows += more
  }
  if (group.length > 0) yield group
}

/** Waits for both, and throws what the first of them threw. */
async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second])
  return Promise.all([first, second])
}

/** Fetches the rows of some keys from both ends, and says how each differs. */
async function differences(
  source: Side,
  destination: Side,
  shown: readonly Imbalance[],
  options: CompareOptions,
): Promise<Difference[]> {
  const hashes = new Set(shown.map(({ keyLow, keyHigh }) => String(wordsToBigInt(keyLow, keyHigh))))
  const enough = options.limit * 4
  const [ours, theirs] = await both(source.find(hashes, enough), destination.find(hashes, enough))
  const found: Difference[] = []
  for (const hash of hashes) {
    const left = ours.filter(({ keyHash }) => keyHash === hash)
    const right = theirs.filter(({ keyHash }) => keyHash === hash)
    const missing = surplus(left, right)
    const extra = surplus(right, left)
    for (let i = 0; i < Math.max(missing.length, extra.length) && found.length < options.limit; i++) {
      found.push(...tell(missing[i], extra[i], options))
    }
  }
  return found
}

/** The rows of one side that the other does not have, or not as often. */
function surplus(rows: readonly FoundRow[], others: readonly FoundRow[]): FoundRow[] {
  const left = others.map(({ rowHash }) => rowHash)
  return rows.filter(({ rowHash }) => {
    const at = left.indexOf(rowHash)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

function tell(missing: FoundRow | undefined, extra: FoundRow | undefined, options: CompareOptions): Difference[] {
  const { columns, key: names, moreAllowed } = options
  const row = missing ?? extra
  if (!row || (!missing && moreAllowed)) return []
  const key = Object.fromEntries(names.map((name) => [name, row.values[columns.indexOf(name)] ?? null]))
  const places = { ...(missing ? { source: missing.place } : {}), ...(extra ? { destination: extra.place } : {}) }
  if (!missing || !extra) return [{ kind: missing ? 'missing' : 'extra', key, ...places }]
  const changed = columns.filter((_, i) => missing.values[i] !== extra.values[i])
  return [{ kind: 'changed', key, columns: changed, ...places }]
}
