import type { BytesBuilder } from '../builder.ts'
import type { Fixed128Column } from '../column.ts'
import { DECIMAL_NAN_WORD } from '../column.ts'
import { divideByBillion, magnitude, negate } from '../words.ts'
import { POWERS_OF_TEN } from './digits.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { writeLarge, writePadded, writeText } from './write-digits.ts'

const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const WORD = 4_294_967_296
/** The high word of 2^53. */
const HIGH = 2 ** 21

/** decimal: exactly `scale` digits behind the point; NaN. */
export function formatDecimal(column: Fixed128Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  const scale = column.type.kind === 'decimal' ? column.type.scale : 0
  const factor = POWERS_OF_TEN[Math.min(scale, 22)] as number
  out.ensure(out.rows * 42)
  const { data, offsets } = out
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const value = shortDecimal(words, row * 4)
      if (value === value && scale <= 18) {
        if (value < 0) data[at++] = MINUS
        at = writeScaled(data, at, Math.abs(value), { scale, factor })
      } else at = writeWide(data, at, words.subarray(row * 4, row * 4 + 4), scale)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** A decimal between -2^53 and 2^53 as a number; NaN for others. */
function shortDecimal(words: Int32Array, at: number): number {
  const high = words[at + 1] as number
  const sign = words[at + 3] as number
  if (words[at + 2] !== sign || sign !== high >> 31 || high >= HIGH || high < -HIGH) return NaN
  return high * WORD + ((words[at] as number) >>> 0)
}

/** A number below 2^53 with a point before its last `scale` digits, at most 18. */
function writeScaled(
  data: Uint8Array,
  at: number,
  value: number,
  { scale, factor }: { readonly scale: number; readonly factor: number },
): number {
  if (scale === 0) return writeLarge(data, at, value)
  let whole = Math.floor(value / factor)
  let fraction = value - whole * factor
  // The quotient may have been rounded up to the next integer.
  if (fraction < 0) {
    whole--
    fraction += factor
  }
  const point = writeLarge(data, at, whole)
  data[point] = POINT
  if (scale <= 9) return writePadded(data, point + 1, fraction, scale)
  const upper = Math.floor(fraction / 1e9)
  return writePadded(data, writePadded(data, point + 1, upper, scale - 9), fraction - upper * 1e9, 9)
}

/** Any decimal, nine digits at a time. */
function writeWide(data: Uint8Array, start: number, words: Int32Array, scale: number): number {
  magnitude.set(words)
  let at = start
  if ((words[3] as number) < 0) {
    if (words[3] === DECIMAL_NAN_WORD) return writeText(data, start, 'NaN')
    negate(magnitude, 0)
    data[at++] = MINUS
  }
  // 38 digits and a zero fit into five groups; they are cut to the digits that count.
  for (let group = 4; group >= 0; group--) writePadded(data, at + group * 9, divideByBillion(), 9)
  const end = at + 45
  let first = at
  while (first < end - scale - 1 && data[first] === ZERO) first++
  data.copyWithin(at, first, end - scale)
  const point = at + end - scale - first
  if (scale === 0) return point
  data.copyWithin(point + 1, end - scale, end)
  data[point] = POINT
  return point + 1 + scale
}
