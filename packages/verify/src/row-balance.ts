/** Words of a slot: the hash of the key, that of the row, and by how many more times the source has it. */
const SLOT = 5
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
 * down. What is left is where the ends differ. An open-addressed table in one array: nothing is made for a row.
 */
export class RowBalance {
  #slots = new Int32Array(LEAST_SLOTS * SLOT)
  #used = new Uint8Array(LEAST_SLOTS)
  #size = 0

  add(keyLow: number, keyHigh: number, rowLow: number, rowHigh: number, by: number): void {
    if (this.#size * 2 >= this.#used.length) this.#grow()
    const mask = this.#used.length - 1
    let slot = (rowLow ^ Math.imul(keyLow, 0x9e3779b1)) & mask
    for (; this.#used[slot] === 1; slot = (slot + 1) & mask) {
      const at = slot * SLOT
      const slots = this.#slots
      if (slots[at + 2] !== rowLow || slots[at + 3] !== rowHigh) continue
      if (slots[at] !== keyLow || slots[at + 1] !== keyHigh) continue
      slots[at + 4] = (slots[at + 4] as number) + by
      return
    }
    const at = slot * SLOT
    this.#used[slot] = 1
    this.#size++
    this.#slots[at] = keyLow
    this.#slots[at + 1] = keyHigh
    this.#slots[at + 2] = rowLow
    this.#slots[at + 3] = rowHigh
    this.#slots[at + 4] = by
  }

  /** The keys whose rows differ. */
  imbalances(): Imbalance[] {
    const byKey = new Map<bigint, { keyLow: number; keyHigh: number; source: number; destination: number }>()
    for (let slot = 0; slot < this.#used.length; slot++) {
      const by = this.#slots[slot * SLOT + 4] as number
      if (this.#used[slot] === 0 || by === 0) continue
      const keyLow = this.#slots[slot * SLOT] as number
      const keyHigh = this.#slots[slot * SLOT + 1] as number
      const id = wordsToBigInt(keyLow, keyHigh)
      const found = byKey.get(id) ?? { keyLow, keyHigh, source: 0, destination: 0 }
      byKey.set(id, found)
      if (by > 0) found.source += by
      else found.destination -= by
    }
    return [...byKey.values()]
  }

  #grow(): void {
    const [slots, used] = [this.#slots, this.#used]
    this.#slots = new Int32Array(slots.length * 2)
    this.#used = new Uint8Array(used.length * 2)
    this.#size = 0
    for (let slot = 0; slot < used.length; slot++) {
      const at = slot * SLOT
      // What is balanced needs no place any more.
      if (used[slot] === 0 || slots[at + 4] === 0) continue
      const [a, b, c, d, by] = [slots[at], slots[at + 1], slots[at + 2], slots[at + 3], slots[at + 4]] as number[]
      this.add(a as number, b as number, c as number, d as number, by as number)
    }
  }
}

/** A signed 64-bit number of its two words. */
export function wordsToBigInt(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0)
}
