import type { BytesBuilder } from '../builder.ts'
import type { Fixed128Column } from '../column.ts'
import { DECIMAL_NAN_WORD } from '../column.ts'
import { divideScaled, negate } from '../words.ts'
import { viewOf } from './digits.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { writeEight, writeLarge, writePadded, writeText } from './write-digits.ts'

const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const WORD = 4_294_967_296

/** decimal: exactly `scale` digits behind the point; NaN. */
export function formatDecimal(column: Fixed128Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  const scale = column.type.kind === 'decimal' ? column.type.scale : 0
  const factor = scale <= 8 ? 10 ** scale : Infinity
  out.ensure(out.rows * MOST_BYTES + MOST_BYTES)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const size = sizeOf(words, row * 4)
      if (size <= Number.MAX_SAFE_INTEGER && factor <= 1e8) {
        if ((words[row * 4 + 3] as number) < 0) view.setUint8(at++, MINUS)
        const quotient = Math.floor(size / factor)
        // It may have been rounded up to the next integer.
        const whole = quotient * factor > size ? quotient - 1 : quotient
        const upper = (whole / 1e8) | 0
        at = writeLarge(view, at, upper, (whole - upper * 1e8) | 0)
        if (scale > 0) {
          view.setUint8(at, POINT)
          at = writePadded(view, at + 1, (size - whole * factor) | 0, scale)
        }
      } else {
        for (let word = 0; word < 4; word++) wide[word] = words[row * 4 + word] as number
        at = writeWide(view, at, scale)
      }
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** A sign, five groups of eight digits and a point. */
const MOST_BYTES = 42

/** The size of a decimal below 2^64 as the nearest double; Infinity for others. */
function sizeOf(words: Int32Array, at: number): number {
  const sign = words[at + 3] as number
  const low = (words[at] as number) >>> 0
  const high = words[at + 1] as number
  if (words[at + 2] !== sign || (sign !== 0 && sign !== -1)) return Infinity
  return sign === 0 ? (high >>> 0) * WORD + low : (~high >>> 0) * WORD + (WORD - low)
}

/** The value that `writeWide` writes. */
const wide = new Int32Array(4)

/** Any decimal: its 40 digits, then a shift of those that count. */
function writeWide(view: DataView, start: number, scale: number): number {
  let at = start
  const sign = wide[3] as number
  if (sign < 0) {
    if (sign === DECIMAL_NAN_WORD) return writeText(view, start, 'NaN')
    negate(wide, 0)
    view.setUint8(at++, MINUS)
  }
  for (let group = 4; group >= 0; group--) writeEight(view, at + group * 8, divideScaled(wide, 0, 100_000_000))
  const end = at + 40
  let digit = at
  while (digit < end - scale - 1 && view.getUint8(digit) === ZERO) digit++
  for (; digit < end - scale; digit++) view.setUint8(at++, view.getUint8(digit))
  if (scale === 0) return at
  // At most 39 digits are written, so the point stands before the digits that still have to move.
  view.setUint8(at++, POINT)
  for (; digit < end; digit++) view.setUint8(at++, view.getUint8(digit))
  return at
}
