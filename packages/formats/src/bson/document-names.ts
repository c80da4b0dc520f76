import { isUtf8 } from '@nebula/core'

const DOLLAR = 0x24
/** Names by which readers of Extended JSON, our own and others, know a value that is no document. */
const WRAPPERS: ReadonlySet<string> = new Set(
  [
    ['oid', 'symbol', 'numberInt', 'numberLong', 'numberDouble', 'numberDecimal', 'binary', 'uuid', 'code', 'scope'],
    [
      'timestamp',
      'regularExpression',
      'regex',
      'options',
      'dbPointer',
      'date',
      'minKey',
      'maxKey',
      'undefined',
      'bson',
    ],
  ].flatMap((names) => names.map((name) => `$${name}`)),
)
const FEW = 16

/** The names of one document: can JSON say them, and would they be read as they are? */
export class DocumentNames {
  #bytes: Uint8Array = new Uint8Array(0)
  #hashes = new Int32Array(FEW)
  /** Start and end of each. */
  #places = new Int32Array(FEW * 2)
  #count = 0

  begin(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#count = 0
  }

  /** Takes a name; false when it is not UTF-8, or that of a wrapper. */
  add(start: number, end: number): boolean {
    const bytes = this.#bytes
    let hash = 0
    let bits = 0
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number
      bits |= byte
      hash = Math.imul(hash ^ byte, 0x01000193)
    }
    if (this.#count === this.#hashes.length) this.#grow()
    this.#places[this.#count * 2] = start
    this.#places[this.#count * 2 + 1] = end
    this.#hashes[this.#count++] = hash
    if (bits > 0x7f && !isUtf8(bytes, start, end)) return false
    return bytes[start] !== DOLLAR || !WRAPPERS.has(this.#text(start, end))
  }

  /** False when a name occurs twice. */
  areUnique(): boolean {
    const count = this.#count
    const hashes = this.#hashes
    if (count <= FEW) {
      for (let i = 1; i < count; i++)
        for (let j = 0; j < i; j++) if (hashes[i] === hashes[j]) return this.#areDistinct()
      return true
    }
    const sorted = hashes.slice(0, count).sort()
    for (let i = 1; i < count; i++) if (sorted[i] === sorted[i - 1]) return this.#areDistinct()
    return true
  }

  /** Compares the names themselves: some have equal hashes. */
  #areDistinct(): boolean {
    const texts = new Set<string>()
    for (let i = 0; i < this.#count; i++)
      texts.add(this.#text(this.#places[i * 2] as number, this.#places[i * 2 + 1] as number))
    return texts.size === this.#count
  }

  /** A character a byte. */
  #text(start: number, end: number): string {
    let text = ''
    for (let at = start; at < end; at++) text += String.fromCharCode(this.#bytes[at] as number)
    return text
  }

  #grow(): void {
    const hashes = new Int32Array(this.#count * 2)
    hashes.set(this.#hashes)
    this.#hashes = hashes
    const places = new Int32Array(this.#count * 4)
    places.set(this.#places)
    this.#places = places
  }
}
