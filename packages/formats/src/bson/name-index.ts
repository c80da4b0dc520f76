/** Finds one of some names by its bytes, without making a string of them. */
export class NameIndex {
  readonly #names: readonly Uint8Array[]
  readonly #mask: number
  /** By hash, open addressing: the name's place + 1, or 0. */
  readonly #slots: Int32Array

  /** Each name ends with a NUL. */
  constructor(names: readonly Uint8Array[]) {
    this.#names = names
    let size = 8
    while (size < names.length * 4) size *= 2
    this.#mask = size - 1
    this.#slots = new Int32Array(size)
    for (const [index, name] of names.entries()) {
      let slot = hashOf(name, 0, name.length - 1) & this.#mask
      while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask
      this.#slots[slot] = index + 1
    }
  }

  /** The place of the name from `start` to the NUL at `end`; -1 when it is none of them. */
  find(bytes: Uint8Array, start: number, end: number): number {
    let slot = hashOf(bytes, start, end) & this.#mask
    for (;;) {
      const index = (this.#slots[slot] as number) - 1
      if (index < 0) return -1
      const name = this.#names[index] as Uint8Array
      if (name.length === end - start + 1 && isNamed(bytes, start, name)) return index
      slot = (slot + 1) & this.#mask
    }
  }
}

/** True when this name, with its NUL, lies at `at`. */
export function isNamed(bytes: Uint8Array, at: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return false
  return true
}

function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193)
  return hash ^ (hash >>> 15)
}
