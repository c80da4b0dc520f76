import type { BytesBuilder } from '@nebula/core'
import { civilFromDays } from '@nebula/core'
import { decimalText } from './decimal128-text.ts'
import { DocumentNames } from './document-names.ts'
import type { Bson } from './elements.ts'
import {
  ARRAY,
  BINARY,
  BOOL,
  bsonOf,
  CODE,
  CODE_WITH_SCOPE,
  DATE,
  DB_POINTER,
  DECIMAL,
  DOUBLE,
  INT,
  isWellFormed,
  LONG,
  MAX_KEY,
  MIN_KEY,
  nameEnd,
  NULL,
  OBJECT,
  OBJECT_ID,
  OLD_BINARY,
  REGEX,
  scopeStart,
  STRING,
  SYMBOL,
  TIMESTAMP,
  UNDEFINED,
  valueEnd,
} from './elements.ts'
import { putAscii, putBase64, putByte, putHex, putPadded, putString } from './text-output.ts'

/**
 * `exact`: relaxed Extended JSON v2 where our parser restores it exactly, canonical elsewhere. `canonical`: throughout.
 * In both, what Extended JSON cannot say is `{"$bson": {"base64": ...}}`: the byte of the type, and those of the value.
 */
export type ExtendedJsonStyle = 'exact' | 'canonical'

const COMMA = 0x2c
const COLON = 0x3a
const OPEN = 0x7b
const CLOSE = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const WORD = 4_294_967_296
/** The last millisecond of the year 9999. */
const LAST_DATE = 253_402_300_799_999
const DAY = 86_400_000
/** The high word of the one NaN that text stands for. */
const NAN_WORD = 0x7ff80000
const DOCUMENT_HEAD = 4

/** Writes BSON values as Extended JSON. No recursion: depth is bounded by memory alone. */
export class ExtendedJsonWriter {
  readonly #canonical: boolean
  readonly #names = new DocumentNames()
  readonly #out: BytesBuilder
  #bson: Bson
  /** Where the containers that are open end, outermost first, and what they are. */
  readonly #ends: number[] = []
  readonly #types: number[] = []
  /** No member of the innermost container was written. */
  #first = false
  #damaged = false

  /** Texts are appended to the data of `out`; that a row ends there is for the caller to say. */
  constructor(style: ExtendedJsonStyle, out: BytesBuilder) {
    this.#canonical = style === 'canonical'
    this.#out = out
    this.#bson = bsonOf(new Uint8Array(0))
  }

  /** Turns to other bytes. */
  turnTo(bson: Bson): void {
    this.#bson = bson
  }

  /** Writes a value; false, and nothing written, when it is damaged inside. */
  value(type: number, start: number, end: number): boolean {
    const { size } = this.#out
    this.#damaged = false
    this.#putAll(type, start, end)
    return this.#settle(size)
  }

  /** Writes an object of the first `count` elements that begin at `starts`, of a document whose last byte is at `last`. */
  members(starts: Int32Array, count: number, last: number): boolean {
    const { size } = this.#out
    const { bytes } = this.#bson
    const names = this.#names
    this.#damaged = false
    names.begin(bytes)
    let sayable = true
    for (let i = 0; i < count; i++) {
      const start = (starts[i] as number) + 1
      if (!names.add(start, nameEnd(bytes, start, last))) sayable = false
    }
    if (!sayable || !names.areUnique()) this.#putFragment(starts, count, last)
    else {
      putByte(this.#out, OPEN)
      for (let i = 0; i < count; i++) {
        if (i > 0) putByte(this.#out, COMMA)
        this.#putMember(starts[i] as number, last)
      }
      putByte(this.#out, CLOSE)
    }
    return this.#settle(size)
  }

  #settle(size: number): boolean {
    if (!this.#damaged) return true
    this.#out.size = size
    this.#ends.length = this.#types.length = 0
    return false
  }

  #putMember(at: number, last: number): void {
    const { bytes } = this.#bson
    const type = bytes[at] as number
    const name = nameEnd(bytes, at + 1, last)
    putString(this.#out, bytes, at + 1, name)
    putByte(this.#out, COLON)
    this.#putAll(type, name + 1, valueEnd(this.#bson, type, name + 1, last))
  }

  /** A document of its own of some elements, as bytes. */
  #putFragment(starts: Int32Array, count: number, last: number): void {
    const whole = this.#bson
    const parts: Uint8Array[] = []
    let length = DOCUMENT_HEAD + 1
    for (let i = 0; i < count; i++) {
      const start = starts[i] as number
      const name = nameEnd(whole.bytes, start + 1, last)
      const part = whole.bytes.subarray(start, valueEnd(whole, whole.bytes[start] as number, name + 1, last))
      parts.push(part)
      length += part.length
    }
    const fragment = bsonOf(new Uint8Array(length))
    fragment.view.setInt32(0, length, true)
    let at = DOCUMENT_HEAD
    for (const part of parts) {
      fragment.bytes.set(part, at)
      at += part.length
    }
    this.#bson = fragment
    this.#putBytes(OBJECT, 0, length)
    this.#bson = whole
  }

  /** A value with all that is nested in it. */
  #putAll(type: number, start: number, end: number): void {
    const out = this.#out
    const ends = this.#ends
    let at = this.#put(type, start, end)
    while (ends.length > 0 && !this.#damaged) {
      const last = ends[ends.length - 1] as number
      if (at === last) {
        this.#close()
        at = last + 1
        continue
      }
      if (!this.#first) putByte(out, COMMA)
      this.#first = false
      const { bytes } = this.#bson
      const inner = bytes[at] as number
      const name = nameEnd(bytes, at + 1, last)
      if (this.#types[ends.length - 1] !== ARRAY) {
        putString(out, bytes, at + 1, name)
        putByte(out, COLON)
      }
      at = this.#put(inner, name + 1, valueEnd(this.#bson, inner, name + 1, last))
    }
  }

  #close(): void {
    this.#ends.pop()
    const type = this.#types.pop()
    putByte(this.#out, type === ARRAY ? CLOSE_ARRAY : CLOSE)
    if (type === CODE_WITH_SCOPE) putByte(this.#out, CLOSE)
    this.#first = false
  }

  /** Writes a value, or only the beginning of a container; returns where the next element lies. */
  #put(type: number, start: number, end: number): number {
    const out = this.#out
    const { size } = out
    if (type === OBJECT || type === ARRAY) {
      if (this.#isSayable(type, start, end)) return this.#open(type, start, end)
    } else if (type === CODE_WITH_SCOPE) {
      const scope = scopeStart(this.#bson, start)
      if (this.#isSayable(OBJECT, scope, end)) {
        putAscii(out, '{"$code":')
        if (putString(out, this.#bson.bytes, start + 8, scope - 1)) {
          putAscii(out, ',"$scope":')
          return this.#open(type, scope, end)
        }
      }
    } else if (this.#putScalar(type, start, end)) return end
    out.size = size
    this.#putBytes(type, start, end)
    return end
  }

  #open(type: number, start: number, end: number): number {
    putByte(this.#out, type === ARRAY ? OPEN_ARRAY : OPEN)
    this.#ends.push(end - 1)
    this.#types.push(type)
    this.#first = true
    return start + DOCUMENT_HEAD
  }

  /** False when JSON would lose or change the names of a container, or when it is damaged. */
  #isSayable(type: number, start: number, end: number): boolean {
    const bson = this.#bson
    const { bytes } = bson
    const names = this.#names
    const last = end - 1
    names.begin(bytes)
    let at = start + DOCUMENT_HEAD
    for (let index = 0; at !== last; index++) {
      const name = nameEnd(bytes, at + 1, last)
      const next = name < 0 ? -1 : valueEnd(bson, bytes[at] as number, name + 1, last)
      // Whether it is whole, who writes it as bytes finds out.
      if (next < 0) return false
      if (type === ARRAY ? !isIndex(bytes, at + 1, name, index) : !names.add(at + 1, name)) return false
      at = next
    }
    return type === ARRAY || names.areUnique()
  }

  #putBytes(type: number, start: number, end: number): void {
    const out = this.#out
    const { bytes } = this.#bson
    const document = type === CODE_WITH_SCOPE ? scopeStart(this.#bson, start) : start
    if ((type === OBJECT || type === ARRAY || document > start) && !isWellFormed(this.#bson, document, end)) {
      this.#damaged = true
      return
    }
    const typed = new Uint8Array(1 + end - start)
    typed[0] = type
    typed.set(bytes.subarray(start, end), 1)
    putAscii(out, '{"$bson":{"base64":"')
    putBase64(out, typed, 0, typed.length)
    putAscii(out, '"}}')
  }

  /** False when Extended JSON cannot say the value; something may have been written then. */
  #putScalar(type: number, start: number, end: number): boolean {
    const { bytes, view } = this.#bson
    switch (type) {
      case STRING:
        return putString(this.#out, bytes, start + 4, end - 1)
      case INT:
        return this.#putInt(view.getInt32(start, true))
      case LONG:
        return this.#putLong(start)
      case DOUBLE:
        return this.#putDouble(start)
      case OBJECT_ID:
        return this.#putObjectId(start)
      case DATE:
        return this.#putDate(start)
      case BOOL: {
        const byte = bytes[start] as number
        putAscii(this.#out, byte === 0 ? 'false' : 'true')
        return byte <= 1
      }
      case NULL:
        return this.#putWrapped('null')
      case BINARY:
        return this.#putBinary(start, end)
      case DECIMAL: {
        const text = decimalText(view, start)
        return text !== undefined && this.#putWrapped(`{"$numberDecimal":"${text}"}`)
      }
      default:
        return this.#putRare(type, start, end)
    }
  }

  #putWrapped(text: string): boolean {
    putAscii(this.#out, text)
    return true
  }

  #putInt(value: number): boolean {
    if (this.#canonical) return this.#putWrapped(`{"$numberInt":"${value}"}`)
    if (value < 0) return this.#putWrapped(String(value))
    putPadded(this.#out, value, 1)
    return true
  }

  #putLong(at: number): boolean {
    const { view } = this.#bson
    const high = view.getInt32(at + 4, true)
    const isShort = view.getInt32(at, true) >> 31 === high
    const text = high >> 20 === high >> 31 ? String(high * WORD + view.getUint32(at, true)) : this.#longText(at)
    return this.#putWrapped(this.#canonical || isShort ? `{"$numberLong":"${text}"}` : text)
  }

  #longText(at: number): string {
    return String(this.#bson.view.getBigInt64(at, true))
  }

  #putDouble(at: number): boolean {
    const { view } = this.#bson
    const value = view.getFloat64(at, true)
    if (value !== value) {
      const known = view.getInt32(at + 4, true) === NAN_WORD && view.getInt32(at, true) === 0
      return known && this.#putWrapped('{"$numberDouble":"NaN"}')
    }
    if (value === 0 && Object.is(value, -0)) return this.#putWrapped('{"$numberDouble":"-0.0"}')
    const digits = String(value)
    if (value === Infinity || value === -Infinity) return this.#putWrapped(`{"$numberDouble":"${digits}"}`)
    const text = Number.isInteger(value) && !digits.includes('e') ? `${digits}.0` : digits
    return this.#putWrapped(this.#canonical ? `{"$numberDouble":"${text}"}` : text)
  }

  #putObjectId(at: number): boolean {
    putAscii(this.#out, '{"$oid":"')
    putHex(this.#out, this.#bson.bytes, at, at + 12)
    return this.#putWrapped('"}')
  }

  #putDate(at: number): boolean {
    const { view } = this.#bson
    const out = this.#out
    const millis = view.getInt32(at + 4, true) * WORD + view.getUint32(at, true)
    if (this.#canonical || millis < 0 || millis > LAST_DATE)
      return this.#putWrapped(`{"$date":{"$numberLong":"${this.#longText(at)}"}}`)
    const days = Math.floor(millis / DAY)
    const civil = civilFromDays(days)
    const ofDay = millis - days * DAY
    const seconds = Math.floor(ofDay / 1000)
    const minutes = Math.floor(seconds / 60)
    putAscii(out, '{"$date":"')
    putPadded(out, civil >> 9, 4)
    putAscii(out, '-')
    putPadded(out, (civil >> 5) & 15, 2)
    putAscii(out, '-')
    putPadded(out, civil & 31, 2)
    putAscii(out, 'T')
    putPadded(out, Math.floor(minutes / 60), 2)
    putAscii(out, ':')
    putPadded(out, minutes % 60, 2)
    putAscii(out, ':')
    putPadded(out, seconds % 60, 2)
    putAscii(out, '.')
    putPadded(out, ofDay % 1000, 3)
    return this.#putWrapped('Z"}')
  }

  /** Subtype 2 repeats its length before its bytes, which the text leaves out. */
  #putBinary(start: number, end: number): boolean {
    const { bytes, view } = this.#bson
    const subtype = bytes[start + 4] as number
    let from = start + 5
    if (subtype === OLD_BINARY) {
      if (end - from < 4 || view.getInt32(from, true) !== end - from - 4) return false
      from += 4
    }
    putAscii(this.#out, '{"$binary":{"base64":"')
    putBase64(this.#out, bytes, from, end)
    return this.#putWrapped(`","subType":"${subtype.toString(16).padStart(2, '0')}"}}`)
  }

  #putRare(type: number, start: number, end: number): boolean {
    const { bytes, view } = this.#bson
    switch (type) {
      case REGEX:
        return this.#putRegex(start, end)
      case TIMESTAMP: {
        const seconds = view.getUint32(start + 4, true)
        return this.#putWrapped(`{"$timestamp":{"t":${seconds},"i":${view.getUint32(start, true)}}}`)
      }
      case CODE:
      case SYMBOL:
        putAscii(this.#out, type === CODE ? '{"$code":' : '{"$symbol":')
        return putString(this.#out, bytes, start + 4, end - 1) && this.#putWrapped('}')
      case DB_POINTER:
        return this.#putDbPointer(start, end)
      case UNDEFINED:
        return this.#putWrapped('{"$undefined":true}')
      case MIN_KEY:
      case MAX_KEY:
        return this.#putWrapped(type === MIN_KEY ? '{"$minKey":1}' : '{"$maxKey":1}')
      default:
        return false
    }
  }

  #putRegex(start: number, end: number): boolean {
    const { bytes } = this.#bson
    const pattern = nameEnd(bytes, start, end)
    putAscii(this.#out, '{"$regularExpression":{"pattern":')
    if (!putString(this.#out, bytes, start, pattern)) return false
    putAscii(this.#out, ',"options":')
    return putString(this.#out, bytes, pattern + 1, end - 1) && this.#putWrapped('}}')
  }

  #putDbPointer(start: number, end: number): boolean {
    putAscii(this.#out, '{"$dbPointer":{"$ref":')
    if (!putString(this.#out, this.#bson.bytes, start + 4, end - 13)) return false
    putAscii(this.#out, ',"$id":')
    return this.#putObjectId(end - 12) && this.#putWrapped('}}')
  }
}

/** True when a name is the number `index` as an array has it. */
function isIndex(bytes: Uint8Array, start: number, end: number, index: number): boolean {
  let value = 0
  for (let at = start; at < end; at++) value = value * 10 + (bytes[at] as number) - 0x30
  if (value !== index || end === start) return false
  // Neither zeros before it, nor bytes that only add up to it.
  for (let at = start; at < end; at++) if (((bytes[at] as number) - 0x30) >>> 0 > 9) return false
  return end === start + 1 || bytes[start] !== 0x30
}
