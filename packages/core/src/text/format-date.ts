import type { BytesBuilder } from '../builder.ts'
import { civilFromCommon, civilFromDays, DAY_MICROS, DAY_WORD, daysFromCivil, wrapsAround } from '../calendar.ts'
import type { Fixed64Column, FixedColumn } from '../column.ts'
import { DATE_INFINITY, DATE_MINUS_INFINITY, HIGH_WORD_MAX, HIGH_WORD_MIN } from '../column.ts'
import { viewOf } from './digits.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { fourOf, pairOf, SLACK, writeMicros, writePadded, writeSmall, writeText } from './write-digits.ts'

const BLANK = 0x20
const WORD = 4_294_967_296

/** date: `YYYY-MM-DD`, longer years as they are, ` BC`, the infinities. */
export function formatDate(column: FixedColumn, out: BytesBuilder, range: Range): void {
  const { values, validity } = column
  out.ensure(out.rows * 20 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const days = values[row] as number
      if (days >= FIRST_COMMON && days <= LAST_COMMON) at = writeCommon(view, at, civilFromCommon(days))
      else at = writeRareDate(view, at, days)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** time: `HH:MM:SS[.ffffff]`. */
export function formatTime(column: Fixed64Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  out.ensure(out.rows * 16 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const micros = (words[row * 2 + 1] as number) * WORD + ((words[row * 2] as number) >>> 0)
      const seconds = (micros / 1e6) | 0
      at = writeMicros(view, writeClock(view, at, seconds), (micros - seconds * 1e6) | 0)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** timestamp: a date, a blank, a time, `+00` with zone, ` BC`; the infinities. */
export function formatTimestamp(column: Fixed64Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  const zone = column.type.kind === 'timestamp' && column.type.zone
  out.ensure(out.rows * 36 + SLACK)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const high = words[row * 2 + 1] as number
      if (high >= FIRST_HIGH && high < LAST_HIGH) {
        const micros = high * WORD + ((words[row * 2] as number) >>> 0)
        const days = Math.floor(micros / DAY_MICROS) | 0
        const ofDay = micros - days * DAY_MICROS
        const seconds = (ofDay / 1e6) | 0
        at = writeCommon(view, at, civilFromCommon(days))
        view.setUint8(at, BLANK)
        at = writeMicros(view, writeClock(view, at + 1, seconds), (ofDay - seconds * 1e6) | 0)
        if (zone) at = writeZone(view, at)
      } else at = writeRareTimestamp(view, at, words.subarray(row * 2, row * 2 + 2), zone)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** Days of the years 1 to 9999. */
const FIRST_COMMON = daysFromCivil(1, 1, 1)
const LAST_COMMON = daysFromCivil(9999, 12, 31)
/** High words whose timestamps are exact as a double and of common years: 1697 to 2242. */
const FIRST_HIGH = -(2 ** 21) + 1
const LAST_HIGH = 2 ** 21

/** A packed date of a year from 1 to 9999. */
function writeCommon(view: DataView, at: number, civil: number): number {
  view.setInt32(at, fourOf(civil >> 9), true)
  view.setInt32(at + 4, 0x2d00002d | (pairOf((civil >> 5) & 15) << 8), true)
  view.setInt16(at + 8, pairOf(civil & 31), true)
  return at + 10
}

/** Seconds of a day as `HH:MM:SS`. */
function writeClock(view: DataView, at: number, seconds: number): number {
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  const minute = pairOf(minutes - hours * 60)
  view.setInt32(at, pairOf(hours) | 0x3a0000 | (minute << 24), true)
  view.setInt32(at + 4, (minute >> 8) | 0x3a00 | (pairOf(seconds - minutes * 60) << 16), true)
  return at + 8
}

function writeZone(view: DataView, at: number): number {
  view.setInt32(at, 0x30302b, true)
  return at + 3
}

function writeRareDate(view: DataView, start: number, days: number): number {
  if (days === DATE_INFINITY) return writeText(view, start, 'infinity')
  if (days === DATE_MINUS_INFINITY) return writeText(view, start, '-infinity')
  const civil = civilFromDays(days)
  const at = writeAnyDate(view, start, civil)
  return isBeforeChrist(civil) ? writeText(view, at, ' BC') : at
}

/** Year 0 is 1 BC, and its packed dates are below 512. */
function isBeforeChrist(civil: number): boolean {
  return civil < 512
}

/** A packed date of any year, years before Christ by their number. */
function writeAnyDate(view: DataView, start: number, civil: number): number {
  const astronomical = Math.floor(civil / 512)
  const year = isBeforeChrist(civil) ? 1 - astronomical : astronomical
  const at = year < 10_000 ? writePadded(view, start, year, 4) : writeSmall(view, start, year)
  view.setInt32(at, 0x2d00002d | (pairOf((civil >> 5) & 15) << 8), true)
  view.setInt16(at + 4, pairOf(civil & 31), true)
  return at + 6
}

/**
 * A timestamp outside the doubles' exact range, or the infinities. The microseconds of the day are the low word of the
 * difference, which is exact by wrapping arithmetic, with the high word that the rounded one has.
 */
function writeRareTimestamp(view: DataView, start: number, words: Int32Array, zone: boolean): number {
  const low = words[0] as number
  const high = words[1] as number
  if (high === HIGH_WORD_MAX && low === -1) return writeText(view, start, 'infinity')
  if (high === HIGH_WORD_MIN && low === 0) return writeText(view, start, '-infinity')
  const value = high * WORD + (low >>> 0) + (wrapsAround(high) ? 2 ** 64 : 0)
  const rounded = Math.floor(value / DAY_MICROS)
  const word = (low - Math.imul(rounded, DAY_WORD)) >>> 0
  const ofRounded = word + Math.floor((value - rounded * DAY_MICROS - word) / WORD + 0.5) * WORD
  const days = rounded + Math.floor(ofRounded / DAY_MICROS)
  const micros = ofRounded - (days - rounded) * DAY_MICROS
  const seconds = Math.floor(micros / 1e6)
  const civil = civilFromDays(days)
  let at = writeText(view, writeAnyDate(view, start, civil), ' ')
  at = writeMicros(view, writeClock(view, at, seconds), micros - seconds * 1e6)
  if (zone) at = writeZone(view, at)
  return isBeforeChrist(civil) ? writeText(view, at, ' BC') : at
}
