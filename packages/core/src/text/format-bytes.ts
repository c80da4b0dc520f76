import type { BytesBuilder } from '../builder.ts'
import type { BytesColumn, DictionaryColumn, Fixed128Column } from '../column.ts'
import { viewOf } from './digits.ts'
import type { Range } from './format.ts'
import { HEX_PAIRS, UUID_PLACES } from './hex.ts'
import { isMissing } from './nulls.ts'

const DASH = 0x2d
/** `\x`, the first in the low byte. */
const MARK = 0x785c
const PAIRS = HEX_PAIRS
const PLACES = UUID_PLACES

/** utf8, json, numeric: the bytes as they are. */
export function formatBytes(column: BytesColumn, out: BytesBuilder, range: Range): void {
  const { data, offsets: starts, validity } = column
  const { from, to } = range
  const first = starts[from] as number
  let hidden = 0
  for (let row = from, i = 0; row < to; row++, i++) {
    if (isMissing(validity, row)) {
      out.setNull(i)
      hidden += (starts[row + 1] as number) - (starts[row] as number)
    }
    out.offsets[i + 1] = (starts[row + 1] as number) - first - hidden
  }
  out.ensure((starts[to] as number) - first - hidden)
  if (hidden === 0) out.data.set(data.subarray(first, starts[to]), 0)
  else copyRows(column, out, range)
  out.size = (starts[to] as number) - first - hidden
}

/** The bytes of rows that are not null, when rows that are null have bytes too. */
function copyRows(column: BytesColumn, out: BytesBuilder, range: Range): void {
  const { data, offsets: starts, validity } = column
  for (let row = range.from, i = 0; row < range.to; row++, i++)
    if (!isMissing(validity, row)) out.data.set(data.subarray(starts[row], starts[row + 1]), out.offsets[i])
}

/** The bytes of the dictionary's row. */
export function formatDictionary(column: DictionaryColumn, out: BytesBuilder, range: Range): void {
  const { indices, validity, dictionary } = column
  const { data, offsets } = dictionary
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    const index = indices[row] as number
    if (isMissing(validity, row) || isMissing(dictionary.validity, index)) out.appendNull(i)
    else out.append(i, data, offsets[index] as number, offsets[index + 1] as number)
  }
}

/** binary: `\x` and two lower-case hex digits a byte. */
export function formatBinary(column: BytesColumn, out: BytesBuilder, range: Range): void {
  const { data: source, offsets: starts, validity } = column
  out.ensure(out.rows * 2 + ((starts[range.to] as number) - (starts[range.from] as number)) * 2)
  const { offsets } = out
  const view = viewOf(out.data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      view.setInt16(at, MARK, true)
      at += 2
      for (let from = starts[row] as number; from < (starts[row + 1] as number); from++, at += 2)
        view.setInt16(at, PAIRS[source[from] as number] as number, true)
    }
    offsets[i + 1] = at
  }
  out.size = at
}

/** uuid: lower case, 8-4-4-4-12. */
export function formatUuid(column: Fixed128Column, out: BytesBuilder, range: Range): void {
  const { words, validity } = column
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
  out.ensure(out.rows * 36)
  const { data, offsets } = out
  const view = viewOf(data)
  let at = 0
  for (let row = range.from, i = 0; row < range.to; row++, i++) {
    if (isMissing(validity, row)) out.setNull(i)
    else {
      data[at + 8] = data[at + 13] = data[at + 18] = data[at + 23] = DASH
      for (let part = 0; part < 16; part++)
        view.setInt16(at + (PLACES[part] as number), PAIRS[bytes[row * 16 + part] as number] as number, true)
      at += 36
    }
    offsets[i + 1] = at
  }
  out.size = at
}
