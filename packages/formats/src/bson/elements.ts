import { viewOf } from '@nebula/core'
/**
 * What BSON documents are made of (bsonspec.org, version 1.1): an int32 length, elements, a NUL. An element is a type
 * byte, a name that ends with NUL, and a value. All numbers are little-endian.
 */

export const DOUBLE = 1
export const STRING = 2
export const OBJECT = 3
export const ARRAY = 4
export const BINARY = 5
export const UNDEFINED = 6
export const OBJECT_ID = 7
export const BOOL = 8
export const DATE = 9
export const NULL = 10
export const REGEX = 11
export const DB_POINTER = 12
export const CODE = 13
export const SYMBOL = 14
export const CODE_WITH_SCOPE = 15
export const INT = 16
export const TIMESTAMP = 17
export const LONG = 18
export const DECIMAL = 19
export const MAX_KEY = 127
export const MIN_KEY = 255

/** Subtypes of `BINARY`. */
export const OLD_BINARY = 2
export const UUID = 4

/** Bytes that hold BSON; `view` is over `bytes`. */
export interface Bson {
  readonly bytes: Uint8Array
  readonly view: DataView
}

export function bsonOf(bytes: Uint8Array): Bson {
  return { bytes, view: viewOf(bytes) }
}

/** Sizes of values by type; -1: as the value says; -2: there is no such type. */
const SIZES = new Int8Array(256).fill(-2)
for (const type of [STRING, OBJECT, ARRAY, BINARY, REGEX, DB_POINTER, CODE, SYMBOL, CODE_WITH_SCOPE]) SIZES[type] = -1
for (const type of [UNDEFINED, NULL, MIN_KEY, MAX_KEY]) SIZES[type] = 0
for (const type of [DOUBLE, DATE, TIMESTAMP, LONG]) SIZES[type] = 8
SIZES[OBJECT_ID] = 12
SIZES[BOOL] = 1
SIZES[INT] = 4
SIZES[DECIMAL] = 16

/**
 * The end of a value that begins at `at` in a document whose last byte is at `last`; -1 when it has no such type, or does
 * not fit, or does not end as it must. What is nested in it is not looked at.
 */
export function valueEnd(bson: Bson, type: number, at: number, last: number): number {
  const size = SIZES[type] as number
  const end = size >= 0 ? at + size : size === -1 ? variableEnd(bson, type, at, last) : -1
  return end <= last ? end : -1
}

function variableEnd(bson: Bson, type: number, at: number, last: number): number {
  if (type === REGEX) {
    const pattern = nameEnd(bson.bytes, at, last)
    return pattern < 0 ? -1 : nameEnd(bson.bytes, pattern + 1, last) + 1 || -1
  }
  if (at + 4 > last) return -1
  const length = bson.view.getInt32(at, true)
  switch (type) {
    case OBJECT:
    case ARRAY:
      return documentEnd(bson, at, last)
    case BINARY:
      return length >= 0 ? at + 5 + length : -1
    case DB_POINTER: {
      const end = stringEnd(bson, at, last)
      return end < 0 ? -1 : end + 12
    }
    case CODE_WITH_SCOPE: {
      const code = length >= 14 ? stringEnd(bson, at + 4, last) : -1
      return code > 0 && documentEnd(bson, code, last) === at + length ? at + length : -1
    }
    default:
      return stringEnd(bson, at, last)
  }
}

function documentEnd({ bytes, view }: Bson, at: number, last: number): number {
  const length = at + 5 <= last ? view.getInt32(at, true) : 0
  const end = at + length
  return length >= 5 && end <= last && bytes[end - 1] === 0 ? end : -1
}

function stringEnd({ bytes, view }: Bson, at: number, last: number): number {
  const length = at + 5 <= last ? view.getInt32(at, true) : 0
  const end = at + 4 + length
  return length >= 1 && end <= last && bytes[end - 1] === 0 ? end : -1
}

/** Where the NUL of a name lies that begins at `at`; -1 when there is none before `last`. */
export function nameEnd(bytes: Uint8Array, at: number, last: number): number {
  let end = at
  while (end < last && bytes[end] !== 0) end++
  return end < last ? end : -1
}

/** Where the scope of a code with scope begins; its end is that of the value. */
export function scopeStart({ view }: Bson, at: number): number {
  return at + 8 + view.getInt32(at + 4, true)
}

/** True when `start` to `end` is one document whose length fits and which ends with NUL. */
export function isFramed({ bytes, view }: Bson, start: number, end: number): boolean {
  if (end > bytes.length || end - start < 5) return false
  return view.getInt32(start, true) === end - start && bytes[end - 1] === 0
}

/** True when `start` to `end` is one document, with all that is nested in it; depth is bounded by memory alone. */
export function isWellFormed(bson: Bson, start: number, end: number): boolean {
  if (!isFramed(bson, start, end)) return false
  const { bytes } = bson
  /** Where the documents that are open end, outermost first. */
  const open = [end - 1]
  let at = start + 4
  for (let last = end - 1; ;) {
    if (at === last) {
      open.pop()
      at = last + 1
      if (open.length === 0) return true
      last = open[open.length - 1] as number
      continue
    }
    const type = bytes[at] as number
    const name = nameEnd(bytes, at + 1, last)
    const next = name < 0 ? -1 : valueEnd(bson, type, name + 1, last)
    if (next < 0) return false
    at = next
    if (type === OBJECT || type === ARRAY || type === CODE_WITH_SCOPE) {
      at = (type === CODE_WITH_SCOPE ? scopeStart(bson, name + 1) : name + 1) + 4
      last = next - 1
      open.push(last)
    }
  }
}
