/**
 * Decimal digits into bytes, two to four at a time. Each function returns where the next byte goes. Words are written
 * whole: up to four bytes behind the text are overwritten, so there has to be room for them.
 */

/** Two digits of 0 to 99, the first in the low byte. */
const PAIRS = Uint16Array.from({ length: 100 }, (_, i) => (48 + Math.floor(i / 10)) | ((48 + (i % 10)) << 8))

/** Room that a text needs behind its end. */
export const SLACK = 4

/** The two digits of 0 to 99, the first in the low byte. */
export function pairOf(value: number): number {
  return PAIRS[value] as number
}

/** The four digits of 0 to 9999, the first in the lowest byte. */
export function fourOf(value: number): number {
  const upper = Math.imul(value, 5243) >>> 19
  return pairOf(upper) | (pairOf(value - upper * 100) << 16)
}

/** The eight digits of an integer below 10^8. */
export function writeEight(view: DataView, at: number, value: number): number {
  const upper = (value / 10_000) | 0
  view.setInt32(at, fourOf(upper), true)
  view.setInt32(at + 4, fourOf(value - upper * 10_000), true)
  return at + 8
}

/** An integer below 10^8. */
export function writeSmall(view: DataView, at: number, value: number): number {
  if (value < 10_000) return writeFew(view, at, value)
  const upper = (value / 10_000) | 0
  const next = writeFew(view, at, upper)
  view.setInt32(next, fourOf(value - upper * 10_000), true)
  return next + 4
}

/** An integer below 10^4. */
function writeFew(view: DataView, at: number, value: number): number {
  const length = value < 100 ? (value < 10 ? 1 : 2) : value < 1000 ? 3 : 4
  view.setInt32(at, fourOf(value) >>> ((4 - length) << 3), true)
  return at + length
}

/** An integer below 10^16, as the digits before the last eight, and those. */
export function writeLarge(view: DataView, at: number, upper: number, lower: number): number {
  return upper === 0 ? writeSmall(view, at, lower) : writeEight(view, writeSmall(view, at, upper), lower)
}

/** `width` digits, at most 8, of an integer that has no more. */
export function writePadded(view: DataView, at: number, value: number, width: number): number {
  if (width <= 4) {
    view.setInt32(at, fourOf(value) >>> ((4 - width) << 3), true)
    return at + width
  }
  const upper = (value / 10_000) | 0
  view.setInt32(at, fourOf(upper) >>> ((8 - width) << 3), true)
  view.setInt32(at + width - 4, fourOf(value - upper * 10_000), true)
  return at + width
}

/** ASCII text. */
export function writeText(view: DataView, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) view.setUint8(at + i, text.charCodeAt(i))
  return at + text.length
}

/** A point and microseconds without zeros at their end; nothing when they are zero. */
export function writeMicros(view: DataView, at: number, micros: number): number {
  if (micros === 0) return at
  const upper = (micros / 100) | 0
  view.setUint8(at, 0x2e)
  view.setInt32(at + 1, fourOf(upper), true)
  view.setInt16(at + 5, pairOf(micros - upper * 100), true)
  return trimmed(view, at + 7)
}

/** The end of a fraction without the zeros at its end. */
export function trimmed(view: DataView, end: number): number {
  let at = end
  while (view.getUint8(at - 1) === 0x30) at--
  return at
}
