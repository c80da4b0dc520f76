import type { FixedBuilder, WordsBuilder } from './builder.ts'
import type { Fixed64Column, FixedColumn } from './column.ts'
import { isMissing } from './text/nulls.ts'

/** Integers and floats that stay the same number in another type; all else is a fault. The builders are started. */

const WORD = 4_294_967_296

/** Integers, and floats that are integers, to integers of up to 32 bits. */
export function fixedToIntegers(column: FixedColumn, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { values: from, validity, length } = column
  const { values: to } = builder
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    const value = from[row] as number
    to[row] = value
    if (to[row] !== value) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** Integers and floats to floats. */
export function fixedToFloats(column: FixedColumn, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { values: from, validity, length } = column
  const { values: to } = builder
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    const value = from[row] as number
    to[row] = value
    if (to[row] !== value && value === value) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** Integers, and floats that are integers, to int64 or uint64. */
export function fixedToWords(column: FixedColumn, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { values, validity, length } = column
  const { words, type } = builder
  const least = type.kind === 'int64' ? -(2 ** 63) : 0
  const below = type.kind === 'int64' ? 2 ** 63 : 2 ** 64
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    const value = values[row] as number
    words[row * 2] = value
    words[row * 2 + 1] = Math.floor(value / WORD)
    if (!(value >= least && value < below) || Math.floor(value) !== value) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** int64 and uint64 to integers of up to 32 bits, and to floats. */
export function wordsToFixed(column: Fixed64Column, builder: FixedBuilder, onFault: (row: number) => void): void {
  const { words, validity, length, type } = column
  const { values } = builder
  const signed = type.kind === 'int64'
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    const low = words[row * 2] as number
    const high = words[row * 2 + 1] as number
    values[row] = (signed ? high : high >>> 0) * WORD + (low >>> 0)
    const stored = values[row] as number
    // Exact when the words come back: a float that was rounded up to 2^63 or 2^64 has another high word.
    const upper = Math.floor(stored / WORD)
    if ((stored | 0) !== low || upper !== (signed ? high : high >>> 0)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** int64 to uint64 and back. */
export function wordsToWords(column: Fixed64Column, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { words: from, validity, length } = column
  const { words: to } = builder
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    to[row * 2] = from[row * 2] as number
    to[row * 2 + 1] = from[row * 2 + 1] as number
    if ((from[row * 2 + 1] as number) < 0) {
      builder.setNull(row)
      onFault(row)
    }
  }
}
