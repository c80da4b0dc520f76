import type { BytesBuilder } from '../builder.ts'
import type { Fixed64Column, FixedColumn } from '../column.ts'
import { viewOf } from './digits.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { SLACK, writeEight, writeLarge } from './write-digits.ts'

const MINUS = 0x2d
const WORD = 4_294_967_296

/** int8, int16, int32, uint8, uint16, uint32. */
export function formatIntegers(column: FixedColumn, out: BytesBuilder, range: Range): void {
  const { values, validity } = column
  out.ensure(out.rows * 11 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const value = values[row] as number
      const size = value < 0 ? -value : value
      const upper = (size / 1e8) | 0
      if (value < 0) view.setUint8(at++, MINUS)
      at = writeLarge(view, at, upper, (size - upper * 1e8) | 0)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** int64, uint64. */
export function formatInt64(column: Fixed64Column, out: BytesBuilder, range: Range): void {
  const { words, validity, type } = column
  const signed = type.kind === 'int64'
  out.ensure(out.rows * 20 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      let low = words[row * 2] as number
      let high = words[row * 2 + 1] as number
      if (signed && high < 0) {
        view.setUint8(at++, MINUS)
        high = low === 0 ? -high | 0 : ~high
        low = -low | 0
      }
      const size = (high >>> 0) * WORD + (low >>> 0)
      if (size < 9e15) {
        const upper = (size / 1e8) | 0
        at = writeLarge(view, at, upper, (size - upper * 1e8) | 0)
      } else at = writeWords(view, at, low, high)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/**
 * The unsigned 64-bit integer of two words, at least 9 * 10^15. The quotient may be off by one, because its dividend is
 * rounded; the remainder is exact by wrapping multiplication, and tells.
 */
function writeWords(view: DataView, at: number, low: number, high: number): number {
  let upper = Math.floor(((high >>> 0) * WORD + (low >>> 0)) / 1e8)
  let lower = (low - Math.imul(upper, 100_000_000)) | 0
  if (lower < 0) {
    lower += 100_000_000
    upper--
  } else if (lower >= 100_000_000) {
    lower -= 100_000_000
    upper++
  }
  const top = Math.floor(upper / 1e8)
  return writeEight(view, writeLarge(view, at, top, upper - top * 1e8), lower)
}
