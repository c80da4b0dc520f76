import type { FixedBuilder, WordsBuilder } from './builder.ts'
import type { Fixed128Column, Fixed64Column, FixedColumn } from './column.ts'
import { DECIMAL_NAN_WORD } from './column.ts'
import { isMissing } from './text/nulls.ts'
import { addScaled, divideScaled, isBelow, negate, powerOfTen } from './words.ts'

/** Decimals that stay the same number in another type; all else is a fault. The builders are started. */

const WORD = 4_294_967_296

/** Integers of up to 32 bits to a decimal. */
export function integersToDecimals(column: FixedColumn, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { values, validity, length } = column
  const { words } = builder
  const scaling = new Scaling(0, builder)
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    const value = values[row] as number
    words[row * 4] = value
    words[row * 4 + 1] = words[row * 4 + 2] = words[row * 4 + 3] = value < 0 ? -1 : 0
    if (!scaling.apply(words, row * 4)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** int64 and uint64 to a decimal. */
export function wordsToDecimals(column: Fixed64Column, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { words: from, validity, length, type } = column
  const { words } = builder
  const scaling = new Scaling(0, builder)
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    const high = from[row * 2 + 1] as number
    words[row * 4] = from[row * 2] as number
    words[row * 4 + 1] = high
    words[row * 4 + 2] = words[row * 4 + 3] = type.kind === 'int64' ? high >> 31 : 0
    if (!scaling.apply(words, row * 4)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** A decimal to another precision and scale. */
export function decimalsToDecimals(
  column: Fixed128Column,
  builder: WordsBuilder,
  onFault: (row: number) => void,
): void {
  const { words: from, validity, length } = column
  const { words } = builder
  const scaling = new Scaling(scaleOf(column), builder)
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    for (let word = row * 4; word < row * 4 + 4; word++) words[word] = from[word] as number
    if (words[row * 4 + 3] !== DECIMAL_NAN_WORD && !scaling.apply(words, row * 4)) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** A decimal to int64 or uint64. */
export function decimalsToWords(column: Fixed128Column, builder: WordsBuilder, onFault: (row: number) => void): void {
  const { words: from, validity, length } = column
  const { words: to, type } = builder
  const scaling = new Scaling(scaleOf(column), undefined)
  const words = new Int32Array(4)
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    for (let word = 0; word < 4; word++) words[word] = from[row * 4 + word] as number
    const integer = scaling.apply(words, 0)
    const high = words[1] as number
    const sign = type.kind === 'int64' ? high >> 31 : 0
    to[row * 2] = words[0] as number
    to[row * 2 + 1] = high
    if (!integer || words[2] !== sign || words[3] !== sign) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

/** A decimal to integers of up to 32 bits. */
export function decimalsToIntegers(
  column: Fixed128Column,
  builder: FixedBuilder,
  onFault: (row: number) => void,
): void {
  const { words: from, validity, length } = column
  const { values } = builder
  const scaling = new Scaling(scaleOf(column), undefined)
  const words = new Int32Array(4)
  for (let row = 0; row < length; row++) {
    if (isMissing(validity, row)) {
      builder.setNull(row)
      continue
    }
    for (let word = 0; word < 4; word++) words[word] = from[row * 4 + word] as number
    const integer = scaling.apply(words, 0)
    const high = words[1] as number
    const value = high * WORD + ((words[0] as number) >>> 0)
    const sign = high >> 31
    values[row] = value
    if (!integer || words[2] !== sign || words[3] !== sign || values[row] !== value) {
      builder.setNull(row)
      onFault(row)
    }
  }
}

function scaleOf(column: Fixed128Column): number {
  return column.type.kind === 'decimal' ? column.type.scale : 0
}

/** Multiplies or divides by a power of ten, exactly, and holds the result to the precision of the target. */
class Scaling {
  readonly #shift: number
  /** What the size has to stay below, before it is multiplied or after it is divided. */
  readonly #limit: Int32Array

  /** Without a decimal target the result is an integer of 38 digits. */
  constructor(scale: number, target: WordsBuilder | undefined) {
    const type = target?.type.kind === 'decimal' ? target.type : { precision: 38, scale: 0 }
    this.#shift = type.scale - scale
    this.#limit = powerOfTen(Math.max(0, type.precision - Math.max(0, this.#shift)))
  }

  /** False when digits would be lost, or are too many. */
  apply(words: Int32Array, at: number): boolean {
    const minus = (words[at + 3] as number) < 0
    if (minus) negate(words, at)
    if (this.#shift < 0 && !this.#divide(words, at)) return false
    if (!isBelow(words, at, this.#limit)) return false
    for (let left = this.#shift; left > 0; left -= 9) addScaled(words, at, 10 ** Math.min(left, 9), 0)
    if (minus) negate(words, at)
    return true
  }

  #divide(words: Int32Array, at: number): boolean {
    for (let left = -this.#shift; left > 0; left -= 9)
      if (divideScaled(words, at, 10 ** Math.min(left, 9)) !== 0) return false
    return true
  }
}
