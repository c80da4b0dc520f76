import type { AnyBuilder, BytesBuilder, Column, Field } from '@nebula/core'
import { isUtf8, NebulaError, typeName, wrapsAround } from '@nebula/core'
import { putDecimal } from './decimal128-text.ts'
import type { Bson } from './elements.ts'
import { bsonOf, NULL, UUID } from './elements.ts'
import { ExtendedJsonWriter } from './extended-json-writer.ts'
import { aliasCode, EXTENDED, isColumnOf, VARIOUS } from './field-types.ts'
import { putHex } from './text-output.ts'

/** How a value is put into its column, densely numbered for `put`. */
const PUT_INT = 0
const PUT_LONG = 1
const PUT_DOUBLE = 2
const PUT_DATE = 3
const PUT_BOOL = 4
const PUT_STRING = 5
const PUT_OBJECT_ID = 6
const PUT_HEX = 7
const PUT_BINARY = 8
const PUT_UUID = 9
const PUT_DECIMAL = 10
const PUT_JSON = 11
/** Nobody looks at the column. */
const SKIP = 12
/** Structs and lists. */
const PUT_NESTED = 13

const CODES: ReadonlyMap<string, number> = new Map([
  ['int', PUT_INT],
  ['long', PUT_LONG],
  ['double', PUT_DOUBLE],
  ['date', PUT_DATE],
  ['bool', PUT_BOOL],
  ['string', PUT_STRING],
  ['objectId', PUT_OBJECT_ID],
  ['binData', PUT_BINARY],
  ['uuid', PUT_UUID],
  ['decimal', PUT_DECIMAL],
])

/** What became of a value: its column has it, cannot have it, or the value is damaged inside. */
export const HELD = 1
export const MISFIT = 0
export const DAMAGED = -1

/** The type of columns that take every type, and of those that take every one but null. */
const ANY = -1
const NOT_NULL = -2
const WORD = 4_294_967_296
/** The high word of the one NaN that every system keeps. */
const NAN_WORD = 0x7ff80000
const INFINITE_WORD = 0x7ff00000
/** Longer values are copied by the engine's own routine, which costs as much to call as a few dozen bytes. */
const LONG = 96
const NO_BYTES = new Uint8Array(0)
const NO_WORDS = new Int32Array(0)

/** What is nested in the values of a column. */
export interface NestedValues {
  /** Begins a batch whose builder has begun, or goes on after its memory is another. */
  attach(bson: Bson): void
  /** As `put` of a column. */
  put(bson: Bson, row: number, at: number, end: number): number
}

/** A column that is filled: one shape whatever it is, so that loops over columns see one class of everything. */
export class ColumnTarget {
  readonly field: Field
  /** What an element of it begins with, where its values are of one type: the type's byte, the name, a NUL. */
  readonly head: Uint8Array
  /** The same in words, as far as they go, and the last four bytes; none where it is shorter. */
  readonly #headWords: Int32Array
  readonly #headEnd: number
  readonly isId: boolean
  readonly #builder: AnyBuilder | undefined
  readonly #bytes: BytesBuilder | undefined
  readonly #json: ExtendedJsonWriter | undefined
  readonly #nested: NestedValues | undefined
  /** The type of the values that it takes; below 0: several. */
  readonly #type: number
  /** The type of the value at hand. */
  #given = 0
  readonly #subtype: number
  readonly #code: number
  /** Memory of the builder. */
  #words: Int32Array = NO_WORDS
  #bits: Uint8Array = NO_BYTES
  /** The last row whose document has the field, and the last whose value the column has. */
  seen = -1
  held = -1

  /**
   * Without a builder, for a column that nobody looks at; with one of a struct or a list, and what fills it. Throws
   * `unsupported` for one that is not MongoDB's.
   */
  constructor(field: Field, builder: AnyBuilder | undefined, nested?: NestedValues) {
    const { name, declared = '', type } = field
    const extended = declared === EXTENDED
    const code = codeOf(field)
    const put = declared === 'objectId' && type.kind === 'utf8' ? PUT_HEX : (CODES.get(declared) ?? PUT_JSON)
    const bytes = builder?.layout === 'bytes' ? builder : undefined
    this.field = field
    this.isId = name === '_id'
    this.#type = extended ? ANY : declared === VARIOUS ? NOT_NULL : code & 0xff
    this.head = Uint8Array.of(this.#type & 0xff, ...new TextEncoder().encode(name), 0)
    const { view } = bsonOf(this.head)
    this.#headWords = Int32Array.from({ length: view.byteLength >> 2 }, (_, i) => view.getInt32(i * 4, true))
    this.#headEnd = view.byteLength < 4 ? 0 : view.getInt32(view.byteLength - 4, true)
    this.#subtype = code >> 8
    this.#code = !builder ? SKIP : nested ? PUT_NESTED : put
    this.#builder = builder
    this.#bytes = bytes
    this.#nested = nested
    if (bytes && put === PUT_JSON) this.#json = new ExtendedJsonWriter(extended ? 'canonical' : 'exact', bytes)
  }

  /** Begins a batch, all of whose values lie in `bson`. */
  start(bson: Bson, rows: number): void {
    this.seen = this.held = -1
    this.#builder?.start(rows)
    this.attach(bson)
  }

  /** Takes the memory of its builder, which has begun a batch or has grown. */
  attach(bson: Bson): void {
    const builder = this.#builder
    this.#json?.turnTo(bson)
    this.#nested?.attach(bson)
    if (builder?.layout === 'fixed' || builder?.layout === 'fixed64') this.#words = builder.words
    if (builder?.layout === 'fixed128' || builder?.layout === 'bool')
      this.#bits = builder.layout === 'bool' ? builder.bits : builder.bytes
  }

  /** True when an element of its type and name begins at `at`. */
  begins({ bytes, view }: Bson, at: number, last: number): boolean {
    const { length } = this.head
    if (at + length > last) return false
    const words = this.#headWords
    for (let i = 0; i < words.length; i++) if (view.getInt32(at + i * 4, true) !== words[i]) return false
    if (length >= 4) return view.getInt32(at + length - 4, true) === this.#headEnd
    return bytes[at] === this.head[0] && bytes[at + 1] === this.head[1] && bytes[at + length - 1] === 0
  }

  finish(): Column | undefined {
    return this.#builder?.finish()
  }

  free(): void {
    this.#builder?.free()
  }

  /** The row has no value. Rows are set in order. */
  miss(row: number): void {
    this.#builder?.appendNull(row)
  }

  /** True when the row was missed. */
  isMissing(row: number): boolean {
    return this.#builder !== undefined && ((this.#builder.validity[row >> 3] as number) & (1 << (row & 7))) === 0
  }

  /** Takes back the value of the row at hand. */
  undo(row: number): void {
    this.held = -1
    this.#builder?.clear(row)
  }

  /** Says of which type the value is that `put` is given next; false when the column takes none of it. */
  turnTo(type: number): boolean {
    this.#given = type
    return type === this.#type || this.#type === ANY || (this.#type === NOT_NULL && type !== NULL)
  }

  /**
   * Sets a row to the value from `at` to `end`, where the way back would give the same bytes; else nothing of it is
   * left.
   */
  put(bson: Bson, row: number, at: number, end: number): number {
    const { view, bytes } = bson
    switch (this.#code) {
      case PUT_INT:
        this.#words[row] = view.getInt32(at, true)
        return HELD
      case PUT_LONG:
        this.#words[row * 2] = view.getInt32(at, true)
        this.#words[row * 2 + 1] = view.getInt32(at + 4, true)
        return HELD
      case PUT_DOUBLE:
        return this.#putDouble(view, row, at)
      case PUT_DATE:
        return this.#putDate(view, row, at)
      case PUT_BOOL: {
        const byte = bytes[at] as number
        if (byte === 1) this.#bits[row >> 3] = (this.#bits[row >> 3] as number) | (1 << (row & 7))
        return byte > 1 ? MISFIT : HELD
      }
      case SKIP:
        return HELD
      case PUT_NESTED:
        return this.#nested?.put(bson, row, at, end) ?? MISFIT
      case PUT_UUID:
        return this.#putUuid(bytes, row, at, end)
      default:
        return this.#putBytes(bson, row, at, end)
    }
  }

  /** Bit by bit. Every NaN but one would become that one on its way through text. */
  #putDouble(view: DataView, row: number, at: number): number {
    const low = view.getInt32(at, true)
    const high = view.getInt32(at + 4, true)
    this.#words[row * 2] = low
    this.#words[row * 2 + 1] = high
    if ((high & INFINITE_WORD) !== INFINITE_WORD) return HELD
    return low === 0 && (high === NAN_WORD || (high & 0xfffff) === 0) ? HELD : MISFIT
  }

  /** Milliseconds as microseconds, which may be more than 64 bits hold, or than the column keeps. */
  #putDate(view: DataView, row: number, at: number): number {
    const product = view.getUint32(at, true) * 1000
    const high = view.getInt32(at + 4, true) * 1000 + Math.floor(product / WORD)
    const word = high | 0
    this.#words[row * 2] = product
    this.#words[row * 2 + 1] = word
    return word === high && !wrapsAround(word) ? HELD : MISFIT
  }

  #putUuid(bytes: Uint8Array, row: number, at: number, end: number): number {
    if (end - at !== 21 || bytes[at + 4] !== UUID) return MISFIT
    for (let i = 0; i < 16; i++) this.#bits[row * 16 + i] = bytes[at + 5 + i] as number
    return HELD
  }

  #putBytes(bson: Bson, row: number, at: number, end: number): number {
    const out = this.#bytes
    if (!out) return MISFIT
    const { bytes } = bson
    let outcome = HELD
    switch (this.#code) {
      case PUT_STRING:
        outcome = putText(out, bson, at + 4, end - 1)
        break
      case PUT_OBJECT_ID:
        putRun(out, bytes, at, end)
        break
      case PUT_HEX:
        putHex(out, bytes, at, end)
        break
      case PUT_BINARY:
        if (bytes[at + 4] !== 0) return MISFIT
        putRun(out, bytes, at + 5, end)
        break
      case PUT_DECIMAL:
        if (!putDecimal(out, bson.view, at)) return MISFIT
        break
      default:
        outcome = this.#putJson(bytes, at, end)
    }
    if (outcome === HELD) out.offsets[row + 1] = out.size
    return outcome
  }

  #putJson(bytes: Uint8Array, at: number, end: number): number {
    if (this.#subtype > 0 && bytes[at + 4] !== this.#subtype) return MISFIT
    return this.#json?.value(this.#given, at, end) ? HELD : DAMAGED
  }
}

/** The type of a column's values and their subtype, as `aliasCode` has it. */
function codeOf({ name, declared = '', type }: Field): number {
  if (isColumnOf(declared, type)) return aliasCode(declared)
  const message = `"${name}", whose values are ${declared || 'of no known type'}, is not decoded as ${typeName(type)}.`
  throw new NebulaError('unsupported', { message })
}

/** UTF-8 as it is. */
function putText(out: BytesBuilder, { bytes, view }: Bson, start: number, end: number): number {
  const bits = putRun(out, bytes, start, end)
  const isAscii = bits < 0x80 || (end - start > LONG && isLongAscii(view, start, end))
  if (isAscii || isUtf8(bytes, start, end)) return HELD
  out.size -= end - start
  return MISFIT
}

/** Whether text of four bytes or more has none above 0x7f. */
function isLongAscii(view: DataView, start: number, end: number): boolean {
  let bits = view.getInt32(end - 4, true)
  for (let at = start; at < end - 4; at += 4) bits |= view.getInt32(at, true)
  return (bits & 0x80808080) === 0
}

/** Copies bytes; returns all of their bits, or more. */
function putRun(out: BytesBuilder, bytes: Uint8Array, start: number, end: number): number {
  out.ensure(end - start)
  const { data } = out
  let to = out.size
  out.size += end - start
  if (end - start > LONG) {
    data.set(bytes.subarray(start, end), to)
    return 0xff
  }
  let bits = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    bits |= byte
    data[to++] = byte
  }
  return bits
}
