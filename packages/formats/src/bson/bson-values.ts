import { HEX_VALUES } from '@nebula/core'

/** Pieces of BSON values and of the texts that stand for them. */

const WORD = 4_294_967_296
const ZERO = 0x30

/** Writes an integer that a double holds exactly as an int64. */
export function putLong(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / WORD)
  view.setInt32(at, (value - high * WORD) | 0, true)
  view.setInt32(at + 4, high, true)
}

/** Writes the name of an array's element, and its NUL; returns their end. */
export function putIndex(bytes: Uint8Array, at: number, index: number): number {
  let to = at + 1
  for (let rest = index; rest > 9; rest = (rest / 10) | 0) to++
  const end = to
  let rest = index
  do {
    const tens = (rest / 10) | 0
    bytes[--to] = ZERO + rest - tens * 10
    rest = tens
  } while (rest > 0)
  bytes[end] = 0
  return end + 1
}

/** Writes a code point as UTF-8; returns its end. */
export function putCodePoint(bytes: Uint8Array, at: number, point: number): number {
  let to = at
  if (point < 0x80) bytes[to++] = point
  else if (point < 0x800) bytes[to++] = 0xc0 | (point >> 6)
  else if (point < 0x10000) {
    bytes[to++] = 0xe0 | (point >> 12)
    bytes[to++] = 0x80 | ((point >> 6) & 0x3f)
  } else {
    bytes[to++] = 0xf0 | (point >> 18)
    bytes[to++] = 0x80 | ((point >> 12) & 0x3f)
    bytes[to++] = 0x80 | ((point >> 6) & 0x3f)
  }
  if (point >= 0x80) bytes[to++] = 0x80 | (point & 0x3f)
  return to
}

/** Writes the 12 bytes of an ObjectId from its hexadecimal digits at `from`; false when one is none. */
export function putObjectId(text: Uint8Array, from: number, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 12; i++) {
    const upper = HEX_VALUES[text[from + i * 2] as number] as number
    const lower = HEX_VALUES[text[from + i * 2 + 1] as number] as number
    if ((upper | lower) > 15) return false
    bytes[at + i] = (upper << 4) | lower
  }
  return true
}

/** The values of the letters of base64; -1 for other bytes. */
const SEXTETS = new Int8Array(256).fill(-1)
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
for (let value = 0; value < LETTERS.length; value++) SEXTETS[LETTERS.charCodeAt(value)] = value
const PADDING = 0x3d

/** Writes what `bytes[from] .. bytes[end]` are the padded base64 of to `at`; returns its end, -1 when they are none. */
export function putBase64(bytes: Uint8Array, from: number, end: number, at: number): number {
  if ((end - from) % 4 !== 0) return -1
  let last = end
  while (last > from && last > end - 2 && bytes[last - 1] === PADDING) last--
  let to = at
  for (let i = from; i < last; i += 4) {
    let group = 0
    for (let j = i; j < i + 4; j++) {
      const sextet = j < last ? (SEXTETS[bytes[j] as number] as number) : 0
      if (sextet < 0) return -1
      group = (group << 6) | sextet
    }
    bytes[to++] = group >> 16
    if (i + 2 < last) bytes[to++] = group >> 8
    if (i + 3 < last) bytes[to++] = group
  }
  return to
}

/** ASCII bytes as a string. */
export function ascii(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] as number)
  return text
}
