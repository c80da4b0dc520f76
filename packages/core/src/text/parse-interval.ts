import type { WordsBuilder } from '../builder.ts'
import { HIGH_WORD_MAX, HIGH_WORD_MIN } from '../column.ts'
import { asciiText } from './digits.ts'
import type { Slices } from './slices.ts'

/**
 * interval: ISO 8601 with a sign per part (`P1Y2M3DT4H5M6.789S`, `P2W`), PostgreSQL's `1 year 2 mons 3 days -04:05:06.789`
 * (also with units of time, `@` and `ago`), infinity, -infinity. Years are twelve months; days are not hours. Only
 * seconds may have a fraction, to the microsecond.
 */
export function parseInterval(slices: Slices, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { data, starts, ends, base, stride, rows } = slices
  const { words } = builder
  for (let row = 0, at = base; row < rows; row++, at += stride) {
    const start = starts[at] as number
    if (start < 0) {
      builder.setNull(row)
      continue
    }
    const end = ends[at] as number
    const text = end - start <= LONGEST ? asciiText(data, start, end) : ''
    if (!putSpecial(text, words, row * 4) && !putParts(partsOf(text), words, row * 4)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** Longer texts than all parts with all their digits are none. */
const LONGEST = 200
const WORD = 4_294_967_296
const INT32 = 0x7fffffff

/** Numbers of each part. Seconds and micros have been separated; all of time may carry signs of its own. */
interface Parts {
  months: number
  days: number
  seconds: number
  micros: number
}

/** PostgreSQL 17: the infinities have every part at its end. */
function putSpecial(text: string, words: Int32Array, at: number): boolean {
  const match = /^(-?)infinity$/i.exec(text)
  if (!match) return false
  const minus = match[1] === '-'
  words[at] = words[at + 1] = words[at + 3] = minus ? HIGH_WORD_MIN : HIGH_WORD_MAX
  words[at + 2] = minus ? 0 : -1
  return true
}

function putParts(parts: Parts | undefined, words: Int32Array, at: number): boolean {
  if (!parts || !isInt32(parts.months) || !isInt32(parts.days)) return false
  words[at] = parts.months
  words[at + 1] = parts.days
  const micros = parts.seconds * 1e6 + parts.micros
  if (Number.isSafeInteger(micros)) {
    words[at + 2] = micros
    words[at + 3] = Math.floor(micros / WORD)
    return true
  }
  const exact = BigInt(parts.seconds) * 1_000_000n + BigInt(parts.micros)
  if (BigInt.asIntN(64, exact) !== exact) return false
  words[at + 2] = Number(BigInt.asIntN(32, exact))
  words[at + 3] = Number(exact >> 32n)
  return !isInfinite(words, at)
}

function isInfinite(words: Int32Array, at: number): boolean {
  const end = words[at] as number
  if (words[at + 1] !== end || words[at + 3] !== end) return false
  return (end === HIGH_WORD_MAX && words[at + 2] === -1) || (end === HIGH_WORD_MIN && words[at + 2] === 0)
}

function isInt32(value: number): boolean {
  return value >= -INT32 - 1 && value <= INT32
}

const ISO =
  /^P(?=[-+\dT])(?:([-+]?\d+)Y)?(?:([-+]?\d+)M)?(?:([-+]?\d+)W)?(?:([-+]?\d+)D)?(?:T(?=[-+.\d])(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?)(\d*)(?:\.(\d*))?S)?)?$/

function partsOf(text: string): Parts | undefined {
  const iso = ISO.exec(text)
  if (!iso) return verboseParts(text)
  const [, years, months, weeks, days, hours, minutes, sign, seconds, fraction] = iso
  if (seconds === '' && !fraction) return undefined
  const parts: Parts = { months: 0, days: 0, seconds: 0, micros: 0 }
  parts.months = Number(years ?? 0) * 12 + Number(months ?? 0)
  parts.days = Number(weeks ?? 0) * 7 + Number(days ?? 0)
  return addTime(parts, { sign, hours, minutes, seconds, fraction }) ? parts : undefined
}

/** Texts as they stand; `sign` belongs to seconds and fraction alone, hours and minutes carry theirs. */
interface Time {
  readonly sign: string | undefined
  readonly hours: string | undefined
  readonly minutes: string | undefined
  readonly seconds: string | undefined
  readonly fraction: string | undefined
}

/** Adds a time to `parts`; false when a part is too large to stay exact or a digit lies below the microsecond. */
function addTime(parts: Parts, time: Time): boolean {
  const sign = time.sign === '-' ? -1 : 1
  const fraction = (time.fraction ?? '').padEnd(6, '0')
  if (!/^0*$/.test(fraction.slice(6))) return false
  parts.seconds += Number(time.hours ?? 0) * 3600 + Number(time.minutes ?? 0) * 60 + sign * Number(time.seconds ?? 0)
  parts.micros += sign * Number(fraction.slice(0, 6))
  return Number.isSafeInteger(parts.seconds)
}

const TOKEN = /\s*(?:([-+]?)(\d+):(\d\d)(?::(\d\d)(?:\.(\d+))?)?|([-+]?)(\d*)(?:\.(\d+))?\s*([a-z]+))(?=\s|$)/iy

function verboseParts(text: string): Parts | undefined {
  const match = /^\s*@?\s*(\S.*?)(\s+ago)?\s*$/i.exec(text)
  if (!match) return undefined
  const body = match[1] as string
  const parts: Parts = { months: 0, days: 0, seconds: 0, micros: 0 }
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < body.length;) {
    const token = TOKEN.exec(body)
    if (!token || !addToken(parts, token)) return undefined
  }
  if (!match[2]) return parts
  return { months: -parts.months, days: -parts.days, seconds: -parts.seconds, micros: -parts.micros }
}

function addToken(parts: Parts, token: RegExpExecArray): boolean {
  const [, sign, hours, minutes, seconds, fraction, unitSign, amount, unitFraction, unit] = token
  if (hours !== undefined) {
    if (Number(minutes) > 59 || Number(seconds ?? 0) > 59) return false
    return addTime(parts, { sign, hours: `${sign}${hours}`, minutes: `${sign}${minutes}`, seconds, fraction })
  }
  if (unit === undefined || (amount === '' && unitFraction === undefined)) return false
  return addUnit(parts, unit.toLowerCase(), {
    sign: unitSign,
    hours: '0',
    minutes: '0',
    seconds: amount,
    fraction: unitFraction,
  })
}

/** Months, days or seconds in each unit. */
const UNITS: readonly (readonly [RegExp, 'months' | 'days' | 'seconds', number])[] = [
  [/^(y|yrs?|years?)$/, 'months', 12],
  [/^(mons?|months?)$/, 'months', 1],
  [/^(w|weeks?)$/, 'days', 7],
  [/^(d|days?)$/, 'days', 1],
  [/^(h|hrs?|hours?)$/, 'seconds', 3600],
  [/^(m|mins?|minutes?)$/, 'seconds', 60],
]

function addUnit(parts: Parts, unit: string, time: Time): boolean {
  if (/^(s|secs?|seconds?)$/.test(unit)) return addTime(parts, time)
  const known = UNITS.find(([name]) => name.test(unit))
  if (!known || time.fraction !== undefined) return false
  const [, part, factor] = known
  parts[part] += Number(`${time.sign}${time.seconds}`) * factor
  return Number.isSafeInteger(parts[part])
}
