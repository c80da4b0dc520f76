/**
 * What is known of the rows of a stream by bucket: how many, and the sum of their hashes modulo 2 ** 64. Independent of
 * their order. The bucket of a row is the hash of its key modulo the number of buckets, a power of two.
 */
export class BucketSums {
  readonly buckets: number
  readonly counts: Float64Array
  /** Two words a bucket, low word first. */
  readonly #sums: Uint32Array

  constructor(buckets: number) {
    this.buckets = buckets
    this.counts = new Float64Array(buckets)
    this.#sums = new Uint32Array(buckets * 2)
  }

  /** Adds `count` rows whose hashes have the sum of these two words. */
  add(bucket: number, count: number, low: number, high: number): void {
    const sums = this.#sums
    const at = bucket * 2
    const before = sums[at] as number
    const after = (before + low) >>> 0
    this.counts[bucket] = (this.counts[bucket] as number) + count
    sums[at] = after
    sums[at + 1] = (sums[at + 1] as number) + high + (after < before ? 1 : 0)
  }

  get rows(): number {
    return this.counts.reduce((sum, count) => sum + count, 0)
  }

  /** The buckets in which the other side has other rows. */
  differing(other: BucketSums): number[] {
    const found: number[] = []
    for (let bucket = 0; bucket < this.buckets; bucket++) {
      const same =
        this.counts[bucket] === other.counts[bucket] &&
        this.#sums[bucket * 2] === other.#sums[bucket * 2] &&
        this.#sums[bucket * 2 + 1] === other.#sums[bucket * 2 + 1]
      if (!same) found.push(bucket)
    }
    return found
  }
}
