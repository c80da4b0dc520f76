import type { FixedBuilder } from './builder.ts'
import { DAY_MICROS, DAY_WORD, wrapsAround } from './calendar.ts'
import type { Fixed64Column } from './column.ts'
import { DATE_INFINITY, DATE_MINUS_INFINITY, HIGH_WORD_MAX, HIGH_WORD_MIN } from './column.ts'
import { isMissing } from './text/nulls.ts'

const WORD = 4_294_967_296
/** More than what rounding to doubles may add to or take from microseconds. */
const NEAR = 2 ** 20

/** Timestamps at midnight, of UTC where they have a zone, and the infinite ones to dates; all else is a fault. */
export function timestampsToDates(column: Fixed64Column, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { words, validity, length } = column
  const { values } = builder
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    const low = words[row * 2] as number
    const high = words[row * 2 + 1] as number
    const micros = high * WORD + (low >>> 0) + (wrapsAround(high) ? 2 ** 64 : 0)
    const days = Math.round(micros / DAY_MICROS)
    if (high === HIGH_WORD_MAX && low === -1) values[row] = DATE_INFINITY
    else if (high === HIGH_WORD_MIN && low === 0) values[row] = DATE_MINUS_INFINITY
    // Near to it, and equal in the low words: the same.
    else if (Math.abs(days * DAY_MICROS - micros) < NEAR && Math.imul(days, DAY_WORD) === low) values[row] = days
    else {
      builder.setNull(row)
      onFault(row)
    }
  }
}
