const LEAST_SLOTS = 1024

/** One key whose rows are not the same at both ends: how many rows only one of them has. */
export interface Imbalance {
  readonly keyLow: number
  readonly keyHigh: number
  readonly source: number
  readonly destination: number
}

/**
 * Counts rows, known by the hashes of their key and of themselves: those of the source up, those of the destination
 * down. What is left is where the ends differ. An open-addressed table in typed arrays: nothing is made for a row.
 */
export class RowBalance {
  /** Two words a slot, low word first. */
  #keys = new Int32Array(LEAST_SLOTS * 2)
  #rows = new Int32Array(LEAST_SLOTS * 2)
  /** By how many more times the source has the row. */
  #counts = new Int32Array(LEAST_SLOTS)
  #used = new Uint8Array(LEAST_SLOTS)
  #size = 0

  /** Counts the row whose hashes are the two words from `at` on in `keys` and in `rows`. */
  add(keys: Int32Array, rows: Int32Array, at: number, by: number): void {
    if (this.#size * 2 >= this.#used.length) this.#grow()
    const [keyLow, keyHigh] = [keys[at] as number, keys[at + 1] as number]
    const [rowLow, rowHigh] = [rows[at] as number, rows[at + 1] as number]
    const mask = this.#used.length - 1
    let slot = (rowLow ^ Math.imul(keyLow, 0x9e3779b1)) & mask
    for (; this.#used[slot] === 1; slot = (slot + 1) & mask) {
      if (this.#rows[slot * 2] !== rowLow || this.#rows[slot * 2 + 1] !== rowHigh) continue
      if (this.#keys[slot * 2] !== keyLow || this.#keys[slot * 2 + 1] !== keyHigh) continue
      this.#counts[slot] = (this.#counts[slot] as number) + by
      return
    }
    this.#used[slot] = 1
    this.#size++
    this.#keys[slot * 2] = keyLow
    this.#keys[slot * 2 + 1] = keyHigh
    this.#rows[slot * 2] = rowLow
    this.#rows[slot * 2 + 1] = rowHigh
    this.#counts[slot] = by
  }

  /** The keys whose rows differ. */
  imbalances(): Imbalance[] {
    const byKey = new Map<bigint, { keyLow: number; keyHigh: number; source: number; destination: number }>()
    for (let slot = 0; slot < this.#used.length; slot++) {
      const by = this.#counts[slot] as number
      if (by === 0) continue
      const [keyLow, keyHigh] = [this.#keys[slot * 2] as number, this.#keys[slot * 2 + 1] as number]
      const id = wordsToBigInt(keyLow, keyHigh)
      const found = byKey.get(id) ?? { keyLow, keyHigh, source: 0, destination: 0 }
      byKey.set(id, found)
      if (by > 0) found.source += by
      else found.destination -= by
    }
    return [...byKey.values()]
  }

  /** Twice as many slots; what is balanced needs none any more. */
  #grow(): void {
    const [keys, rows, counts] = [this.#keys, this.#rows, this.#counts]
    this.#keys = new Int32Array(keys.length * 2)
    this.#rows = new Int32Array(rows.length * 2)
    this.#counts = new Int32Array(counts.length * 2)
    this.#used = new Uint8Array(counts.length * 2)
    this.#size = 0
    for (let slot = 0; slot < counts.length; slot++) {
      const by = counts[slot] as number
      if (by !== 0) this.add(keys, rows, slot * 2, by)
    }
  }
}

/** A signed 64-bit number of its two words. */
export function wordsToBigInt(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0)
}
