import type { BytesBuilder } from '../builder.ts'
import { viewOf } from './digits.ts'
import { HEX_VALUES } from './hex.ts'
import { isJson } from './json-check.ts'
import type { Slices } from './slices.ts'
import { isUtf8 } from './utf8-check.ts'

/**
 * utf8: valid UTF-8. json: valid JSON in valid UTF-8. numeric: a decimal number with or without an exponent, `NaN`,
 * `Infinity`, `-Infinity`. These three keep their bytes. binary: `\x` and pairs of hex digits.
 */

const PLUS = 0x2b
const MINUS = 0x2d
const POINT = 0x2e
const HEX = HEX_VALUES

export function parseUtf8(slices: Slices, builder: BytesBuilder, onFault: (row: number) => void): void {
  copyRows(slices, builder)
  if (!isAscii(builder.data, builder.size)) removeFaulty(builder, isUtf8, onFault)
}

export function parseJson(slices: Slices, builder: BytesBuilder, onFault: (row: number) => void): void {
  copyRows(slices, builder)
  const check = isAscii(builder.data, builder.size) ? isJson : isUtf8Json
  removeFaulty(builder, check, onFault)
}

export function parseNumeric(slices: Slices, builder: BytesBuilder, onFault: (row: number) => void): void {
  copyRows(slices, builder)
  removeFaulty(builder, isNumeric, onFault)
}

export function parseBinary(slices: Slices, builder: BytesBuilder, onFault: (row: number) => void): void {
  const { starts, ends, base, stride, rows } = slices
  builder.ensure(bytesOf(slices) >> 1)
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.appendNull(row)
      continue
    }
    const end = ends[at] as number
    const marked = slices.data[start] === 0x5c && slices.data[start + 1] === 0x78 && (end - start) % 2 === 0
    if (marked && end > start && appendHex(slices.data, start + 2, end, builder))
      builder.offsets[row + 1] = builder.size
    else {
      builder.appendNull(row)
      onFault(row)
    }
  }
}

/** Appends the bytes that pairs of hex digits stand for; false, and nothing appended, when one is no digit. */
function appendHex(data: Uint8Array, start: number, end: number, builder: BytesBuilder): boolean {
  const out = builder.data
  let to = builder.size
  let wrong = 0
  for (let i = start; i < end; i += 2) {
    const upper = HEX[data[i] as number] as number
    const lower = HEX[data[i + 1] as number] as number
    wrong |= upper | lower
    out[to++] = (upper << 4) | lower
  }
  if (wrong > 15) return false
  builder.size = to
  return true
}

/** Bytes of all texts together. */
function bytesOf(slices: Slices): number {
  const { starts, ends, base, stride, rows } = slices
  let total = 0
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start >= 0) total += (ends[at] as number) - start
  }
  return total
}

/** Copies every text as it is: short ones in words, which may write up to three bytes more than the text has. */
function copyRows(slices: Slices, builder: BytesBuilder): void {
  const { data, starts, ends, base, stride, rows } = slices
  builder.ensure(bytesOf(slices) + 3)
  const { data: out, offsets } = builder
  const from = viewOf(data)
  const into = viewOf(out)
  const last = data.byteLength - 4
  let to = 0
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    const end = ends[at] as number
    const next = to + end - start
    if (start < 0) builder.setNull(row)
    else {
      if (end - start > 64 || end > last) out.set(data.subarray(start, end), to)
      else for (let i = start; i < end; i += 4, to += 4) into.setInt32(to, from.getInt32(i, true), true)
      to = next
    }
    offsets[row + 1] = to
  }
  builder.size = to
}

/** True when no byte of the first `size` has its highest bit set. `data` begins on an 8-byte boundary. */
function isAscii(data: Uint8Array, size: number): boolean {
  const words = new Int32Array(data.buffer, data.byteOffset, size >> 2)
  let bits = 0
  for (let i = 0; i < words.length; i++) bits |= words[i] as number
  for (let i = size & ~3; i < size; i++) bits |= data[i] as number
  return (bits & 0x80808080) === 0
}

type Check = (data: Uint8Array, start: number, end: number) => boolean

/** Sets the rows null that do not pass `check`, and closes the gaps that their bytes leave. */
function removeFaulty(builder: BytesBuilder, check: Check, onFault: (row: number) => void): void {
  const { data, offsets, validity, rows } = builder
  let start = 0
  let removed = 0
  for (let row = 0; row < rows; row++) {
    const end = offsets[row + 1] as number
    const valid = ((validity[row >> 3] as number) & (1 << (row & 7))) !== 0
    if (valid && !check(data, start, end)) {
      builder.setNull(row)
      onFault(row)
      removed += end - start
    } else if (removed > 0) data.copyWithin(start - removed, start, end)
    offsets[row + 1] = end - removed
    start = end
  }
  builder.size -= removed
}

function isUtf8Json(data: Uint8Array, start: number, end: number): boolean {
  return isUtf8(data, start, end) && isJson(data, start, end)
}

/** A decimal number: `[+-]digits[.digits][e[+-]digits]`, with digits on at least one side of the point. */
function isNumeric(data: Uint8Array, start: number, end: number): boolean {
  const sign = data[start]
  const from = start < end && (sign === MINUS || sign === PLUS) ? start + 1 : start
  let at = digitsEnd(data, from, end)
  let digits = at - from
  if (at < end && data[at] === POINT) {
    const fraction = at + 1
    at = digitsEnd(data, fraction, end)
    digits += at - fraction
  }
  if (digits === 0) return isSpecial(data, start, end)
  if (at === end) return true
  if (((data[at] as number) | 32) !== 0x65) return false
  const next = data[at + 1]
  const exponent = at + 1 < end && (next === MINUS || next === PLUS) ? at + 2 : at + 1
  return exponent < end && digitsEnd(data, exponent, end) === end
}

function digitsEnd(data: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && ((data[at] as number) - 48) >>> 0 <= 9) at++
  return at
}

function isSpecial(data: Uint8Array, start: number, end: number): boolean {
  const text = String.fromCharCode(...data.subarray(start, Math.min(end, start + 10)))
  return text === 'NaN' || text === 'Infinity' || text === '-Infinity'
}
