import type { BytesBuilder } from '../builder.ts'
import type { Fixed128Column } from '../column.ts'
import { HIGH_WORD_MAX, HIGH_WORD_MIN } from '../column.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { writeLarge, writeMicros, writeText } from './write-digits.ts'

const MINUS = 0x2d
const WORD = 4_294_967_296

/** interval: ISO 8601 with a sign per part, as `EncodeInterval` of PostgreSQL writes it; the infinities. */
export function formatInterval(column: Fixed128Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  out.ensure(out.rows * 72)
  const { data, offsets } = out
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else at = writeInterval(data, at, words, row * 4)
    offsets[i + 1] = at
  }
  out.size = at
}

function writeInterval(data: Uint8Array, start: number, words: Int32Array, from: number): number {
  const months = words[from] as number
  const days = words[from + 1] as number
  const low = words[from + 2] as number
  const high = words[from + 3] as number
  if (months === HIGH_WORD_MAX && days === months && high === months && low === -1)
    return writeText(data, start, 'infinity')
  if (months === HIGH_WORD_MIN && days === months && high === months && low === 0)
    return writeText(data, start, '-infinity')
  if ((months | days | low | high) === 0) return writeText(data, start, 'PT0S')
  const years = Math.trunc(months / 12)
  let at = writeText(data, start, 'P')
  at = writePart(data, at, years, 'Y')
  at = writePart(data, at, months - years * 12, 'M')
  at = writePart(data, at, days, 'D')
  return (low | high) === 0 ? at : writeSpan(data, at, low, high)
}

/** The hours, minutes and seconds of microseconds in two words that are not both zero. */
function writeSpan(data: Uint8Array, start: number, low: number, high: number): number {
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
  let at = writeText(data, start, 'T')
  at = writePart(data, at, hours, 'H')
  at = writePart(data, at, minutes - hours * 60, 'M')
  const rest = seconds - minutes * 60
  if (rest === 0 && fraction === 0) return at
  if (rest < 0 || fraction < 0) data[at++] = MINUS
  at = writeMicros(data, writeLarge(data, at, Math.abs(rest)), Math.abs(fraction))
  return writeText(data, at, 'S')
}

/** A signed number and its unit; nothing for zero. */
function writePart(data: Uint8Array, start: number, value: number, unit: string): number {
  if (value === 0) return start
  let at = start
  if (value < 0) data[at++] = MINUS
  return writeText(data, writeLarge(data, at, Math.abs(value)), unit)
}
