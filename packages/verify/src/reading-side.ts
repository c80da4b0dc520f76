import type { BufferPool, ReadStream, RecordBatch } from '@nebula/core'
import { BucketSums } from './bucket-sums.ts'
import type { End, Visitor } from './read-all.ts'
import { readAll } from './read-all.ts'
import { wordsToBigInt } from './row-balance.ts'
import { RowHasher } from './row-hasher.ts'
import type { FoundRow, Side, TakeRow } from './side.ts'

/** Takes batches as the source has them to what should have arrived of them. */
interface Shaper {
  apply(batch: RecordBatch): RecordBatch
  free(): void
}

export interface ReadingSideOptions {
  readonly end: End
  readonly stream: ReadStream
  /** Indices of the shaped columns, in the order in which they are hashed. */
  readonly columns: readonly number[]
  /** Places in `columns`. */
  readonly key: readonly number[]
  /** Undefined: batches are compared as they are read. */
  readonly shaper?: (pool: BufferPool) => Shaper
}

/** Reads every row and hashes it here. */
export class ReadingSide implements Side {
  readonly #options: ReadingSideOptions
  unreadable = 0

  constructor(options: ReadingSideOptions) {
    this.#options = options
  }

  async sums(buckets: number): Promise<BucketSums> {
    const sums = new BucketSums(buckets)
    const mask = buckets - 1
    this.unreadable = 0
    await this.#pass(({ rejected, rows: count }, { keys, rows }) => {
      this.unreadable += rejected.length
      for (let i = 0; i < count * 2; i += 2)
        sums.add((keys[i] as number) & mask, 1, rows[i] as number, rows[i + 1] as number)
    })
    return sums
  }

  async rows(buckets: number, chosen: ReadonlySet<number>, take: TakeRow): Promise<void> {
    const mask = buckets - 1
    await this.#pass(({ rows: count }, { keys, rows }) => {
      for (let i = 0; i < count * 2; i += 2) {
        if (chosen.has((keys[i] as number) & mask)) take(keys, rows, i)
      }
    })
  }

  async find(wanted: ReadonlySet<string>, limit: number): Promise<FoundRow[]> {
    const found: FoundRow[] = []
    const lows = new Set([...wanted].map((hash) => Number(BigInt.asIntN(32, BigInt(hash)))))
    await this.#pass((batch, hasher) => {
      const { keys, rows } = hasher
      for (let i = 0; i < batch.rows * 2 && found.length < limit; i += 2) {
        if (!lows.has(keys[i] as number)) continue
        const keyHash = String(wordsToBigInt(keys[i] as number, keys[i + 1] as number))
        if (!wanted.has(keyHash)) continue
        const rowHash = String(wordsToBigInt(rows[i] as number, rows[i + 1] as number))
        const values = this.#options.columns.map((_, place) => hasher.text(place, i / 2))
        found.push({ keyHash, rowHash, values, place: batch.place(i / 2) })
      }
    })
    return found
  }

  /** Hashes every batch, as it should have arrived, and looks at it. */
  #pass(look: (batch: RecordBatch, hasher: RowHasher) => void): Promise<void> {
    const { end, stream, columns, key, shaper } = this.#options
    return readAll(end, stream, ({ pool }): Visitor => {
      const hasher = new RowHasher(columns, key, pool)
      const shape = shaper?.(pool)
      return {
        visit(batch) {
          const shaped = shape ? shape.apply(batch) : batch
          try {
            hasher.hash(shaped)
            look(shaped, hasher)
          } finally {
            if (shape) shaped.release()
          }
        },
        free() {
          hasher.free()
          shape?.free()
        },
      }
    })
  }
}
