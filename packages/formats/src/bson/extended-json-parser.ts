import { HEX_VALUES, isUtf8, NebulaError } from '@nebula/core'
import type { BsonOutput } from './bson-output.ts'
import { ascii, putCodePoint, putIndex, putLong } from './bson-values.ts'
import * as t from './elements.ts'
import type { Unwrap } from './extended-json-wrappers.ts'
import { wrapperOf } from './extended-json-wrappers.ts'
import { keepsDigits } from './number-text.ts'

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
const LOWER_E = 0x65
const LETTER_U = 0x75
const OPEN = 0x7b
const CLOSE = 0x7d
const DOLLAR = 0x24

const TRUE = bytesOf('true')
const FALSE = bytesOf('false')
const NOTHING = bytesOf('null')

function bytesOf(ascii: string): Uint8Array {
  return Uint8Array.from(ascii, (character) => character.charCodeAt(0))
}

/** The byte that an escape of one letter stands for; 0 for others. */
const ESCAPES = new Uint8Array(256)
for (const pair of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'])
  ESCAPES[pair.charCodeAt(0)] = pair.charCodeAt(1)

/** What `HEX_VALUES` has for other bytes. */
const NO_DIGIT = 255

/** Integers of so many digits are exact as doubles. */
const EXACT_DIGITS = 15
const POWERS = Float64Array.from({ length: EXACT_DIGITS + 1 }, (_, i) => Number(`1e${i}`))
const LONG_LIMIT = 2n ** 63n

/** What is wrong with a text, and at which byte of it. Never leaves this package. */
class Misfit extends Error {
  readonly at: number

  constructor(at: number, reason: string) {
    super(reason)
    this.at = at
  }
}

/**
 * Parses MongoDB Extended JSON v2, relaxed or canonical, and `$bson` (the type's byte and the value's bytes, in base64)
 * straight to BSON. Keys may repeat, and keep their order. Plain integers become int, long or double, whichever is the
 * first to hold them (-0 is a double); numbers with a point or an exponent are double, or refused where that loses digits. An object with a key of the
 * wrappers (`wrapperOf`) has exactly the wrapper's keys, in any order, or is refused. Depth is bounded by memory alone.
 */
export class ExtendedJsonParser {
  #text: Uint8Array = EMPTY
  #at = 0
  #end = 0
  readonly #out: BsonOutput
  /** Of the containers that are open, outermost first: where they begin, and their element under way; arrays: its index. */
  readonly #starts: number[] = []
  readonly #elements: number[] = []
  readonly #indices: number[] = []
  readonly #wrappers: (Unwrap | undefined)[] = []
  /** The most containers within each other in the last text. */
  depth = 0
  /** Why the last text was refused. */
  reason = ''

  constructor(out: BsonOutput) {
    this.#out = out
  }

  /**
   * Appends the value of `text[start] .. text[end]` to the output; returns its type. 0: the text is none, `reason` says
   * why, and what the output holds behind its former size is undefined.
   */
  parse(text: Uint8Array, start: number, end: number): number {
    this.#text = text
    this.#at = start
    this.#end = end
    this.depth = 0
    try {
      const type = this.#document()
      if (this.#next() !== -1) throw this.#misfit('nothing may follow the value')
      return type
    } catch (error) {
      if (!(error instanceof Misfit)) throw error
      this.reason = `byte ${error.at - start} of the text: ${error.message}`
      return 0
    } finally {
      this.#text = EMPTY
      this.#starts.length = this.#elements.length = this.#indices.length = this.#wrappers.length = 0
    }
  }

  #misfit(reason: string, at = this.#at): Misfit {
    return new Misfit(at, reason)
  }

  /** The next byte that is no white space, not yet consumed; -1 at the end. */
  #next(): number {
    for (; this.#at < this.#end; this.#at++) {
      const byte = this.#text[this.#at] as number
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte
    }
    return -1
  }

  /** One value and all that is in it. */
  #document(): number {
    for (;;) {
      const byte = this.#next()
      const opens = byte === OPEN || byte === OPEN_ARRAY
      if (opens && this.#open(byte)) continue
      let type = opens ? this.#close() : this.#scalar(byte)
      for (;;) {
        const depth = this.#starts.length
        if (depth === 0) return type
        this.#out.bytes[this.#elements[depth - 1] as number] = type
        if (!this.#endsContainer()) break
        type = this.#close()
      }
    }
  }

  /** Begins a container; false when it is empty, which then is still to be closed. */
  #open(byte: number): boolean {
    const isArray = byte === OPEN_ARRAY
    this.#at++
    this.#starts.push(this.#out.size)
    this.#elements.push(0)
    this.#indices.push(isArray ? 0 : -1)
    this.#wrappers.push(undefined)
    this.depth = Math.max(this.depth, this.#starts.length)
    this.#out.ensure(this.#out.size, 4)
    this.#out.size += 4
    if (this.#next() === (isArray ? CLOSE_ARRAY : CLOSE)) {
      this.#at++
      return false
    }
    this.#element()
    return true
  }

  /** Behind a value: begins the next element and returns false, or consumes the end of the container. */
  #endsContainer(): boolean {
    const isArray = (this.#indices.at(-1) as number) >= 0
    const byte = this.#next()
    if (byte === COMMA) {
      this.#at++
      this.#element()
      return false
    }
    if (byte !== (isArray ? CLOSE_ARRAY : CLOSE)) throw this.#misfit(`a comma or ${isArray ? ']' : '}'} is missing`)
    this.#at++
    return true
  }

  /** Writes room for the type of an element, and its name. */
  #element(): void {
    const out = this.#out
    const top = this.#starts.length - 1
    const index = this.#indices[top] as number
    out.ensure(out.size, 16)
    this.#elements[top] = out.size++
    if (index >= 0) {
      this.#indices[top] = index + 1
      out.size = putIndex(out.bytes, out.size, index)
      return
    }
    if (this.#next() !== QUOTE) throw this.#misfit('a key is missing')
    const name = out.size
    const start = this.#at
    this.#string()
    if (out.bytes.subarray(name, out.size).includes(0)) throw this.#misfit('a key with a NUL', start)
    out.bytes[out.size++] = 0
    if (out.bytes[name] === DOLLAR) this.#wrappers[top] ??= wrapperOf(out.bytes, name, out.size - 1)
    if (this.#next() !== COLON) throw this.#misfit('a colon is missing')
    this.#at++
  }

  /** Ends a container; returns its type, or that of the value that it stands for. */
  #close(): number {
    const out = this.#out
    const start = this.#starts.pop() as number
    const isArray = (this.#indices.pop() as number) >= 0
    const unwrap = this.#wrappers.pop()
    this.#elements.pop()
    out.ensure(out.size, 1)
    out.bytes[out.size++] = 0
    out.view.setInt32(start, out.size - start, true)
    if (isArray) return t.ARRAY
    if (!unwrap) return t.OBJECT
    const end = out.size
    const type = unwrap(out, start)
    if (type === 0) throw this.#misfit('an object that ends here has the key of a type, and is none of it')
    out.bytes.copyWithin(start, end, out.size)
    out.size -= end - start
    return type
  }

  #scalar(byte: number): number {
    const out = this.#out
    if (byte === QUOTE) return this.#stringValue()
    if (byte === MINUS || (byte - ZERO) >>> 0 <= 9) return this.#number()
    out.ensure(out.size, 1)
    if (this.#isNext(TRUE)) {
      out.bytes[out.size++] = 1
      return t.BOOL
    }
    if (this.#isNext(FALSE)) {
      out.bytes[out.size++] = 0
      return t.BOOL
    }
    if (this.#isNext(NOTHING)) return t.NULL
    throw this.#misfit('a value is missing')
  }

  /** Consumes a word when it is next. */
  #isNext(word: Uint8Array): boolean {
    if (this.#at + word.length > this.#end) return false
    for (let i = 0; i < word.length; i++) if (this.#text[this.#at + i] !== word[i]) return false
    this.#at += word.length
    return true
  }

  #stringValue(): number {
    const out = this.#out
    const start = out.size
    out.ensure(start, 4)
    out.size += 4
    this.#string()
    out.bytes[out.size++] = 0
    out.view.setInt32(start, out.size - start - 4, true)
    return t.STRING
  }

  /** Writes what a string stands for, and leaves room for a NUL. */
  #string(): void {
    const text = this.#text
    const start = this.#at + 1
    let escaped = false
    let bits = 0
    let at = start
    for (; ; at++) {
      const byte = at < this.#end ? (text[at] as number) : 0
      if (byte === QUOTE) break
      if (byte < 0x20)
        throw this.#misfit(at < this.#end ? 'a control character' : 'the string does not end', Math.min(at, this.#end))
      bits |= byte
      if (byte !== BACKSLASH) continue
      escaped = true
      at++
    }
    if (bits >= 0x80 && !isUtf8(text, start, at)) throw this.#misfit('a string that is no UTF-8', start)
    this.#out.ensure(this.#out.size, at - start + 1)
    if (escaped) this.#unescape(start, at)
    else this.#copy(start, at)
    this.#at = at + 1
  }

  #copy(start: number, end: number): void {
    const { bytes, size } = this.#out
    const text = this.#text
    if (end - start > 64) bytes.set(text.subarray(start, end), size)
    else for (let i = start, to = size; i < end; i++, to++) bytes[to] = text[i] as number
    this.#out.size += end - start
  }

  #unescape(start: number, end: number): void {
    const { bytes } = this.#out
    const text = this.#text
    let to = this.#out.size
    for (let at = start; at < end; at++) {
      const byte = text[at] as number
      if (byte !== BACKSLASH) {
        bytes[to++] = byte
        continue
      }
      const letter = text[++at] as number
      if (letter === LETTER_U) {
        const point = this.#codePoint(at + 1, end)
        at += point > 0xffff ? 10 : 4
        to = putCodePoint(bytes, to, point)
      } else {
        if (ESCAPES[letter] === 0) throw this.#misfit('an escape that JSON does not have', at)
        bytes[to++] = ESCAPES[letter] as number
      }
    }
    this.#out.size = to
  }

  /** Four hexadecimal digits, or two times four for what lies past U+FFFF. */
  #codePoint(at: number, end: number): number {
    const unit = this.#unit(at, end)
    if (unit < 0xd800 || unit > 0xdfff) return unit
    const isPair = this.#text[at + 4] === BACKSLASH && this.#text[at + 5] === LETTER_U && at + 6 < end
    const second = unit < 0xdc00 && isPair ? this.#unit(at + 6, end) : 0
    if (second < 0xdc00 || second > 0xdfff) throw this.#misfit('half of a surrogate pair', at)
    return 0x10000 + ((unit - 0xd800) << 10) + second - 0xdc00
  }

  #unit(at: number, end: number): number {
    let unit = 0
    for (let i = at; i < at + 4; i++) {
      const digit = i < end ? (HEX_VALUES[this.#text[i] as number] as number) : NO_DIGIT
      if (digit === NO_DIGIT) throw this.#misfit('an escape without four hexadecimal digits', at)
      unit = (unit << 4) | digit
    }
    return unit
  }

  #number(): number {
    const text = this.#text
    const start = this.#at
    const first = text[start] === MINUS ? start + 1 : start
    const point = this.#digits(first)
    if (point > first + 1 && text[first] === ZERO) throw this.#misfit('a number that begins with zeros', start)
    const fraction = point < this.#end && text[point] === POINT ? this.#digits(point + 1) : point
    let at = fraction
    if (at < this.#end && ((text[at] as number) | 32) === LOWER_E) {
      const sign = text[at + 1]
      at = this.#digits(sign === PLUS || sign === MINUS ? at + 2 : at + 1)
    }
    this.#at = at
    this.#out.ensure(this.#out.size, 8)
    return at === point ? this.#integer(start, first) : this.#double(start, at === fraction ? point : -1)
  }

  /** Behind the digits at `from`, of which there is one at least. */
  #digits(from: number): number {
    let at = from
    while (at < this.#end && ((this.#text[at] as number) - ZERO) >>> 0 <= 9) at++
    if (at === from) throw this.#misfit('a number without a digit', Math.min(from, this.#end))
    return at
  }

  #integer(start: number, first: number): number {
    const { view, size } = this.#out
    const value = this.#at - first <= EXACT_DIGITS ? this.#whole(first, this.#at) : Number.NaN
    if (start < first && value === 0) return this.#putDouble(-0)
    const signed = start < first ? -value : value
    if (signed === (signed | 0)) {
      view.setInt32(size, signed, true)
      this.#out.size += 4
      return t.INT
    }
    if (Number.isNaN(value)) return this.#longInteger(start)
    putLong(view, size, signed)
    this.#out.size += 8
    return t.LONG
  }

  #longInteger(start: number): number {
    const digits = ascii(this.#text, start, this.#at)
    const value = digits.length > 20 ? LONG_LIMIT : BigInt(digits)
    if (value >= LONG_LIMIT || value < -LONG_LIMIT) return this.#double(start, -1)
    this.#out.view.setBigInt64(this.#out.size, value, true)
    this.#out.size += 8
    return t.LONG
  }

  /** `point`: where the point is, when there is no exponent; else -1. */
  #double(start: number, point: number): number {
    const first = this.#text[start] === MINUS ? start + 1 : start
    if (point < 0 || this.#at - first > EXACT_DIGITS + 1) {
      const text = ascii(this.#text, start, this.#at)
      const value = Number(text)
      if (!Number.isFinite(value)) throw this.#misfit('a number past the largest double', start)
      if (!keepsDigits(text, value)) throw this.#misfit('a number with more digits than a double keeps', start)
      return this.#putDouble(value)
    }
    // Both are exact, so their quotient is rounded once.
    const places = this.#at - point - 1
    const digits = this.#whole(first, point) * (POWERS[places] as number) + this.#whole(point + 1, this.#at)
    const value = digits / (POWERS[places] as number)
    return this.#putDouble(first > start ? -value : value)
  }

  #putDouble(value: number): number {
    this.#out.view.setFloat64(this.#out.size, value, true)
    this.#out.size += 8
    return t.DOUBLE
  }

  #whole(from: number, to: number): number {
    let value = 0
    for (let i = from; i < to; i++) value = value * 10 + (this.#text[i] as number) - ZERO
    return value
  }
}

const EMPTY = new Uint8Array(0)

/**
 * Appends the BSON value of an Extended JSON text to `out`, and returns its type: that of an element, so 3 for a
 * document. See `ExtendedJsonParser` for what it reads. Throws `data_invalid`, which names the byte, for other texts.
 */
export function parseExtendedJson(text: Uint8Array, start: number, end: number, out: BsonOutput): number {
  const parser = new ExtendedJsonParser(out)
  const type = parser.parse(text, start, end)
  if (type === 0) throw new NebulaError('data_invalid', { message: `This is no Extended JSON; ${parser.reason}.` })
  return type
}
