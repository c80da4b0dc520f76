import type { BytesBuilder } from '@nebula/core'
import { isUtf8 } from '@nebula/core'

/** Text into the data of a bytes column, behind its `size`. */

const QUOTE = 0x22
const BACKSLASH = 0x5c
const ZERO = 0x30

/** How each byte of a string is written: 0 as it is; a letter: behind a backslash; 1: as the number of its character. */
const ESCAPES = new Uint8Array(256)
ESCAPES.fill(1, 0, 0x20)
for (const [character, letter] of ['""', '\\\\', '\bb', '\tt', '\nn', '\ff', '\rr'])
  ESCAPES[(character as string).charCodeAt(0)] = (letter as string).charCodeAt(0)

const HEX = bytesOf('0123456789abcdef')
const BASE64 = bytesOf('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
const PADDING = 0x3d

function bytesOf(ascii: string): Uint8Array {
  return Uint8Array.from(ascii, (character) => character.charCodeAt(0))
}

/** ASCII text. */
export function putAscii(out: BytesBuilder, text: string): void {
  out.ensure(text.length)
  const { data, size } = out
  for (let i = 0; i < text.length; i++) data[size + i] = text.charCodeAt(i)
  out.size += text.length
}

export function putByte(out: BytesBuilder, byte: number): void {
  out.ensure(1)
  out.data[out.size++] = byte
}

/** A JSON string of UTF-8; false, and nothing written, when the bytes are none. */
export function putString(out: BytesBuilder, bytes: Uint8Array, start: number, end: number): boolean {
  const begin = out.size
  out.ensure(end - start + 2)
  let { data } = out
  let to = begin
  let bits = 0
  data[to++] = QUOTE
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    bits |= byte
    const letter = ESCAPES[byte] as number
    if (letter === 0) {
      data[to++] = byte
      continue
    }
    out.size = to
    // The escape, the rest as it is, and the quote.
    out.ensure(7 + end - at)
    data = out.data
    to = putEscape(data, to, byte, letter)
  }
  data[to++] = QUOTE
  const valid = bits < 0x80 || isUtf8(bytes, start, end)
  out.size = valid ? to : begin
  return valid
}

function putEscape(data: Uint8Array, at: number, byte: number, letter: number): number {
  data[at] = BACKSLASH
  if (letter !== 1) {
    data[at + 1] = letter
    return at + 2
  }
  data[at + 1] = 0x75
  data[at + 2] = data[at + 3] = ZERO
  data[at + 4] = HEX[byte >> 4] as number
  data[at + 5] = HEX[byte & 15] as number
  return at + 6
}

/** Two lower-case hex digits a byte. */
export function putHex(out: BytesBuilder, bytes: Uint8Array, start: number, end: number): void {
  out.ensure((end - start) * 2)
  const { data } = out
  let to = out.size
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    data[to++] = HEX[byte >> 4] as number
    data[to++] = HEX[byte & 15] as number
  }
  out.size = to
}

/** Base64 with padding (RFC 4648, section 4). */
export function putBase64(out: BytesBuilder, bytes: Uint8Array, start: number, end: number): void {
  out.ensure(Math.ceil((end - start) / 3) * 4)
  const { data } = out
  let to = out.size
  for (let at = start; at < end; at += 3) {
    const left = end - at
    const second = left > 1 ? (bytes[at + 1] as number) : 0
    const third = left > 2 ? (bytes[at + 2] as number) : 0
    const word = ((bytes[at] as number) << 16) | (second << 8) | third
    data[to++] = BASE64[word >> 18] as number
    data[to++] = BASE64[(word >> 12) & 63] as number
    data[to++] = left > 1 ? (BASE64[(word >> 6) & 63] as number) : PADDING
    data[to++] = left > 2 ? (BASE64[word & 63] as number) : PADDING
  }
  out.size = to
}

/** At least `width` digits of an integer from 0 to 2^31. */
export function putPadded(out: BytesBuilder, value: number, width: number): void {
  let digits = 1
  for (let rest = value; rest > 9; rest = (rest / 10) | 0) digits++
  const length = Math.max(digits, width)
  out.ensure(length)
  const { data } = out
  let rest = value | 0
  for (let at = out.size + length - 1; at >= out.size; at--) {
    const quotient = (rest / 10) | 0
    data[at] = ZERO + rest - quotient * 10
    rest = quotient
  }
  out.size += length
}
