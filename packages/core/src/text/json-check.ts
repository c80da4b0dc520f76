import { HEX_VALUES } from './hex.ts'

const QUOTE = 0x22
const PLUS = 0x2b
const COMMA = 0x2c
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const ESCAPES: ReadonlySet<number> = new Set(Array.from('"\\/bfnrt', (character) => character.charCodeAt(0)))
const WORDS = ['true', 'false', 'null'].map((word) => Uint8Array.from(word, (character) => character.charCodeAt(0)))

/**
 * True when `data[start] .. data[end]` is one JSON text (RFC 8259). Whether its bytes are UTF-8 is for the caller.
 * No recursion: depth is bounded by memory alone.
 */
export function isJson(data: Uint8Array, start: number, end: number): boolean {
  return new JsonCheck(data, start, end).run()
}

class JsonCheck {
  readonly #data: Uint8Array
  readonly #end: number
  #at: number

  constructor(data: Uint8Array, start: number, end: number) {
    this.#data = data
    this.#at = start
    this.#end = end
  }

  run(): boolean {
    /** Containers that are open, outermost first: what closes them. */
    const open: number[] = []
    while (true) {
      const byte = this.#next()
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        const close = byte === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY
        open.push(close)
        this.#at++
        if (this.#next() !== close) {
          if (close === CLOSE_OBJECT && !this.#key()) return false
          continue
        }
      } else if (!this.#scalar(byte)) return false
      while (open.length > 0 && this.#next() === open[open.length - 1]) {
        open.pop()
        this.#at++
      }
      if (open.length === 0) return this.#next() === -1
      if (this.#next() !== COMMA) return false
      this.#at++
      if (open[open.length - 1] === CLOSE_OBJECT && !this.#key()) return false
    }
  }

  /** The next byte that is not blank, or -1 at the end. */
  #next(): number {
    for (; this.#at < this.#end; this.#at++) {
      const byte = this.#data[this.#at] as number
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte
    }
    return -1
  }

  #key(): boolean {
    if (this.#next() !== QUOTE || !this.#string() || this.#next() !== COLON) return false
    this.#at++
    return true
  }

  #scalar(first: number): boolean {
    if (first === QUOTE) return this.#string()
    if (first === MINUS || (first - ZERO) >>> 0 <= 9) return this.#number()
    const word = WORDS.find((known) => known[0] === first)
    if (!word || this.#at + word.length > this.#end) return false
    for (let i = 0; i < word.length; i++) if (this.#data[this.#at + i] !== word[i]) return false
    this.#at += word.length
    return true
  }

  #string(): boolean {
    const data = this.#data
    for (let at = this.#at + 1; at < this.#end; at++) {
      const byte = data[at] as number
      if (byte === QUOTE) {
        this.#at = at + 1
        return true
      }
      if (byte < 0x20) return false
      if (byte !== BACKSLASH) continue
      at++
      if (data[at] === 0x75 && at + 4 < this.#end) {
        for (let i = 1; i <= 4; i++) if ((HEX_VALUES[data[at + i] as number] as number) > 15) return false
        at += 4
      } else if (at >= this.#end || !ESCAPES.has(data[at] as number)) return false
    }
    return false
  }

  #number(): boolean {
    if (this.#data[this.#at] === MINUS) this.#at++
    if (this.#byte() === ZERO) this.#at++
    else if (!this.#digits()) return false
    if (this.#byte() === POINT) {
      this.#at++
      if (!this.#digits()) return false
    }
    if ((this.#byte() | 32) !== 0x65) return true
    this.#at++
    if (this.#byte() === PLUS || this.#byte() === MINUS) this.#at++
    return this.#digits()
  }

  #byte(): number {
    return this.#at < this.#end ? (this.#data[this.#at] as number) : -1
  }

  /** At least one digit. */
  #digits(): boolean {
    const start = this.#at
    while ((this.#byte() - ZERO) >>> 0 <= 9) this.#at++
    return this.#at > start
  }
}
