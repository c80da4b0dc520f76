import type { BytesBuilder } from '../builder.ts'
import { civilFromDays, DAY_MICROS, DAY_WORD, wrapsAround } from '../calendar.ts'
import type { Fixed64Column, FixedColumn } from '../column.ts'
import { DATE_INFINITY, DATE_MINUS_INFINITY, HIGH_WORD_MAX, HIGH_WORD_MIN } from '../column.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { writeMicros, writePadded, writeSmall, writeText, writeTwo } from './write-digits.ts'

const PLUS = 0x2b
const MINUS = 0x2d
const BLANK = 0x20
const COLON = 0x3a
const ZERO = 0x30
const WORD = 4_294_967_296

/** date: `YYYY-MM-DD`, longer years as they are, ` BC`, the infinities. */
export function formatDate(column: FixedColumn, out: BytesBuilder, range: Range): void {
  const { values, validity } = column
  out.ensure(out.rows * 20)
  const { data, offsets } = out
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const days = values[row] as number
      if (days === DATE_INFINITY) at = writeText(data, at, 'infinity')
      else if (days === DATE_MINUS_INFINITY) at = writeText(data, at, '-infinity')
      else {
        const civil = civilFromDays(days)
        at = writeDate(data, at, civil)
        if (civil < 512) at = writeText(data, at, ' BC')
      }
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** time: `HH:MM:SS[.ffffff]`. */
export function formatTime(column: Fixed64Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  out.ensure(out.rows * 16)
  const { data, offsets } = out
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else at = writeTime(data, at, (words[row * 2 + 1] as number) * WORD + ((words[row * 2] as number) >>> 0))
    offsets[i + 1] = at
  }
  out.size = at
}

/** timestamp: a date, a blank, a time, `+00` with zone, ` BC`; the infinities. */
export function formatTimestamp(column: Fixed64Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  const zone = column.type.kind === 'timestamp' && column.type.zone
  out.ensure(out.rows * 36)
  const { data, offsets } = out
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const low = words[row * 2] as number
      const high = words[row * 2 + 1] as number
      if (high === HIGH_WORD_MAX && low === -1) at = writeText(data, at, 'infinity')
      else if (high === HIGH_WORD_MIN && low === 0) at = writeText(data, at, '-infinity')
      else at = writeTimestamp(data, at, timestampOf(low, high), zone)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

const moment = { days: 0, micros: 0 }

/**
 * Splits microseconds since 1970 into days and microseconds of the day. Within 2^53 the number is exact. Beyond, the
 * microseconds of the day are the exact low word of the difference with the high word that the rounded one has.
 */
function timestampOf(low: number, high: number): typeof moment {
  const wrapped = wrapsAround(high) ? 2 ** 64 : 0
  const value = high * WORD + (low >>> 0) + wrapped
  let days = Math.floor(value / DAY_MICROS)
  let micros = value - days * DAY_MICROS
  if (value > Number.MAX_SAFE_INTEGER || value < -Number.MAX_SAFE_INTEGER) {
    const word = (low - Math.imul(days, DAY_WORD)) >>> 0
    micros = word + Math.floor((micros - word) / WORD + 0.5) * WORD
    if (micros < 0) {
      micros += DAY_MICROS
      days--
    } else if (micros >= DAY_MICROS) {
      micros -= DAY_MICROS
      days++
    }
  }
  moment.days = days
  moment.micros = micros
  return moment
}

function writeTimestamp(data: Uint8Array, start: number, { days, micros }: typeof moment, zone: boolean): number {
  const civil = civilFromDays(days)
  let at = writeDate(data, start, civil)
  data[at] = BLANK
  at = writeTime(data, at + 1, micros)
  if (zone) {
    data[at] = PLUS
    data[at + 1] = data[at + 2] = ZERO
    at += 3
  }
  return civil < 512 ? writeText(data, at, ' BC') : at
}

/** A packed date, years before Christ by their number: the year 0 is 1 BC. */
function writeDate(data: Uint8Array, start: number, civil: number): number {
  const astronomical = Math.floor(civil / 512)
  const year = astronomical > 0 ? astronomical : 1 - astronomical
  const at = year < 10_000 ? writePadded(data, start, year, 4) : writeSmall(data, start, year)
  data[at] = MINUS
  writeTwo(data, at + 1, (civil >> 5) & 15)
  data[at + 3] = MINUS
  return writeTwo(data, at + 4, civil & 31)
}

function writeTime(data: Uint8Array, at: number, micros: number): number {
  const seconds = Math.floor(micros / 1e6)
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  writeTwo(data, at, hours)
  data[at + 2] = COLON
  writeTwo(data, at + 3, minutes - hours * 60)
  data[at + 5] = COLON
  writeTwo(data, at + 6, seconds - minutes * 60)
  return writeMicros(data, at + 8, micros - seconds * 1e6)
}
