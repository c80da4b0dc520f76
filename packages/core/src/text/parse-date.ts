import type { FixedBuilder, WordsBuilder } from '../builder.ts'
import {
  DAY_MICROS,
  DAY_WORD,
  daysFromCivil,
  daysFromCommon,
  daysInMonth,
  FIRST_DAY,
  LAST_DATE_DAY,
  LAST_TIMESTAMP_DAY,
} from '../calendar.ts'
import { DATE_INFINITY, DATE_MINUS_INFINITY, HIGH_WORD_MAX, HIGH_WORD_MIN } from '../column.ts'
import { asciiText, digitsOf, fourDigits, isWord, twoDigits, viewOf } from './digits.ts'
import type { Slices } from './slices.ts'

/**
 * date: `YYYY-MM-DD`, years of four to seven digits, ` BC`, infinity, -infinity; PostgreSQL's range, 4713 BC to 5874897.
 * time: `HH:MM[:SS[.ffffff]]` up to 24:00:00. timestamp: a date, then a blank or `T` and a time unless it is midnight;
 * with zone also `Z`, `+HH`, `+HHMM`, `+HH:MM`, `+HH:MM:SS`, and none means UTC; up to the year 294276.
 * A second of 60 is a fault, and so are digits below the microsecond that are not zeros.
 */

const PLUS = 0x2b
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const COLON = 0x3a
const BLANK = 0x20
const UPPER_T = 0x54
const UPPER_Z = 0x5a
const WORD = 4_294_967_296
/** No day, no time: outside every range, and a small integer for the machine. */
const NONE = -0x7fffffff
const POWERS = Int32Array.of(1, 10, 100, 1000, 10_000, 100_000, 1_000_000)

export function parseDate(slices: Slices, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { values } = builder
  const view = viewOf(data)
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    let days = end - start === 10 ? shortDate(view, start) : NONE
    if (days === NONE) days = longDate(data, start, end)
    values[row] = days
    if (days === NONE) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

export function parseTime(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { words } = builder
  const view = viewOf(data)
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const seconds = secondsOf(view, start, end)
    const fraction = fractionOf(view, start + 8, end)
    const micros = seconds * 1e6 + fraction
    if ((seconds | fraction) >= 0 && micros <= DAY_MICROS) {
      words[row * 2] = micros
      words[row * 2 + 1] = micros / WORD
    } else {
      builder.setNull(row)
      onFault(row)
    }
  }
}

export function parseTimestamp(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { words } = builder
  const view = viewOf(data)
  const zone = builder.type.kind === 'timestamp' && builder.type.zone
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const tail = zone ? zeroOffset(data, end) : end
    const days = tail - start >= 16 && isSeparator(view.getUint8(start + 10)) ? shortDate(view, start) : NONE
    const seconds = secondsOf(view, start + 11, tail)
    const fraction = fractionOf(view, start + 19, tail)
    const micros = seconds * 1e6 + fraction
    if (days !== NONE && (seconds | fraction) >= 0 && micros <= DAY_MICROS) {
      // days * DAY_MICROS + micros: the low word wraps, and the error of the double vanishes in the high one.
      const low = (Math.imul(days, DAY_WORD) + micros) | 0
      words[row * 2] = low
      words[row * 2 + 1] = Math.floor((days * DAY_MICROS + micros - (low >>> 0)) / WORD + 0.5)
    } else if (!longTimestamp(data.subarray(start, end), zone, words, row * 2)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/**
 * `YYYY-MM-DD` at `start`; `NONE` when it is not that, or the year 0. With the bits of `0` and `-` flipped, digits are 0
 * to 9 and dashes 0: only then none of these words and sums has the highest bit of a byte.
 */
function shortDate(view: DataView, start: number): number {
  const years = view.getInt32(start, true) ^ 0x30303030
  const months = view.getInt32(start + 4, true) ^ 0x2d30302d
  const days = view.getUint16(start + 8, true) ^ 0x3030
  const bits = years | (years + 0x76767676) | months | (months + 0x7f76767f) | days | (days + 0x7676)
  const year = fourDigits(years)
  const month = ((months >> 8) & 15) * 10 + (months >> 16)
  const day = (days & 15) * 10 + (days >> 8)
  if ((bits & 0x80808080) !== 0 || year === 0 || month < 1 || month > 12 || day < 1) return NONE
  return day > 28 && day > daysInMonth(year, month) ? NONE : daysFromCommon(year, month, day)
}

/** `HH:MM` or `HH:MM:SS` at `start`, in seconds; -1 when it is not that, or past the hour 24. As in `shortDate`. */
function secondsOf(view: DataView, start: number, end: number): number {
  if (end - start < 8) return end - start === 5 ? minutesOf(view, start) : -1
  const hours = view.getInt32(start, true) ^ 0x303a3030
  const seconds = view.getInt32(start + 4, true) ^ 0x30303a30
  const bits = hours | (hours + 0x767f7676) | seconds | (seconds + 0x76767f76)
  const hour = (hours & 15) * 10 + ((hours >> 8) & 15)
  const minute = (hours >> 24) * 10 + (seconds & 15)
  const second = ((seconds >> 16) & 15) * 10 + (seconds >> 24)
  if ((bits & 0x80808080) !== 0 || hour > 24 || minute > 59 || second > 59) return -1
  return hour * 3600 + minute * 60 + second
}

/** `HH:MM`. */
function minutesOf(view: DataView, start: number): number {
  const hour = twoDigits(view.getUint16(start, true))
  const minute = twoDigits(view.getUint16(start + 3, true))
  return hour > 24 || minute > 59 || view.getUint8(start + 2) !== COLON ? -1 : hour * 3600 + minute * 60
}

/** The fraction of a second with its point, in microseconds; -1 without digits, or below the microsecond. */
function fractionOf(view: DataView, start: number, end: number): number {
  const length = end - start - 1
  if (length < 0) return 0
  if (view.getUint8(start) !== POINT || length === 0) return -1
  if (length <= 6) return digitsOf(view, start + 1, end) * (POWERS[6 - length] as number)
  for (let i = start + 7; i < end; i++) if (view.getUint8(i) !== ZERO) return -1
  return digitsOf(view, start + 1, start + 7)
}

function isSeparator(byte: number): boolean {
  return byte === BLANK || byte === UPPER_T
}

/** The end of the text without the `Z` or `+00` that most texts with a zone have. */
function zeroOffset(data: Uint8Array, end: number): number {
  const last = data[end - 1]
  if (last === UPPER_Z) return end - 1
  return last === ZERO && data[end - 2] === ZERO && data[end - 3] === PLUS ? end - 3 : end
}

/** Every date that is not four digits of year, from year 1. */
function longDate(data: Uint8Array, start: number, end: number): number {
  if (isWord(data, start, end, 'infinity')) return DATE_INFINITY
  if (data[start] === MINUS && isWord(data, start + 1, end, 'infinity')) return DATE_MINUS_INFINITY
  const tail = withoutEra(data, end)
  const days = dateOf(data, start, tail, tail !== end)
  return days >= FIRST_DAY && days <= LAST_DATE_DAY ? days : NONE
}

/** The end of the text without ` BC`, if it has one. */
function withoutEra(data: Uint8Array, end: number): number {
  return data[end - 3] === BLANK && isWord(data, end - 2, end, 'bc') ? end - 3 : end
}

/** Exactly a date between `start` and `end`; NaN when it is none. */
function dateOf(data: Uint8Array, start: number, end: number, bc: boolean): number {
  const yearEnd = end - 6
  if (yearEnd - start < 4 || yearEnd - start > 7 || data[yearEnd] !== MINUS || data[yearEnd + 3] !== MINUS) return NaN
  const view = viewOf(data)
  const year = digitsOf(view, start, yearEnd)
  const month = twoDigits(view.getUint16(yearEnd + 1, true))
  const day = twoDigits(view.getUint16(yearEnd + 4, true))
  const astronomical = bc ? 1 - year : year
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysInMonth(astronomical, month)) return NaN
  return daysFromCivil(astronomical, month, day)
}

/** Every timestamp, into `words[at]`; false when the text is none. */
function longTimestamp(text: Uint8Array, zone: boolean, words: Int32Array, at: number): boolean {
  const minus = text[0] === MINUS
  if (isWord(text, minus ? 1 : 0, text.length, 'infinity')) {
    words[at] = minus ? 0 : -1
    words[at + 1] = minus ? HIGH_WORD_MIN : HIGH_WORD_MAX
    return true
  }
  const end = withoutEra(text, text.length)
  let separator = 0
  while (separator < end && !isSeparator(text[separator] as number)) separator++
  const days = dateOf(text, 0, separator, end !== text.length)
  const sign = offsetSign(text, separator, end)
  const micros = separator === end ? 0 : microsOf(text, separator + 1, sign)
  const offset = sign === end ? 0 : offsetOf(text, sign, end)
  if (!(days >= FIRST_DAY) || micros < 0 || offset === NONE || (sign !== end && !zone)) return false
  return putTimestamp(days, micros - offset * 1e6, words, at)
}

/** A time in microseconds; -1 when it is none. */
function microsOf(text: Uint8Array, start: number, end: number): number {
  const view = viewOf(text)
  const seconds = secondsOf(view, start, end)
  const fraction = fractionOf(view, start + 8, end)
  const micros = seconds * 1e6 + fraction
  return (seconds | fraction) < 0 || micros > DAY_MICROS ? -1 : micros
}

function putTimestamp(days: number, micros: number, words: Int32Array, at: number): boolean {
  const day = days + Math.floor(micros / DAY_MICROS)
  if (day < FIRST_DAY || day > LAST_TIMESTAMP_DAY) return false
  const low = (Math.imul(days, DAY_WORD) + micros) | 0
  // Past the year 294247 the count wraps, and two of its values are taken by the infinities.
  const high = Math.floor((days * DAY_MICROS + micros - (low >>> 0)) / WORD + 0.5) | 0
  words[at] = low
  words[at + 1] = high
  return !((high === HIGH_WORD_MAX && low === -1) || (high === HIGH_WORD_MIN && low === 0))
}

/** Where the offset begins behind the time, or the end. */
function offsetSign(text: Uint8Array, from: number, end: number): number {
  for (let i = from; i < end; i++) {
    const byte = text[i]
    if (byte === PLUS || byte === MINUS || byte === UPPER_Z) return i
  }
  return end
}

const OFFSET = /^(?:Z|([-+])(\d\d)(?::?(\d\d)|:(\d\d):(\d\d))?)$/

/** The offset from UTC in seconds; `NONE` when it is malformed, or 16 hours or more. */
function offsetOf(text: Uint8Array, sign: number, end: number): number {
  const match = OFFSET.exec(asciiText(text, sign, Math.min(end, sign + 10)))
  if (!match) return NONE
  const hours = Number(match[2] ?? 0)
  const minutes = Number(match[3] ?? match[4] ?? 0)
  const seconds = Number(match[5] ?? 0)
  if (hours > 15 || minutes > 59 || seconds > 59) return NONE
  const offset = hours * 3600 + minutes * 60 + seconds
  return match[1] === '-' ? -offset : offset
}
