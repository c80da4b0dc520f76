import type { BytesBuilder } from '../builder.ts'
import type { Fixed64Column, FixedColumn } from '../column.ts'
import type { Range } from './format.ts'
import { isMissing } from './nulls.ts'
import { writeLarge, writeWords } from './write-digits.ts'

const MINUS = 0x2d

/** int8, int16, int32, uint8, uint16, uint32. */
export function formatIntegers(column: FixedColumn, out: BytesBuilder, range: Range): void {
  const { values, validity } = column
  out.ensure(out.rows * 11)
  const { data, offsets } = out
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const value = values[row] as number
      if (value < 0) {
        data[at] = MINUS
        at = writeLarge(data, at + 1, -value)
      } else at = writeLarge(data, at, value)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** int64, uint64. */
export function formatInt64(column: Fixed64Column, out: BytesBuilder, range: Range): void {
  const { words, validity, type } = column
  const signed = type.kind === 'int64'
  out.ensure(out.rows * 20)
  const { data, offsets } = out
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      const low = words[row * 2] as number
      const high = words[row * 2 + 1] as number
      if (signed && high < 0) {
        data[at] = MINUS
        at = writeWords(data, at + 1, -low | 0, low === 0 ? -high | 0 : ~high)
      } else at = writeWords(data, at, low, high)
    }
    offsets[i + 1] = at
  }
  out.size = at
}
