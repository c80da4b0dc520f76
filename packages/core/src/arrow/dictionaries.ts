import type { BytesColumn, Column, DictionaryColumn } from '../column.ts'
import { isNull } from '../column.ts'
import { NebulaError } from '../errors.ts'

/**
 * The columns of several batches in one layout, because an Arrow stream has one per column. Dictionaries become one,
 * with new indices where they differ; dictionaries beside plain columns become plain.
 */
export function uniform(columns: readonly Column[]): readonly Column[] {
  const encoded = columns.filter((column): column is DictionaryColumn => column.layout === 'dictionary')
  if (encoded.length === 0) return columns
  if (encoded.length < columns.length)
    return columns.map((column) => (column.layout === 'dictionary' ? resolved(column) : column))
  const dictionaries = [...new Set(encoded.map((column) => column.dictionary))]
  if (dictionaries.length === 1) return columns
  const all = joined(dictionaries)
  const starts = new Map<BytesColumn, number>()
  let start = 0
  for (const dictionary of dictionaries) {
    starts.set(dictionary, start)
    start += dictionary.length
  }
  return encoded.map((column) => {
    const shift = starts.get(column.dictionary) ?? 0
    const indices = column.indices.subarray(0, column.length).map((index) => index + shift)
    return { ...column, indices, dictionary: all }
  })
}

/** Bytes columns without nulls, one behind the other. */
export function joined(columns: readonly BytesColumn[]): BytesColumn {
  const [first] = columns as [BytesColumn]
  if (columns.length === 1) return first
  if (columns.some((column) => column.validity !== null))
    throw new NebulaError('unsupported', { message: 'Dictionaries that have nulls cannot be put together.' })
  const length = columns.reduce((sum, column) => sum + column.length, 0)
  const size = columns.reduce((sum, column) => sum + bytesIn(column), 0)
  const offsets = new Int32Array(length + 1)
  const data = new Uint8Array(size)
  let row = 0
  for (const column of columns) {
    const from = column.offsets[0] as number
    const shift = (offsets[row] as number) - from
    data.set(column.data.subarray(from, column.offsets[column.length]), offsets[row])
    for (let i = 1; i <= column.length; i++) offsets[++row] = (column.offsets[i] as number) + shift
  }
  return { layout: 'bytes', type: first.type, length, validity: null, offsets, data }
}

function bytesIn(column: BytesColumn): number {
  return (column.offsets[column.length] as number) - (column.offsets[0] as number)
}

/** The values themselves. */
function resolved(column: DictionaryColumn): BytesColumn {
  const { dictionary, indices, length, type, validity } = column
  const offsets = new Int32Array(length + 1)
  const bounds = (row: number): [number, number] => {
    const index = indices[row] as number
    return [dictionary.offsets[index] as number, dictionary.offsets[index + 1] as number]
  }
  for (let row = 0; row < length; row++) {
    const [start, end] = isNull(column, row) ? [0, 0] : bounds(row)
    offsets[row + 1] = (offsets[row] as number) + end - start
  }
  const data = new Uint8Array(offsets[length] as number)
  for (let row = 0; row < length; row++)
    if (!isNull(column, row)) data.set(dictionary.data.subarray(...bounds(row)), offsets[row])
  return { layout: 'bytes', type, length, validity, offsets, data }
}
