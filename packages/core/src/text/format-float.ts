import type { BytesBuilder } from '../builder.ts'
import type { FixedColumn } from '../column.ts'
import { POWERS_OF_TEN } from './digits.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { shortestFloat32, shortestFloat64, writeShortest } from './shortest.ts'
import { writeLarge, writePadded } from './write-digits.ts'

/**
 * float32, float64: the shortest decimal that reads back as the same float and lies strictly nearer to it than to any
 * other, as PostgreSQL writes it: fixed notation from 0.0001 up to 10^6 (float32) or 10^15 (float64), else `1e+15`.
 */

const MINUS = 0x2d
const POINT = 0x2e
const POWERS = POWERS_OF_TEN

export function formatFloat64(column: FixedColumn, out: BytesBuilder, range: Range): void {
  const { values, validity } = column
  out.ensure(out.rows * 32)
  const { data, offsets } = out
  let at = 0
  /** Digits behind the point in the row before: most columns have the same everywhere. */
  let places = 2
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const value = values[row] as number
      if (!isScaled(value, places)) places = placesOf(value)
      if (places <= MOST_PLACES) at = writeFixed(data, at, value, places)
      else {
        at = writeShortest(data, at, shortestFloat64(value), 15)
        places = 2
      }
    }
    offsets[i + 1] = at
  }
  out.size = at
}

export function formatFloat32(column: FixedColumn, out: BytesBuilder, range: Range): void {
  const { values, validity } = column
  out.ensure(out.rows * 32)
  const { data, offsets } = out
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else at = writeShortest(data, at, shortestFloat32(values[row] as number), 6)
    offsets[i + 1] = at
  }
  out.size = at
}

/** More are slow to write, and 17 digits may be needed anyway. */
const MOST_PLACES = 14

/**
 * True when `value` is the double nearest to an integer below 10^15 divided by `10 ** places`. A decimal of at most 15
 * digits is the only one of them that reads as its double, so it is the shortest, but for zeros at its end: the product
 * is off by less than a half, so rounding it finds the integer, and the quotient, rounded once, proves it.
 * Values whose exponent PostgreSQL would write are left to others, and so is -0.
 */
function isScaled(value: number, places: number): boolean {
  const size = Math.abs(value)
  if (!(size >= 1e-4 && size < 1e15)) return false
  const power = POWERS[places] as number
  const integer = Math.round(size * power)
  return integer < 1e15 && integer / power === size
}

/** The places for which `isScaled`; more than `MOST_PLACES` when there are none. */
function placesOf(value: number): number {
  let places = MOST_PLACES
  let size = Math.abs(value)
  for (; size >= 10 && places > 0; size /= 10) places--
  return isScaled(value, places) ? places : MOST_PLACES + 1
}

/** A value for which `isScaled`, without zeros at the end of its fraction. */
function writeFixed(data: Uint8Array, start: number, value: number, places: number): number {
  let at = start
  if (value < 0) data[at++] = MINUS
  const size = Math.abs(value)
  const power = POWERS[places] as number
  const integer = Math.round(size * power)
  const whole = Math.floor(integer / power)
  const fraction = integer - whole * power
  at = writeLarge(data, at, whole)
  if (fraction === 0) return at
  data[at] = POINT
  if (places > 9) {
    const upper = Math.floor(fraction / 1e9)
    at = writePadded(data, writePadded(data, at + 1, upper, places - 9), fraction - upper * 1e9, 9)
  } else at = writePadded(data, at + 1, fraction, places)
  while (data[at - 1] === 0x30) at--
  return at
}
