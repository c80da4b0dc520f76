import type { BytesBuilder } from '../builder.ts'
import type { Fixed128Column } from '../column.ts'
import { HIGH_WORD_MAX, HIGH_WORD_MIN } from '../column.ts'
import { viewOf } from './digits.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { SLACK, writeLarge, writeMicros, writeSmall, writeText } from './write-digits.ts'

const MINUS = 0x2d
const WORD = 4_294_967_296

/** interval: ISO 8601 with a sign per part, as `EncodeInterval` of PostgreSQL writes it; the infinities. */
export function formatInterval(column: Fixed128Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  out.ensure(out.rows * 72 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else at = writeInterval(view, at, words, row * 4)
    offsets[i + 1] = at
  }
  out.size = at
}

function writeInterval(view: DataView, start: number, words: Int32Array, from: number): number {
  const months = words[from] as number
  const days = words[from + 1] as number
  const low = words[from + 2] as number
  const high = words[from + 3] as number
  if (months === HIGH_WORD_MAX && days === months && high === months && low === -1)
    return writeText(view, start, 'infinity')
  if (months === HIGH_WORD_MIN && days === months && high === months && low === 0)
    return writeText(view, start, '-infinity')
  if ((months | days | low | high) === 0) return writeText(view, start, 'PT0S')
  const years = Math.trunc(months / 12)
  let at = writeText(view, start, 'P')
  at = writePart(view, at, years, 'Y')
  at = writePart(view, at, months - years * 12, 'M')
  at = writePart(view, at, days, 'D')
  return (low | high) === 0 ? at : writeSpan(view, at, low, high)
}

/** The hours, minutes and seconds of microseconds in two words that are not both zero. */
function writeSpan(view: DataView, start: number, low: number, high: number): number {
  const micros = high * WORD + (low >>> 0)
  let seconds = Math.trunc(micros / 1e6)
  let fraction = micros - seconds * 1e6
  if (!Number.isSafeInteger(micros)) {
    const exact = (BigInt(high) << 32n) | BigInt(low >>> 0)
    seconds = Number(exact / 1_000_000n)
    fraction = Number(exact % 1_000_000n)
  }
  const minutes = Math.trunc(seconds / 60)
  const hours = Math.trunc(minutes / 60)
  let at = writeText(view, start, 'T')
  at = writePart(view, at, hours, 'H')
  at = writePart(view, at, minutes - hours * 60, 'M')
  const rest = seconds - minutes * 60
  if (rest === 0 && fraction === 0) return at
  if (rest < 0 || fraction < 0) view.setUint8(at++, MINUS)
  at = writeMicros(view, writeSmall(view, at, Math.abs(rest)), Math.abs(fraction))
  return writeText(view, at, 'S')
}

/** A signed number and its unit; nothing for zero. */
function writePart(view: DataView, start: number, value: number, unit: string): number {
  if (value === 0) return start
  let at = start
  if (value < 0) view.setUint8(at++, MINUS)
  const size = Math.abs(value)
  const upper = Math.floor(size / 1e8)
  return writeText(view, writeLarge(view, at, upper, size - upper * 1e8), unit)
}
