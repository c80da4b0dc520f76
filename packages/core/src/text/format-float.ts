import type { BytesBuilder } from '../builder.ts'
import type { FixedColumn } from '../column.ts'
import { POWERS_OF_TEN, viewOf } from './digits.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { writeExponential, writeFloat32, writeFloat64 } from './shortest.ts'
import { SLACK, trimmed, writeEight, writeLarge, writePadded, writeSmall } from './write-digits.ts'

/**
 * float32, float64: the shortest decimal that lies strictly nearer to the float than to any other, as PostgreSQL writes
 * it: fixed notation from 0.0001 up to below 10^6 (float32) or 10^15 (float64), else `1e+15`.
 */

const MINUS = 0x2d
const POINT = 0x2e
const POWERS = POWERS_OF_TEN

export function formatFloat64(column: FixedColumn, out: BytesBuilder, range: Range): void {
  const values = column.values as Float64Array
  const { validity } = column
  out.ensure(out.rows * 32 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  /** Digits behind the point in the row before: most columns have the same everywhere. */
  let places = 2
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const size = Math.abs(values[row] as number)
      if (!isScaled(size, places)) places = placesOf(size)
      if (places <= 8) {
        if ((values[row] as number) < 0) view.setUint8(at++, MINUS)
        const power = POWERS[places] as number
        const integer = Math.floor(size * power + 0.5)
        const whole = Math.floor(integer / power)
        const upper = (whole / 1e8) | 0
        const fraction = integer - whole * power
        at = writeLarge(view, at, upper, (whole - upper * 1e8) | 0)
        if (fraction > 0) at = writeFraction(view, at, fraction | 0, places)
      } else {
        at = writeFloat64(view, at, values[row] as number)
        places = 2
      }
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** A point and at most 12 digits of an integer below 2^31, without zeros at their end. */
function writeFraction(view: DataView, at: number, fraction: number, places: number): number {
  view.setUint8(at, POINT)
  if (places <= 8) return trimmed(view, writePadded(view, at + 1, fraction, places))
  const upper = (fraction / 1e8) | 0
  return trimmed(view, writeEight(view, writePadded(view, at + 1, upper, places - 8), fraction - upper * 1e8))
}

export function formatFloat32(column: FixedColumn, out: BytesBuilder, range: Range): void {
  const values = column.values as Float32Array
  const { validity } = column
  out.ensure(out.rows * 32 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const value = values[row] as number
      const size = Math.abs(value)
      const places = size >= SMALLEST && size < 2 ** 24 ? placesOf32(size) : 0
      const integer = nearest[0] as number
      if (!(size >= SMALLEST && size < 2 ** 24)) at = writeFloat32(view, at, value)
      else if (size >= 1e6) at = writeExponential(view, at, value, { digits: String(integer), places })
      else {
        if (value < 0) view.setUint8(at++, MINUS)
        const power = POWERS[places] as number
        const whole = Math.floor(integer / power)
        at = writeSmall(view, at, whole | 0)
        if (places > 0) at = writeFraction(view, at, (integer - whole * power) | 0, places)
      }
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** The float that is written as 0.0001 is smaller than that. */
const SMALLEST = Math.fround(1e-4)

const single = new Float32Array(1)
const singleBits = new Int32Array(single.buffer)
/** The result of `placesOf32`. */
const nearest = new Float64Array(1)

/**
 * The fewest places of a decimal that lies strictly nearer to a float from 0.0001 to below 2^24 than to any other; its
 * integer goes into `nearest`. All of this is exact: 24 bits of the float times 28 of `5 ** 12` fit into a double.
 */
function placesOf32(size: number): number {
  single[0] = size
  const word = singleBits[0] as number
  const above = 2 ** ((word >>> 23) - 151)
  const below = (word & 0x7fffff) === 0 ? above / 2 : above
  for (let places = 0; ; places++) {
    const power = POWERS[places] as number
    const floor = Math.floor(size * power)
    const toFloor = size * power - floor
    const isFloor = toFloor < below * power
    const isCeiling = 1 - toFloor < above * power
    if (!isFloor && !isCeiling) continue
    const nearer = toFloor < 0.5 || (toFloor === 0.5 && floor % 2 === 0)
    nearest[0] = isFloor && (nearer || !isCeiling) ? floor : floor + 1
    return places
  }
}

/**
 * True when `size` is the double nearest to an integer below 10^15 divided by `10 ** places`, at most 8 places, and
 * PostgreSQL writes no exponent. A decimal of at most 15 digits is the only one of them that reads as its double, so it
 * is the shortest, but for zeros at its end: the product is off by less than a half, so rounding it finds the integer,
 * and the quotient, rounded once, proves it. False for 0, because of its sign.
 */
function isScaled(size: number, places: number): boolean {
  const power = POWERS[places] as number
  const integer = Math.floor(size * power + 0.5)
  return integer < 1e15 && integer / power === size && size >= 1e-4
}

/** The places for which `isScaled`; 9 when there are none. */
function placesOf(size: number): number {
  let places = 8
  while (places > 0 && size * (POWERS[places] as number) >= 1e15) places--
  return isScaled(size, places) ? places : 9
}
