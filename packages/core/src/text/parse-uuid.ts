import type { WordsBuilder } from '../builder.ts'
import { HEX_VALUES, UUID_PLACES } from './hex.ts'
import type { Slices } from './slices.ts'

/** uuid: 32 hex digits in any case, in braces or not, with a dash or none behind any four digits, as PostgreSQL reads it. */

const DASH = 0x2d
const OPEN = 0x7b
const CLOSE = 0x7d
const HEX = HEX_VALUES
const PLACES = UUID_PLACES

export function parseUuid(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { bytes } = builder
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    if (end - start === 36 && dashed(data, start, bytes, row * 16)) continue
    if (rareUuid(data.subarray(start, end), bytes, row * 16)) continue
    builder.setNull(row)
    onFault(row)
  }
}

/** The usual form, 8-4-4-4-12 digits; false when it is not that. */
function dashed(data: Uint8Array, start: number, out: Uint8Array, to: number): boolean {
  let wrong = (data[start + 8] as number) ^ DASH
  wrong |= (data[start + 13] as number) ^ DASH
  wrong |= (data[start + 18] as number) ^ DASH
  wrong |= (data[start + 23] as number) ^ DASH
  for (let i = 0; i < 16; i++) {
    const at = start + (PLACES[i] as number)
    const upper = HEX[data[at] as number] as number
    const lower = HEX[data[at + 1] as number] as number
    wrong |= (upper | lower) & 0xf0
    out[to + i] = (upper << 4) | lower
  }
  return wrong === 0
}

function rareUuid(text: Uint8Array, out: Uint8Array, to: number): boolean {
  const braces = text[0] === OPEN && text[text.length - 1] === CLOSE
  const end = braces ? text.length - 1 : text.length
  let digits = 0
  let dash = -1
  for (let i = braces ? 1 : 0; i < end; i++) {
    const byte = text[i] as number
    const value = HEX[byte] as number
    if (value < 16 && digits < 32) {
      const at = to + (digits >> 1)
      out[at] = digits % 2 === 0 ? value << 4 : (out[at] as number) | value
      digits++
    } else if (byte !== DASH || digits === 0 || digits % 4 !== 0 || digits === 32 || dash === digits) return false
    else dash = digits
  }
  return digits === 32
}
