/**
 * The proleptic Gregorian calendar in days since 1970-01-01. Years are astronomical: 0 is 1 BC, -1 is 2 BC.
 * The algorithms are those of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
 * (https://howardhinnant.github.io/date_algorithms.html): years begin in March, eras have 400 years.
 */

/** Microseconds of a day: `DAY_WORD` is its low 32-bit word. */
export const DAY_MICROS = 86_400_000_000
export const DAY_WORD = 500_654_080

/** Days since 1970-01-01 of a date that exists. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = ((y >= 0 ? y : y - 399) / 400) | 0
  const yearOfEra = y - era * 400
  const dayOfYear = (((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) | 0) + day - 1
  const dayOfEra = yearOfEra * 365 + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/**
 * `daysFromCivil` for years from 0 to 9999, on the hot path. Months count from March, 3 to 14. This and its inverse are
 * after C. Neri and L. Schneider, "Euclidean affine functions and their application to calendar algorithms", 2022.
 */
export function daysFromCommon(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const m = month <= 2 ? month + 12 : month
  const century = (y / 100) | 0
  return y * 365 + (y >> 2) - century + (century >> 2) + ((979 * m - 2919) >> 5) + day - 719_469
}

/**
 * The date of a day since 1970-01-01, packed as `year * 512 + month * 32 + day` with an astronomical year:
 * day is `packed & 31`, month `(packed >> 5) & 15`, year `Math.floor(packed / 512)`.
 */
export function civilFromDays(days: number): number {
  const shifted = days + 719_468
  const era = ((shifted >= 0 ? shifted : shifted - 146_096) / 146_097) | 0
  const dayOfEra = shifted - era * 146_097
  const leaps = (dayOfEra - ((dayOfEra / 1460) | 0) + ((dayOfEra / 36_524) | 0) - ((dayOfEra / 146_096) | 0)) | 0
  const yearOfEra = (leaps / 365) | 0
  const dayOfYear = (dayOfEra - (365 * yearOfEra + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0))) | 0
  const shiftedMonth = ((5 * dayOfYear + 2) / 153) | 0
  const day = dayOfYear - (((153 * shiftedMonth + 2) / 5) | 0) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0)) * 512 + month * 32 + day
}

/** `civilFromDays` for days of the years 1 to 9999, on the hot path. */
export function civilFromCommon(days: number): number {
  const quarters = (days + 719_468) * 4 + 3
  const century = (quarters / 146_097) | 0
  const ofCentury = (quarters - century * 146_097) | 3
  const year = (ofCentury / 1461) | 0
  const dayOfYear = (ofCentury - year * 1461) >> 2
  const scaled = 2141 * dayOfYear + 197_913
  const day = ((scaled & 0xffff) / 2141) | 0
  const packed = ((century * 100 + year) << 9) + ((scaled >> 16) << 5) + day + 1
  // Months 13 and 14 are January and February of the next year.
  return dayOfYear >= 306 ? packed + 512 - 384 : packed
}

/** Days of a month of an astronomical year. */
export function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year & 3) === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return 30 + ((month + (month >> 3)) & 1)
}

/**
 * True when a timestamp, in microseconds since 1970 as a signed 64-bit count with this high word, stands for a time
 * past year 294247 that wrapped: PostgreSQL has no day before `FIRST_DAY`, so nothing else lies there.
 */
export function wrapsAround(highWord: number): boolean {
  return highWord < FIRST_HIGH_WORD
}

/** PostgreSQL's first day of dates and timestamps, 4714-11-24 BC: Julian day 0. */
export const FIRST_DAY = -2_440_588
/** PostgreSQL's last day of a date. */
export const LAST_DATE_DAY: number = daysFromCivil(5_874_897, 12, 31)
/** PostgreSQL's last day of a timestamp. */
export const LAST_TIMESTAMP_DAY: number = daysFromCivil(294_276, 12, 31)

/** The high word of the first microsecond of `FIRST_DAY`. */
const FIRST_HIGH_WORD = Math.floor((FIRST_DAY * DAY_MICROS) / 4_294_967_296)
