import type { Column } from './column.ts'
import { isNull } from './column.ts'

/** A value at the edge. int64, uint64, decimal, time, timestamp are exact: BigInt of their unit; see `valueAt`. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Interval
  | Value[]
  | { [name: string]: Value }

export interface Interval {
  readonly months: number
  readonly days: number
  readonly micros: bigint
}

/** A byte order mark at the beginning of a value is part of it. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Row `row` of a column as a JavaScript value: bool as boolean; up to 32 bits and floats as number (date: days since
 * 1970); int64, uint64, time, timestamp as BigInt (microseconds); decimal as BigInt scaled by its scale; utf8, json,
 * numeric, uuid as string; binary and native as bytes, copied.
 */
export function valueAt(column: Column, row: number): Value {
  if (isNull(column, row)) return null
  switch (column.layout) {
    case 'bool':
      return ((column.bits[row >> 3] as number) & (1 << (row & 7))) !== 0
    case 'fixed':
      return column.values[row] as number
    case 'fixed64': {
      const low = BigInt((column.words[row * 2] as number) >>> 0)
      const high = column.words[row * 2 + 1] as number
      return (BigInt(column.type.kind === 'uint64' ? high >>> 0 : high) << 32n) | low
    }
    case 'fixed128':
      return wideValue(column.type.kind, column.words, row * 4)
    case 'bytes':
      return bytesValue(column.type.kind, column.data.slice(column.offsets[row], column.offsets[row + 1]))
    case 'dictionary':
      return valueAt(column.dictionary, column.indices[row] as number)
    case 'list': {
      const items: Value[] = []
      for (let i = column.offsets[row] as number; i < (column.offsets[row + 1] as number); i++)
        items.push(valueAt(column.child, i))
      return items
    }
    case 'struct':
      return structValue(column.type.kind === 'struct' ? column.type.fields : [], column.children, row)
  }
}

function structValue(fields: readonly { name: string }[], children: readonly Column[], row: number): Value {
  return Object.fromEntries(fields.map((field, i) => [field.name, valueAt(children[i] as Column, row)]))
}

function bytesValue(kind: string, bytes: Uint8Array): Value {
  return kind === 'binary' || kind === 'native' ? bytes : decoder.decode(bytes)
}

function wideValue(kind: string, words: Int32Array, at: number): Value {
  if (kind === 'uuid') {
    const bytes = new Uint8Array(words.buffer, words.byteOffset + at * 4, 16)
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }
  const word = (i: number): bigint => BigInt((words[at + i] as number) >>> 0)
  if (kind === 'interval') {
    const micros = BigInt.asIntN(64, (word(3) << 32n) | word(2))
    return { months: words[at] as number, days: words[at + 1] as number, micros }
  }
  return BigInt.asIntN(128, (word(3) << 96n) | (word(2) << 64n) | (word(1) << 32n) | word(0))
}
